"""Sources: what was looked at when, what it brought, and what waits for a person."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field

from console.domain.paging import Page
from console.ports.runs import RunError, RunLine

MANY = 10_000
"""Held deletions are counted no further than this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanLine:
    """One look at a source; of a record source a poll."""

    scan_id: str
    mode: str
    prefix: str
    outcome: str | None
    """`complete`, `partial` or `incomplete`; None while it goes on."""

    started_at: datetime
    finished_at: datetime | None
    seen: int
    added: int
    modified: int
    deleted: int
    held: int
    failed: int
    problems: Sequence[Any]
    """What could not be listed or read; the first few."""

    @property
    def seconds(self) -> float | None:
        """How long it took."""
        if self.finished_at is None:
            return None
        return (self.finished_at - self.started_at).total_seconds()


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceLine:
    """A source in the list."""

    name: str
    kind: Literal["files", "records"]
    last: ScanLine | None
    seen: int | None
    """Files or records at the last complete look; None before there was one."""

    seen_at: datetime | None
    held: int
    """Deletions that wait for a person, at most `MANY` + 1."""

    run: RunLine | None
    """The newest run."""

    interval: timedelta | None
    """How often it is looked at; None until the schedule has shown it twice."""

    next_at: datetime | None
    """When the schedule looks next; in the past when it is overdue."""

    @property
    def state(self) -> str:
        """Return one word for it, the most urgent first."""
        if self.run is not None and self.run.is_open:
            return str(self.run.status)
        if self.run is not None and str(self.run.status) in ("failed", "abandoned"):
            return "failed"
        if self.last is None:
            return "not looked at yet"
        if self.last.outcome == "incomplete":
            return "incomplete"
        if self.held:
            return "held"
        return self.last.outcome or "interrupted"


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceDetail:
    """Everything about a source."""

    line: SourceLine
    scans: Sequence[ScanLine]
    runs: Sequence[RunLine]
    errors: Sequence[RunError]
    high_water: str | None
    """How far a record source was read, in its own terms."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldDeletion:
    """A file or record that is gone at the source, and not yet here."""

    path: str
    reason: str
    held_at: datetime
    scan_id: str


class HeldFilter(BaseModel):
    """Which held deletions."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    cursor: str = Field("", max_length=6000)


class Sources(Protocol):
    """What the scanner has written down."""

    async def list(self) -> Sequence[SourceLine]:
        """Return every source that was ever looked at, by name."""
        ...

    async def find(self, name: str) -> SourceDetail | None:
        """Return a source."""
        ...

    async def held(self, name: str, wanted: HeldFilter) -> Page[HeldDeletion]:
        """Return deletions that wait, by path."""
        ...

    async def held_reasons(self, name: str) -> Mapping[str, int]:
        """Return why deletions wait, and how many each."""
        ...
