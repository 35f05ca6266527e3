"""What a refresh asks of the outside: one port per engine, and the ledger of plans and results.

`Engine` is implemented once per database system. Everything that writes takes a `VerifiedTarget`;
everything that is decided stands in the plan already.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Protocol

from chassis.db import Connection
from refresher.domain.catalog import Catalog, Extent, Side, TableRef
from refresher.domain.dialect import Dialect
from refresher.domain.guards import Identity, VerifiedTarget
from refresher.domain.modes import LastRefresh
from refresher.domain.observations import TableObservation
from refresher.domain.plan import ComponentPlan, Plan, TablePlan
from refresher.domain.previews import Preview, Row, Sample
from refresher.domain.statements import Tally
from refresher.domain.verification import Summary, Verification

Progress = Callable[[str, int, int], Awaitable[None]]
"""Told (table key, rows so far or 0 if unknown, bytes so far), often; may raise to cancel."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Which numbers of a table planning needs."""

    ref: TableRef
    column: str | None = None
    """The incremental column."""

    counts_rows: bool = True
    """Whether a target's rows are counted; an estimate does where only a window is replaced."""

    counts_nulls: bool = True
    """Whether rows are counted whose column is null; that reads the whole table."""

    key: str | None = None
    """A primary key of one whole number, if it shall be cut into ranges."""

    predicate: str | None = None
    """Only rows that meet it: `row_filter`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """What was read into staging for one table."""

    rows: int
    bytes: int
    verification: Verification
    seconds: Mapping[str, float] = field(default_factory=dict)
    """Per phase: stage, read, build, verify."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Swapped:
    """What a swap did."""

    tallies: Mapping[str, Mapping[Tally, int]]
    """Per table key."""

    wait_seconds: float = 0.0
    """Spent waiting for locks, failed attempts included."""

    lock_seconds: float = 0.0
    """From the first lock to the commit."""

    attempts: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Fence:
    """Who swaps: an older holder's token is refused inside the swap's transaction."""

    run_id: str
    token: int


