"""What a dead letter is, and which of them are meant. Nothing here asks a database."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from chassis.bus.raw_headers import RawHeaders

LetterStatus = Literal["open", "replayed", "discarded"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LetterFilter:
    """Which letters are meant; what is None (or empty) does not narrow."""

    consumer: str | None = None
    topic: str | None = None
    """Where the message came from, not the dead-letter topic."""

    status: LetterStatus | None = None
    letter_ids: Sequence[uuid.UUID] = ()
    event_ids: Sequence[str] = ()
    category: str | None = None
    error_class: str | None = None
    failed_after: datetime | None = None
    """At this time or later."""

    failed_before: datetime | None = None
    drift_id: uuid.UUID | None = None

    def arguments(self) -> tuple[Any, ...]:
        """Return the arguments of `WHERE`."""
        return (
            self.consumer,
            self.topic,
            self.status,
            list(self.letter_ids) or None,
            list(self.event_ids) or None,
            self.category,
            self.error_class,
            self.failed_after,
            self.failed_before,
            self.drift_id,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """One rejected message: what it was, why it is here, what was decided."""

    id: uuid.UUID
    service: str
    consumer: str
    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    size: int
    """Bytes of the original's value; more than are kept where `is_cut`."""

    is_cut: bool
    original_headers: RawHeaders
    headers: dict[str, str]
    category: str
    error_class: str
    message: str
    chain: str
    attempts: int
    event_id: str | None
    drift_id: uuid.UUID | None
    replay_of: uuid.UUID | None
    replays: int
    failed_at: datetime
    status: LetterStatus
    decided_at: datetime | None
    decided_by: str | None
    decision_reason: str | None
    run_id: uuid.UUID | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LetterGroup:
    """Letters that failed for the same kind of reason."""

    consumer: str
    topic: str
    category: str
    error_class: str
    count: int
    oldest_at: datetime
    newest_at: datetime
    message: str
    """Of the newest one."""
