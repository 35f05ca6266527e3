"""The life of a run: one piece of work that a command or a schedule asked for."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from contracts.types import Identifier, Message, Name, ShortText, UtcDatetime


class RunStatus(StrEnum):
    """Where a run stands."""

    QUEUED = "queued"
    RUNNING = "running"
    COMPLETED = "completed"
    COMPLETED_WITH_ERRORS = "completed-with-errors"
    """Finished, but more records failed than the threshold allows."""

    FAILED = "failed"
    CANCELLED = "cancelled"
    ABANDONED = "abandoned"
    """Its worker stopped beating and the attempts are used up."""

    @property
    def is_final(self) -> bool:
        """Whether nothing will happen to the run any more."""
        return self not in (RunStatus.QUEUED, RunStatus.RUNNING)


Count = Annotated[int, Field(ge=0)]


class RunCounts(Message):
    """What a run did, in records (files, rows, partitions: the run's own unit)."""

    processed: Count = 0
    new: Count = 0
    changed: Count = 0
    unchanged: Count = 0
    deleted: Count = 0
    failed: Count = 0
    quarantined: Count = 0


class RunChanged(Message):
    """A run changed its status or made progress."""

    run_id: Identifier
    command_id: Identifier | None = None
    service: Name
    kind: Name
    """What it does: `scan`, `refresh`, `wrds-sync`, `replay`, `transform`."""

    target: Identifier
    """On what: a source, a table, a data set, an entity."""

    status: RunStatus
    counts: RunCounts = RunCounts()
    total: Count | None = None
    """How many records are expected; None when unknown."""

    message: ShortText | None = None
    """The present step, or why the run failed."""

    started_at: UtcDatetime | None = None
    finished_at: UtcDatetime | None = None