class Engine(Protocol):
    """A source and a target of one database system."""

    @property
    def dialect(self) -> Dialect:
        """The engine's language."""
        ...

    async def identify(self, side: Side) -> Identity:
        """Ask a database who it is and what the login may do.

        Raises:
            TransientError: it does not answer, or refuses the log-on.
        """
        ...

    async def read_catalog(self, side: Side, tables: Collection[TableRef]) -> Catalog:
        """Read what the catalogs say about these tables; a table that is missing is left out."""
        ...

    async def measure(self, side: Side, questions: Sequence[Question]) -> list[Extent]:
        """Answer questions about sizes and bounds, in their order."""
        ...

    async def apply_schema(self, target: VerifiedTarget, table: TablePlan) -> None:
        """Execute `table.schema`, a short transaction each, with lock time-out and retries."""
        ...

    async def load(
        self,
        target: VerifiedTarget,
        plan: Plan,
        component: ComponentPlan,
        *,
        key: bytes,
        progress: Progress,
    ) -> Mapping[str, Loaded]:
        """Fill staging for a component's tables, build it, and compare it with the source.

        All of a component's reads and summaries see one state of the source. On any failure, and
        on cancellation, both ends of every copy are closed within a second and the error is
        raised; staging may be left and is made anew by the next attempt.

        Args:
            target: The proof that the target may be written to.
            plan: Limits that hold for all of it: pace, lock time-out.
            component: What to load.
            key: Of the masks.
            progress: Told how far it is.
        """
        ...

    async def swap(
        self, target: VerifiedTarget, plan: Plan, component: ComponentPlan, *, fence: Fence
    ) -> Swapped:
        """Execute `component.swap` in one transaction, with lock time-out and retries, then
        `component.after`.

        The transaction also writes a note of the swap into the target, so that a repetition after
        a crash finds it done and returns the same tallies. A cancellation that comes too late is
        not raised: what is committed is returned, to be recorded.

        Raises:
            SwapBusyError: the locks could not be had.
            GuardError: a statement's `refuse` query found something.
            LeaseLostError: a newer token was seen.
        """
        ...

    async def undo(
        self, target: VerifiedTarget, plan: Plan, component: ComponentPlan, *, fence: Fence
    ) -> Swapped:
        """Put the old rows back in one transaction; a repetition finds it done.

        Raises:
            SwapBusyError: the locks could not be had.
            RefreshError: what undo needs is gone.
        """
        ...

    async def summarise(self, target: VerifiedTarget, table: TablePlan) -> Summary:
        """Execute `table.target_summary`."""
        ...

    async def clean(self, target: VerifiedTarget, table: TablePlan) -> None:
        """Execute `table.clean`."""
        ...

    async def forget(self, target: VerifiedTarget, table: TablePlan) -> None:
        """Execute `table.forget`."""
        ...

    async def leftovers(self, target: VerifiedTarget, keep: Collection[str]) -> list[str]:
        """Drop staging and undo tables of runs that are not in `keep` (their short tokens);
        return the names.
        """
        ...

    async def close(self) -> None:
        """Close every connection."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredPlan:
    """A plan and what became of it."""

    plan: Plan
    run_id: str
    target: str
    status: str
    requester: str
    is_forced: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TableOutcome:
    """What a refresh did to one table."""

    table: TablePlan
    loaded: Mapping[str, Any]
    """As `Loaded`, in plain values that survive a checkpoint: rows, bytes, seconds, masked,
    checksum."""

    swapped: Swapped
    is_sweep: bool
    tallies: Mapping[Tally, int]


class Ledger(Protocol):
    """Remembers plans and their outcomes; statements join the caller's transaction."""

    async def store(
        self, connection: Connection, stored: StoredPlan, *, reason: str | None
    ) -> None:
        """Remember a new plan."""
        ...

    async def find(self, connection: Connection, plan_id: str) -> StoredPlan | None:
        """Return a plan by its id, or by the id of the run that applied it."""
        ...

    async def mark(
        self,
        connection: Connection,
        plan_id: str,
        status: str,
        *,
        message: str | None = None,
        decided_by: str | None = None,
    ) -> None:
        """Change what became of a plan."""
        ...

    async def applied(self, connection: Connection, plan_id: str, *, keep_hours: float) -> None:
        """Say that a plan is applied, and until when it can be undone."""
        ...

    async def record(
        self, connection: Connection, stored: StoredPlan, outcomes: Sequence[TableOutcome]
    ) -> None:
        """Remember what was done to tables; a repetition changes nothing."""
        ...

    async def last_refreshes(
        self, connection: Connection, keys: Collection[str]
    ) -> Mapping[str, LastRefresh]:
        """Return each table's last refresh that was not undone."""
        ...

    async def recorded(self, connection: Connection, plan_id: str) -> set[str]:
        """Return the tables that a plan has swapped and not taken back."""
        ...

    async def newer(self, connection: Connection, plan_id: str) -> list[str]:
        """Return tables of a plan that were refreshed again after it."""
        ...

    async def undone(self, connection: Connection, plan_id: str) -> None:
        """Say that a plan was undone."""
        ...

    async def expired(self, connection: Connection) -> list[StoredPlan]:
        """Return applied plans whose replaced rows need not be kept any longer."""
        ...

    async def forgotten(self, connection: Connection, plan_id: str) -> None:
        """Say that what undo would need is gone."""
        ...

    async def settle(self, connection: Connection) -> None:
        """Mark as failed what was being applied by runs that have ended since."""
        ...

    async def kept(self, connection: Connection) -> list[str]:
        """Return the plans whose tables in the target are still needed."""
        ...

    async def meet(self, connection: Connection, fingerprints: Mapping[Side, str]) -> None:
        """Remember that databases were seen in their roles."""
        ...

    async def known_sources(self, connection: Connection) -> list[str]:
        """Return the fingerprints of every database that was ever a source."""
        ...

    async def next_token(self, connection: Connection) -> int:
        """Draw a fence token, higher than all before."""
        ...

    async def audit(
        self,
        connection: Connection,
        *,
        actor: str,
        action: str,
        subject: str,
        details: Mapping[str, Any],
    ) -> None:
        """Add a line to the audit trail."""
        ...


class EngineFactory(Protocol):
    """Opens the engine that a configuration asks for."""

    def __call__(self) -> AbstractAsyncContextManager[Engine]:
        """Open connections to both databases; closed when the context ends."""
        ...


class Sampler(Protocol):
    """Looks into both databases for people; writes to neither."""

    async def rows(self, sample: Sample) -> list[Row]:
        """Return rows as texts, as the database writes values; newest first."""
        ...

    async def count(
        self, side: Side, ref: TableRef, *, predicate: str | None, limit: int
    ) -> int | None:
        """Return how many rows there are; None when there are more than the limit."""
        ...


class SamplerFactory(Protocol):
    """Opens the databases that a configuration names, for looking."""

    def __call__(self) -> AbstractAsyncContextManager[Sampler]:
        """Open connections; closed when the context ends."""
        ...


class Observations(Protocol):
    """Remembers what was seen; statements join the caller's transaction."""

    async def register(
        self, connection: Connection, tables: Sequence[tuple[str, Mapping[str, Any]]]
    ) -> None:
        """Say which tables there are, in their order; others are forgotten."""
        ...

    async def observe(self, connection: Connection, seen: Sequence[TableObservation]) -> None:
        """Remember what was seen."""
        ...

    async def fail(self, connection: Connection, keys: Collection[str], problem: str) -> None:
        """Say that tables could not be looked at; what was seen before stays."""
        ...

    async def keep(
        self,
        connection: Connection,
        run_id: str,
        preview: Preview,
        *,
        of: tuple[str, str],
        requester: str,
        lasting: timedelta,
    ) -> None:
        """Keep rows for somebody to look at; `of` is the table's key and the side."""
        ...

    async def purge(self, connection: Connection) -> None:
        """Delete rows whose time is over."""
        ...
