"""Tables that are copied from production to UAT: how both compare, plans, refreshes, rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field

from console.ports.runs import RunLine

Side = Literal["source", "target"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SideState:
    """A table in one of the two databases, when it was last looked at."""

    rows: int | None
    is_estimate: bool
    size_bytes: int | None
    columns_hash: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RefreshLine:
    """What one refresh did to a table."""

    table_key: str
    plan_id: str
    run_id: str
    finished_at: datetime
    mode: str
    mode_reason: str
    swap: str
    window_low: str | None
    window_high: str | None
    watermark: str | None
    rows_read: int
    bytes_read: int
    rows_inserted: int
    rows_updated: int
    rows_deleted: int
    rows_kept: int
    masked: Mapping[str, Any]
    phases: Mapping[str, float]
    schema_hash: str
    checksum: str | None
    swap_attempts: int
    undone_at: datetime | None
    undo_until: datetime | None
    requester: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TableLine:
    """A table in the list."""

    key: str
    settings: Mapping[str, Any]
    source: SideState
    target: SideState
    drift: Sequence[str]
    problem: str | None
    observed_at: datetime | None
    last: RefreshLine | None
    run: RunLine | None
    """The newest run that refreshes it, alone or with all others."""

    waiting: str | None
    """A plan that waits for approval."""

    @property
    def difference(self) -> int | None:
        """How many rows UAT lacks; negative where it has more."""
        if self.source.rows is None or self.target.rows is None:
            return None
        return self.source.rows - self.target.rows

    @property
    def is_estimate(self) -> bool:
        """Whether a number is the statistics' and not counted."""
        return self.source.is_estimate or self.target.is_estimate

    @property
    def is_same_schema(self) -> bool | None:
        """Whether both have the same columns; None before the first look."""
        if self.source.columns_hash is None or self.target.columns_hash is None:
            return None
        return self.source.columns_hash == self.target.columns_hash

    @property
    def state(self) -> str:
        """Return one word for it, the most urgent first."""
        if self.run is not None and self.run.is_open:
            return str(self.run.status)
        if self.waiting is not None:
            return "waiting"
        if self.problem is not None:
            return "unreachable"
        if self.run is not None and self._has_failed_since(self.run):
            return "failed"
        if self.last is None:
            return "never refreshed"
        return "undone" if self.last.undone_at else "refreshed"

    def _has_failed_since(self, run: RunLine) -> bool:
        if str(run.status) not in ("failed", "abandoned"):
            return False
        return self.last is None or run.queued_at > self.last.finished_at


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanLine:
    """A plan in a list."""

    plan_id: str
    run_id: str
    target: str
    status: str
    requester: str
    reason: str | None
    created_at: datetime
    decided_by: str | None
    decided_at: datetime | None
    applied_at: datetime | None
    undo_until: datetime | None
    is_forced: bool
    message: str | None
    destructive: Sequence[str]
    """What it destroys, in sentences; the reason why a plan waits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanDetail:
    """A plan with everything that it says."""

    line: PlanLine
    plan: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class TableDetail:
    """Everything about a table."""

    line: TableLine
    history: Sequence[RefreshLine]
    runs: Sequence[RunLine]
    plans: Sequence[PlanLine]


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenDatabase:
    """A database that a refresh has read or written."""

    role: str
    fingerprint: str
    last_seen_at: datetime


class RefreshFilter(BaseModel):
    """Which refreshes."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    table: str = Field("", max_length=500)
    limit: int = Field(50, ge=1, le=1000)


@dataclass(frozen=True, slots=True, kw_only=True)
class PreviewState:
    """Rows that were asked for."""

    run: RunLine | None
    """None while the refresher has not read the command."""

    side: Side | None
    columns: Sequence[Mapping[str, Any]]
    rows: Sequence[Sequence[str | None]] | None
    """None until they are there, and once they are gone again."""

    taken_at: datetime | None
    expires_at: datetime | None


class Tables(Protocol):
    """What the refresher has written down."""

    async def list(self) -> Sequence[TableLine]:
        """Return every table of the configuration, in its order."""
        ...

    async def waiting(self) -> Sequence[PlanLine]:
        """Return plans that wait for approval, the newest first."""
        ...

    async def find(self, key: str) -> TableDetail | None:
        """Return a table."""
        ...

    async def plan(self, name: str) -> PlanDetail | None:
        """Return a plan by its id, or by the id of the run that made it."""
        ...

    async def refreshes(self, wanted: RefreshFilter) -> Sequence[RefreshLine]:
        """Return refreshes, the newest first."""
        ...

    async def latest(self) -> Sequence[RefreshLine]:
        """Return the last refresh of every table that ever had one, by table."""
        ...

    async def databases(self) -> Sequence[SeenDatabase]:
        """Return the databases that were seen, by role."""
        ...

    async def preview(self, key: str, command_id: str) -> PreviewState | None:
        """Return rows that a command has asked for; None if there is no such command."""
        ...
