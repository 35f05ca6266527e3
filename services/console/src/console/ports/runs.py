"""Runs and commands, as the ledger tells them."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal, Protocol

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from console.domain.paging import Page
from contracts.runs import RunStatus

State = Literal["open", "failed"] | RunStatus
"""`open` is queued or running, `failed` is whatever did not end well."""


def _none_if_empty(value: object) -> object:
    return value or None  # a form sends the empty choice as an empty text


class RunFilter(BaseModel):
    """Which runs; None and an empty text are no condition."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    service: str = Field("", max_length=100)
    kind: str = Field("", max_length=100)
    state: Annotated[State | None, BeforeValidator(_none_if_empty)] = None
    target: str = Field("", max_length=500)
    """A part of the target's name."""

    cursor: str = Field("", max_length=200)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunLine:
    """A run in a list."""

    run_id: uuid.UUID
    service: str
    kind: str
    target: str
    status: RunStatus
    dry_run: bool
    requester: str
    counts: Mapping[str, int]
    total: int | None
    message: str | None
    cancel_requested: bool
    queued_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    seconds: float | None
    """How long it has run, or ran; None while it waits."""

    @property
    def is_open(self) -> bool:
        """Whether something may still happen to it."""
        return not self.status.is_final

    @property
    def share_done(self) -> float | None:
        """How much of it is done, 0 to 1; None when the total is unknown."""
        if not self.total:
            return None
        return min(1.0, self.counts.get("processed", 0) / self.total)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunError:
    """A record that a run could not handle."""

    at: datetime
    category: str
    error_class: str
    message: str
    source: str
    external_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunDetail:
    """Everything about a run."""

    line: RunLine
    reason: str | None
    parameters: Mapping[str, Any]
    checkpoint: Mapping[str, Any] | None
    attempts: int
    failures: int
    command_id: str | None
    command_topic: str | None
    """Where the command came in that led to it; None for a schedule's run."""

    heartbeat_at: datetime | None
    available_at: datetime | None
    errors: Sequence[RunError]
    history: Sequence[RunLine]
    """The target's runs of this kind, the newest first, itself included."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SentCommand:
    """A command, and what came of it; one that was given elsewhere is known once it was read."""

    command_id: str
    topic: str
    target: str
    actor: str
    sent_at: datetime
    outcome: str | None
    """None while its owner has not read it: `accepted`, `skipped`, `expired`, `refused`."""

    refusal: str | None
    run: RunLine | None


class Runs(Protocol):
    """The ledger."""

    async def list(self, wanted: RunFilter) -> Page[RunLine]:
        """Return runs, the newest first."""
        ...

    async def find(self, run_id: uuid.UUID) -> RunDetail | None:
        """Return a run."""
        ...

    async def choices(self) -> Mapping[str, Sequence[str]]:
        """Return the services and kinds there are, for a filter."""
        ...

    async def command(self, command_id: str) -> SentCommand | None:
        """Return a command, given here or elsewhere."""
        ...

    async def command_body(self, run_id: uuid.UUID) -> tuple[str, Mapping[str, Any]] | None:
        """Return topic and body of the command that led to a run, to give it again."""
        ...
