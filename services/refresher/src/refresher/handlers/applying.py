"""Applies a plan: component by component, staging first, then one short swap each.

The checkpoint of the run says how far it is; what was swapped is also noted in the target itself,
so a worker that takes over after a crash finds either the old rows or the new ones, and goes on.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from chassis import leases
from chassis.db import Database
from chassis.errors import PermanentError, TransientError
from chassis.failpoints import reach
from chassis.logs import get_logger
from chassis.retry import backoff_seconds
from chassis.runs import RunContext
from contracts.runs import RunCounts
from refresher import metrics
from refresher.domain.config import RefreshConfig, SyncMode
from refresher.domain.failures import first_failure
from refresher.domain.guards import VerifiedTarget
from refresher.domain.plan import ComponentPlan, Plan, Swap, TablePlan
from refresher.domain.statements import Tally
from refresher.errors import GuardError, TableBusyError, VerificationError
from refresher.ports import Engine, Fence, Ledger, Loaded, StoredPlan, Swapped, TableOutcome

_WATCH_SECONDS = 0.2
_LEASE_PATIENCE_SECONDS = 5.0
_LEASE_SECONDS = 30.0


@dataclass(slots=True)
class _Progress:
    """How far a plan is; the run's checkpoint."""

    plan_id: str
    staged: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    """Component → table → what was loaded."""

    done: list[str] = field(default_factory=list)
    """Components whose outcome is recorded."""

    counts: RunCounts = field(default_factory=RunCounts)

    def state(self) -> dict[str, Any]:
        """Return the checkpoint."""
        return {
            "plan_id": self.plan_id,
            "staged": self.staged,
            "done": self.done,
            "counts": self.counts.model_dump(),
        }

    @classmethod
    def of(cls, plan: Plan, checkpoint: Mapping[str, Any] | None) -> "_Progress":
        """Return the state that a checkpoint holds; a new one for another plan."""
        if not checkpoint or checkpoint.get("plan_id") != plan.plan_id:
            return cls(plan.plan_id)
        return cls(
            plan.plan_id,
            dict(checkpoint["staged"]),
            list(checkpoint["done"]),
            RunCounts.model_validate(checkpoint["counts"]),
        )


