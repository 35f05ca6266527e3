"""Dead letters: what was rejected, why, and what was decided about it."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal, Protocol

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from console.domain.paging import Page
from console.ports.ids import IdBeginning

BODY_BYTES = 16 * 1024
"""Of a body; the rest is cut off before it leaves the database."""

LetterStatus = Literal["open", "replayed", "discarded"]


def _none_if_empty(value: object) -> object:
    return value or None  # a form sends the empty choice as an empty text


def _without_empty(value: object) -> object:
    items = (value,) if isinstance(value, str) else value
    return tuple(item for item in items if item) if isinstance(items, (list, tuple)) else items


@dataclass(frozen=True, slots=True, kw_only=True)
class LetterGroup:
    """Letters with one reason, of one consumer."""

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
    is_cut: bool
    chain: str
    """From the error to its first cause."""

    drift_id: uuid.UUID | None
    replay_of: uuid.UUID | None
    failed_at: datetime
    status: LetterStatus
    decided_at: datetime | None
    decided_by: str | None
    decision_reason: str | None
    run_id: uuid.UUID | None

    @property
    def dead_topic(self) -> str:
        """The topic that a replay names."""
        return dead_topic_of(self.topic, self.consumer)


@dataclass(frozen=True, slots=True, kw_only=True)
class LetterDetail:
    """A letter without its body."""

    line: LetterLine
    headers: Mapping[str, Any]
    key: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LetterBody:
    """A letter's body, as far as it is shown."""

    text: str
    """Indented JSON, plain text, or hexadecimal digits."""

    form: Literal["json", "text", "binary", "empty"]
    shown_bytes: int
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LetterMessage:
    """A letter's message, byte by byte, in base64."""

    key: str | None
    value: str | None
    headers: Sequence[Sequence[str | None]]
    """Names and values as they came in; a name may stand there twice."""


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
    event_id: Annotated[tuple[str, ...], BeforeValidator(_without_empty)] = ()
    failed_after: Annotated[datetime | None, BeforeValidator(_none_if_empty)] = None
    """At this time or later."""

    failed_before: Annotated[datetime | None, BeforeValidator(_none_if_empty)] = None
    id: IdBeginning = ""
    drift_id: Annotated[uuid.UUID | None, BeforeValidator(_none_if_empty)] = None
    cursor: str = Field("", max_length=200)


class DeadLetters(Protocol):
    """What was rejected."""

    async def groups(self, wanted: LetterFilter) -> Sequence[LetterGroup]:
        """Return letters by reason and consumer, the most first."""
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

    async def message(self, letter_id: uuid.UUID) -> LetterMessage | None:
        """Return a letter's message as it came in."""
        ...


COUNTED = 100_000


def dead_topic_of(topic: str, consumer: str) -> str:
    """Return the topic of what a consumer rejects."""
    return f"{topic}.{consumer.replace('_', '-')}.dead"
