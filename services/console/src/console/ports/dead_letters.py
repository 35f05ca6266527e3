"""Dead letters: what was rejected, why, and what was decided about it."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal, Protocol

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from console.domain.paging import Page

BODY_BYTES = 16 * 1024
"""Of a body; the rest is cut off before it leaves the database."""

LetterStatus = Literal["open", "replayed", "discarded"]


def _none_if_empty(value: object) -> object:
    return value or None  # a form sends the empty choice as an empty text


@dataclass(frozen=True, slots=True, kw_only=True)
class LetterGroup:
    """Open letters with one reason, of one consumer."""

    service: str
    consumer: str
    topic: str
    category: str
    error_class: str
    letters: int
    first_failed_at: datetime
    last_failed_at: datetime
    message: str
    """Of the newest."""

    @property
    def dead_topic(self) -> str:
        """The topic that a replay names."""
        return dead_topic_of(self.topic, self.consumer)


@dataclass(frozen=True, slots=True, kw_only=True)
class LetterLine:
    """A letter in the list."""

    id: uuid.UUID
    service: str
    consumer: str
    topic: str
    partition: int
    offset: int
    category: str
    error_class: str
    message: str
    event_id: str | None
    attempts: int
    replays: int
    size: int
    failed_at: datetime
    status: LetterStatus
    decided_at: datetime | None
    decided_by: str | None

    @property
    def dead_topic(self) -> str:
        """The topic that a replay names."""
        return dead_topic_of(self.topic, self.consumer)


@dataclass(frozen=True, slots=True, kw_only=True)
class LetterDetail:
    """A letter without its body."""

    line: LetterLine
    headers: Mapping[str, Any]
    chain: Sequence[str]
    """From the error to its first cause."""

    key: str | None
    is_cut: bool
    drift_id: uuid.UUID | None
    replay_of: uuid.UUID | None
    run_id: uuid.UUID | None
    decision_reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LetterBody:
    """A letter's body, as far as it is shown."""

    text: str
    """Indented JSON, plain text, or hexadecimal digits."""

    form: Literal["json", "text", "binary", "empty"]
    shown_bytes: int
    size: int


class LetterFilter(BaseModel):
    """Which letters; None and an empty text are no condition."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    status: Annotated[LetterStatus | Literal["any"], BeforeValidator(lambda v: v or "open")] = (
        "open"
    )
    consumer: str = Field("", max_length=100)
    topic: str = Field("", max_length=250)
    category: str = Field("", max_length=100)
    error_class: str = Field("", max_length=200)
    event_id: str = Field("", max_length=500)
    drift_id: Annotated[uuid.UUID | None, BeforeValidator(_none_if_empty)] = None
    cursor: str = Field("", max_length=200)


class DeadLetters(Protocol):
    """What was rejected."""

    async def groups(self) -> Sequence[LetterGroup]:
        """Return open letters by reason and consumer, the most first."""
        ...

    async def list(self, wanted: LetterFilter) -> Page[LetterLine]:
        """Return letters, the newest first."""
        ...

    async def count(self, wanted: LetterFilter) -> int:
        """Return how many letters fit, at most `COUNTED` + 1."""
        ...

    async def choices(self) -> Mapping[str, Sequence[str]]:
        """Return consumers, topics and categories there are, for a filter."""
        ...

    async def find(self, letter_id: uuid.UUID) -> LetterDetail | None:
        """Return a letter."""
        ...

    async def body(self, letter_id: uuid.UUID) -> LetterBody | None:
        """Return a letter's body, cut to `BODY_BYTES`."""
        ...


COUNTED = 100_000


def dead_topic_of(topic: str, consumer: str) -> str:
    """Return the topic of what a consumer rejects."""
    return f"{topic}.{consumer.replace('_', '-')}.dead"