class Applying:
    """Applies plans and takes them back."""

    def __init__(
        self, config: RefreshConfig, *, ledger: Ledger, database: Database, key: bytes
    ) -> None:
        self._config = config
        self._ledger = ledger
        self._database = database
        self._key = key

    async def apply(
        self, context: RunContext, engine: Engine, target: VerifiedTarget, stored: StoredPlan
    ) -> RunCounts:
        """Do what the plan says; return what was done.

        Raises:
            VerificationError: staging is not what the source holds; nothing was swapped.
            GuardError: the result looks wrong; nothing was swapped.
            TableBusyError: another run refreshes one of the tables.
        """
        plan = stored.plan
        progress = _Progress.of(plan, context.run.checkpoint)
        async with self._exclusive(plan) as fence:
            try:
                async with watched(context):
                    for component in plan.components:
                        if component.name not in progress.done:
                            work = _Work(context, engine, target, stored, component, fence)
                            await self._apply_component(work, progress)
                        # Here, and not after the recording: a crash may lie between the two.
                        for table in component.tables:
                            await engine.clean(target, table)
            except PermanentError:
                # What was swapped stays and is recorded; what was not leaves nothing behind.
                await self._clean(engine, target, plan, progress)
                raise
        return progress.counts

    # --- one component ---------------------------------------------------------------------
    async def _apply_component(self, work: "_Work", progress: _Progress) -> None:
        component = work.component
        loaded = progress.staged.get(component.name)
        if loaded is None:
            for table in component.tables:
                await work.engine.apply_schema(work.target, table)
            loaded = await self._stage(work, progress)
            progress.staged[component.name] = loaded
            await work.context.checkpoint(progress.state())
            await reach("refresh.verified")
        await self._say(work, progress, f"swapping {_names(component)}")
        if self._config.settings.verbose_logging:
            for statement in component.swap:
                get_logger().info("refresh_statement", table=statement.table, sql=statement.sql)
        swapped = await work.engine.swap(work.target, work.stored.plan, component, fence=work.fence)
        await reach("refresh.before_record")
        await self._record(work, progress, loaded, swapped)
        _heed_cancellation()
        await reach("refresh.recorded")

    async def _stage(self, work: "_Work", progress: _Progress) -> dict[str, dict[str, Any]]:
        loaded = await self._load(work, progress)
        for table in work.component.tables:
            check(table, loaded[table.key], is_forced=work.stored.is_forced)
        return {name: _plain(item) for name, item in loaded.items()}

    async def _load(self, work: "_Work", progress: _Progress) -> Mapping[str, Loaded]:
        sizes: dict[str, tuple[int, int]] = {}

        async def tell(table: str, rows: int, size: int) -> None:
            sizes[table] = (rows, size)
            done = sum(size for _, size in sizes.values())
            await self._say(work, progress, f"copying {table}: {done / 1e6:.1f} MB")

        attempts = self._config.settings.max_retries + 1
        for attempt in range(1, attempts + 1):
            try:
                return await work.engine.load(
                    work.target, work.stored.plan, work.component, key=self._key, progress=tell
                )
            except TransientError as error:
                if attempt == attempts:
                    raise
                get_logger().warning("refresh_load_repeated", attempt=attempt, error=error)
                metrics.RETRIES.inc()
                await asyncio.sleep(backoff_seconds(attempt, cap=5.0))
        raise AssertionError  # pragma: no cover - the loop returns or raises

    async def _say(self, work: "_Work", progress: _Progress, message: str) -> None:
        total = sum(table.estimate.rows for table in work.stored.plan.tables)
        await work.context.report(progress.counts, total=total, message=message)

    async def _record(
        self,
        work: "_Work",
        progress: _Progress,
        loaded: Mapping[str, Mapping[str, Any]],
        swapped: Swapped,
    ) -> None:
        outcomes = [
            TableOutcome(
                table=table,
                loaded=loaded[table.key],
                swapped=swapped,
                is_sweep=table.mode is SyncMode.FULL_REPLACE,
                tallies=_tallies(table, loaded[table.key], swapped),
            )
            for table in work.component.tables
        ]
        progress.done.append(work.component.name)
        progress.staged.pop(work.component.name, None)
        for outcome in outcomes:
            progress.counts = _add(progress.counts, outcome)
        async with work.context.transaction() as transaction:
            await self._ledger.record(transaction.connection, work.stored, outcomes)
            await work.context.checkpoint(progress.state(), transaction=transaction)
        for outcome in outcomes:
            _measure(outcome)

    async def _clean(
        self, engine: Engine, target: VerifiedTarget, plan: Plan, progress: _Progress
    ) -> None:
        with contextlib.suppress(TransientError, PermanentError):
            for component in plan.components:
                if component.name not in progress.done:
                    for table in component.tables:
                        await engine.clean(target, table)

    # --- exclusion -------------------------------------------------------------------------
    @contextlib.asynccontextmanager
    async def _exclusive(self, plan: Plan) -> AsyncGenerator[Fence]:
        """Hold every table of the plan, in one order for everybody.

        Raises:
            TableBusyError: another run holds one.
        """
        async with contextlib.AsyncExitStack() as stack:
            for key in sorted(table.key for table in plan.tables):
                try:
                    async with asyncio.timeout(_LEASE_PATIENCE_SECONDS):
                        await stack.enter_async_context(
                            leases.held(
                                self._database,
                                f"refresh/table/{key}",
                                kind="refresh-table",
                                ttl_seconds=_LEASE_SECONDS,
                                poll_seconds=0.5,
                            )
                        )
                except TimeoutError as error:
                    raise TableBusyError(
                        f"another run refreshes {key}", retry_after=10.0
                    ) from error
            async with self._database.connection() as connection:
                token = await self._ledger.next_token(connection)
            yield Fence(run_id=plan.plan_id, token=token)

    async def undo(
        self,
        context: RunContext,
        engine: Engine,
        target: VerifiedTarget,
        *,
        stored: StoredPlan,
        recorded: Collection[str],
    ) -> RunCounts:
        """Put back what the plan replaced in the tables that it has swapped, the last one first.

        Raises:
            RefreshError: what undo needs is gone.
        """
        counts = RunCounts()
        plan = stored.plan
        async with self._exclusive(plan) as fence:
            async with watched(context):
                for component in reversed(plan.components):
                    if component.tables[0].key not in recorded:
                        continue
                    swapped = await engine.undo(target, plan, component, fence=fence)
                    counts = _add_undone(counts, swapped)
                    await context.report(counts, message=f"undone {_names(component)}")
            async with context.transaction() as transaction:
                await self._ledger.undone(transaction.connection, plan.plan_id)
            await reach("refresh.undone")
            for table in plan.tables:
                await engine.clean(target, table)
                await engine.forget(target, table)
        return counts


