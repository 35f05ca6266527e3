"""What the first page tells: is all well, and if not, where to look."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from console.ports.runs import RunLine
from contracts.runs import RunStatus

COUNT_LIMIT = 10_000
"""Nobody needs more precise figures, and counting on would cost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What is counted; up to `COUNT_LIMIT` each."""

    running: int
    queued: int
    failed_runs: int
    """In the last 24 hours, and with no success since."""

    record_errors: int
    """In the last 24 hours."""

    held_deletions: int
    waiting_approvals: int
    open_dead_letters: int
    waiting_drifts: int
    outbox_waiting: int
    """Events and commands that Kafka has not taken yet."""

    outbox_seconds: float
    """How old the oldest of them is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Freshness:
    """How recent the last success of a task is."""

    service: str
    kind: str
    target: str
    run_id: uuid.UUID
    """The last run that ended."""

    status: RunStatus
    finished_at: datetime
    succeeded_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Hour:
    """What ended within an hour."""

    begins_at: datetime
    completed: int
    troubled: int
    failed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """Everything on the first page."""

    figures: Figures
    open_runs: Sequence[RunLine]
    problems: Sequence[RunLine]
    """The last runs that did not end well."""

    freshness: Sequence[Freshness]
    hours: Sequence[Hour]
    """The last 24, the oldest first."""


class Overviews(Protocol):
    """Reads the state of the hub."""

    async def read(self) -> Overview:
        """Return the state at this moment."""
        ...
