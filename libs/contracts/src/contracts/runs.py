"""The life of a run: one piece of work that a command or a schedule asked for."""

from enum import StrEnum

from contracts.types import Identifier, Message, Name, ShortText, UtcDatetime, Whole


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


class RunCounts(Message):
    """What a run did, in records (files, rows, partitions: the run's own unit)."""

    processed: Whole = 0
    new: Whole = 0
    changed: Whole = 0
    unchanged: Whole = 0
    deleted: Whole = 0
    failed: Whole = 0
    quarantined: Whole = 0


class RunChanged(Message):
    """A run changed its status or made progress."""

    run_id: Identifier
    command_id: Identifier | None = None
    service: Name
    kind: Name
    """What it does: `scan`, `flow`, `refresh`, `wrds-sync`, `replay`, `transform`."""

    target: Identifier
    """On what: a source, a table, a data set, an entity."""

    status: RunStatus
    counts: RunCounts = RunCounts()
    total: Whole | None = None
    """How many records are expected; None when unknown."""

    message: ShortText | None = None
    """The present step, or why the run failed."""

    started_at: UtcDatetime | None = None
    finished_at: UtcDatetime | None = None