@dataclass(frozen=True, slots=True)
class _Work:
    """One component that is being applied."""

    context: RunContext
    engine: Engine
    target: VerifiedTarget
    stored: StoredPlan
    component: ComponentPlan
    fence: Fence


@contextlib.asynccontextmanager
async def watched(context: RunContext) -> AsyncGenerator[None]:
    """Cancel the body soon after somebody asked for it, whatever it waits for.

    Raises:
        RunCancelledError: it was asked for.
    """

    async def watch() -> None:
        while True:
            context.raise_if_cancelled()
            await asyncio.sleep(_WATCH_SECONDS)

    with first_failure():
        async with asyncio.TaskGroup() as group:
            watcher = group.create_task(watch())
            yield
            watcher.cancel()


def _heed_cancellation() -> None:
    """Stop now, if that was asked for while a swap could not be stopped any more."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


def check(table: TablePlan, loaded: Loaded, *, is_forced: bool) -> None:
    """Look at what was loaded before anything is swapped.

    Raises:
        VerificationError: it is not what the source holds.
        GuardError: far fewer rows than the target has.
    """
    if problems := loaded.verification.problems:
        metrics.VERIFICATION_FAILURES.inc()
        raise VerificationError(
            f"{table.key}: staging differs from the source: {'; '.join(problems[:5])}",
            table=table.key,
        )
    if table.mode is not SyncMode.FULL_REPLACE or is_forced or table.target_rows == 0:
        return
    lost = 1 - loaded.rows / table.target_rows
    if loaded.rows == 0 or lost > table.max_row_drop:
        metrics.GUARD_STOPS.inc()
        raise GuardError(
            f"{table.key}: the source has {loaded.rows} rows and the target "
            f"{table.target_rows}; a drop of more than {table.max_row_drop:.0%} stops a refresh "
            "(`max_row_drop`, or `--force`)",
            table=table.key,
        )


def _plain(loaded: Loaded) -> dict[str, Any]:
    return {
        "rows": loaded.rows,
        "bytes": loaded.bytes,
        "seconds": dict(loaded.seconds),
        "checksum": loaded.verification.source.checksum,
        "masked": {
            name: {"masked": proof.masked, "empty": proof.empty}
            for name, proof in loaded.verification.masks.items()
        },
    }


def _tallies(table: TablePlan, loaded: Mapping[str, Any], swapped: Swapped) -> Mapping[Tally, int]:
    if table.swap in (Swap.PARTITIONS, Swap.RENAME):
        # Whole tables change places: nobody counts rows.
        gone = table.target_rows if table.window is None else 0
        return {Tally.INSERTED: loaded["rows"], Tally.DELETED: gone}
    return swapped.tallies.get(table.key, {})


def _add(counts: RunCounts, outcome: TableOutcome) -> RunCounts:
    rows = outcome.loaded["rows"]
    found = outcome.tallies
    new, changed = found.get(Tally.INSERTED, 0), found.get(Tally.UPDATED, 0)
    return RunCounts(
        processed=counts.processed + rows,
        new=counts.new + new,
        changed=counts.changed + changed,
        unchanged=counts.unchanged + max(rows - new - changed, 0),
        deleted=counts.deleted + found.get(Tally.DELETED, 0),
    )


def _add_undone(counts: RunCounts, swapped: Swapped) -> RunCounts:
    found = list(swapped.tallies.values())
    new = sum(item.get(Tally.INSERTED, 0) for item in found)
    changed = sum(item.get(Tally.UPDATED, 0) for item in found)
    deleted = sum(item.get(Tally.DELETED, 0) for item in found)
    return RunCounts(
        processed=counts.processed + new + changed + deleted,
        new=counts.new + new,
        changed=counts.changed + changed,
        deleted=counts.deleted + deleted,
    )


def _measure(outcome: TableOutcome) -> None:
    metrics.ROWS.labels("read").inc(outcome.loaded["rows"])
    for tally, number in outcome.tallies.items():
        metrics.ROWS.labels(tally.value).inc(number)
    metrics.BYTES.inc(outcome.loaded["bytes"])
    for phase, seconds in outcome.loaded["seconds"].items():
        metrics.PHASE_DURATION.labels(phase).observe(seconds)
    metrics.PHASE_DURATION.labels("wait").observe(outcome.swapped.wait_seconds)
    metrics.PHASE_DURATION.labels("lock").observe(outcome.swapped.lock_seconds)


def _names(component: ComponentPlan) -> str:
    names = [table.key for table in component.tables]
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"
