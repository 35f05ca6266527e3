"""A production and a UAT database on PostgreSQL."""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import asyncpg

from chassis.failpoints import reach
from refresher.adapters import postgres_identity
from refresher.adapters.copy_binary import MaskedStream
from refresher.adapters.postgres_catalog import read_catalog
from refresher.adapters.postgres_connections import Connections
from refresher.adapters.postgres_copy import Masking, Pace, copy_rows
from refresher.adapters.postgres_reading import measure, summarise_table
from refresher.adapters.postgres_snapshot import Snapshot
from refresher.adapters.postgres_swap import prepare, run_at_once, run_each, swap_once
from refresher.adapters.swapping import Exchange
from refresher.domain.catalog import Catalog, Extent, Side, TableRef
from refresher.domain.dialect import Dialect
from refresher.domain.failures import first_failure
from refresher.domain.guards import Identity, VerifiedTarget
from refresher.domain.masking import Masker
from refresher.domain.pgsql import PostgresDialect, names
from refresher.domain.plan import ComponentPlan, Plan, Swap, TablePlan
from refresher.domain.statements import Statement
from refresher.domain.verification import Summary, Verification
from refresher.errors import PlanStaleError, SwapBusyError
from refresher.ports import Fence, Loaded, Progress, Question, Swapped

_TABLES_AT_ONCE = 2
_SCHEMA_ATTEMPTS = 50


@contextlib.asynccontextmanager
async def open_postgres(
    source: Connections, target: Connections, *, silence: float
) -> AsyncGenerator["PostgresEngine"]:
    """Open both databases; every connection is closed when the context ends."""
    engine = PostgresEngine(source, target, silence=silence)
    try:
        yield engine
    finally:
        await engine.close()


class PostgresEngine:
    """Both databases, and everything a refresh does to them."""

    def __init__(self, source: Connections, target: Connections, *, silence: float) -> None:
        self._sides = {Side.SOURCE: source, Side.TARGET: target}
        self._dialect = PostgresDialect()
        self._silence = silence
        self._masks = ThreadPoolExecutor(1, thread_name_prefix="refresh-masks")

    @property
    def dialect(self) -> Dialect:
        """PostgreSQL's language."""
        return self._dialect

    # --- looking ---------------------------------------------------------------------------
    async def identify(self, side: Side) -> Identity:
        """Ask a database who it is and what the login may do."""
        async with self._sides[side].lend() as connection:
            return await postgres_identity.identify(connection, side)

    async def read_catalog(self, side: Side, tables: Collection[TableRef]) -> Catalog:
        """Read what the catalogs say about these tables."""
        async with self._sides[side].lend() as connection:
            return await read_catalog(connection, tables)

    async def measure(self, side: Side, questions: Sequence[Question]) -> list[Extent]:
        """Answer questions about sizes and bounds."""
        async with self._sides[side].lend() as connection:
            return [await measure(connection, side, question) for question in questions]

    # --- schema ----------------------------------------------------------------------------
    async def apply_schema(self, target: VerifiedTarget, table: TablePlan) -> None:
        """Execute `table.schema`, a short transaction each."""
        for statement in table.schema:
            await self._alter(target, statement)

    async def _alter(self, target: VerifiedTarget, statement: Statement) -> None:
        for _ in range(_SCHEMA_ATTEMPTS):
            async with self._sides[Side.TARGET].write(target) as connection:
                try:
                    async with connection.transaction():
                        await connection.execute("set local lock_timeout = 200")
                        await connection.execute(statement.sql)
                except asyncpg.LockNotAvailableError:
                    await asyncio.sleep(0.1)
                    continue
            return
        raise SwapBusyError(f"{statement.table}: no lock to {statement.purpose}")

    # --- loading ---------------------------------------------------------------------------
    async def load(
        self,
        target: VerifiedTarget,
        plan: Plan,
        component: ComponentPlan,
        *,
        key: bytes,
        progress: Progress,
    ) -> Mapping[str, Loaded]:
        """Fill staging for a component's tables, build it, and compare it with the source."""
        async with self._sides[Side.TARGET].write(target) as connection:
            await prepare(connection)
        slots = asyncio.Semaphore(_TABLES_AT_ONCE)
        with first_failure():
            source = self._sides[Side.SOURCE]
            async with Snapshot.taken(source) as snapshot, asyncio.TaskGroup() as group:
                tasks = {
                    table.key: group.create_task(
                        self._load_table(
                            _Load(
                                target=target,
                                plan=plan,
                                table=table,
                                key=key,
                                progress=progress,
                                snapshot=snapshot,
                            ),
                            slots,
                        )
                    )
                    for table in component.tables
                }
        return {name: task.result() for name, task in tasks.items()}

    async def _load_table(self, load: "_Load", slots: asyncio.Semaphore) -> Loaded:
        async with slots:
            seconds: dict[str, float] = {}
            with _timed(seconds, "read"):
                rows, size, maskers = await self._copy(load)
            await reach("refresh.loaded")
            # Staging of an exchange falls apart into partitions when it is built.
            with _timed(seconds, "verify"):
                verification = await self._verify(load, maskers)
            with _timed(seconds, "build"):
                async with self._sides[Side.TARGET].write(load.target) as connection:
                    await run_each(connection, load.table.build)
            await reach("refresh.built")
            return Loaded(rows=rows, bytes=size, verification=verification, seconds=seconds)

    async def _copy(self, load: "_Load") -> tuple[int, int, dict[str, Masker]]:
        table = load.table
        maskers = {mask.column: Masker(mask, load.key) for mask in table.masks}
        alone = len(table.reads) == 1 and table.swap is not Swap.PARTITIONS
        if not alone:
            async with self._sides[Side.TARGET].write(load.target) as connection:
                await run_at_once(connection, table.stage)
        await reach("refresh.staged")
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(self._copy_range(load, query, maskers, is_alone=alone))
                for query in table.reads
            ]
        return sum(task.result() for task in tasks), load.bytes, maskers

    async def _copy_range(
        self, load: "_Load", query: Statement, maskers: Mapping[str, Masker], *, is_alone: bool
    ) -> int:
        table = load.table
        async with (
            load.snapshot.reading() as source,
            self._sides[Side.TARGET].write(load.target) as target,
            target.transaction(),
        ):
            if is_alone:
                # Made and filled in one transaction: the rows can be written frozen, and nothing
                # of them is left when it fails.
                await run_at_once(target, table.stage)
            return await copy_rows(
                source,
                target,
                query,
                into=table.staging,
                columns=[column.name for column in table.copied],
                masking=self._masking(table, maskers),
                pace=Pace(silence_seconds=self._silence, bytes_per_second=_bytes_pace(load)),
                tell=load.tell,
                freeze=is_alone,
            )

    def _masking(self, table: TablePlan, maskers: Mapping[str, Masker]) -> Masking | None:
        if not maskers:
            return None
        if table.row_mark is None:
            raise PlanStaleError
        found = [maskers[column.name] for column in table.copied[: len(maskers)]]
        stream = MaskedStream(found, width=len(table.columns), mark=table.row_mark)
        return Masking(stream=stream, executor=self._masks)

    async def _verify(self, load: "_Load", maskers: Mapping[str, Masker]) -> Verification:
        table = load.table

        async def there() -> Summary:
            async with load.snapshot.reading() as connection:
                return await summarise_table(connection, table, table.source_summary)

        async def here() -> Summary:
            async with self._sides[Side.TARGET].lend() as connection:
                return await summarise_table(connection, table, table.staging_summary)

        async with asyncio.TaskGroup() as group:
            source, staging = group.create_task(there()), group.create_task(here())
        return Verification(
            source=source.result(),
            staging=staging.result(),
            masks={name: masker.proof for name, masker in maskers.items()},
        )

    # --- swapping --------------------------------------------------------------------------
    async def swap(
        self, target: VerifiedTarget, plan: Plan, component: ComponentPlan, *, fence: Fence
    ) -> Swapped:
        """Execute `component.swap` in one transaction, then `component.after`."""
        side = self._sides[Side.TARGET]
        work = Exchange(
            plan=plan, component=component, kind="swap", statements=component.swap, fence=fence
        )
        swapped = await swap_once(side, target, work)
        await reach("refresh.swapped")
        if component.after:
            async with side.write(target) as connection:
                await run_each(connection, component.after)
        return swapped

    async def undo(
        self, target: VerifiedTarget, plan: Plan, component: ComponentPlan, *, fence: Fence
    ) -> Swapped:
        """Put the old rows back in one transaction."""
        work = Exchange(
            plan=plan, component=component, kind="undo", statements=component.undo, fence=fence
        )
        return await swap_once(self._sides[Side.TARGET], target, work)

    async def summarise(self, target: VerifiedTarget, table: TablePlan) -> Summary:
        """Execute `table.target_summary`."""
        async with self._sides[Side.TARGET].write(target) as connection:
            return await summarise_table(connection, table, table.target_summary)

    # --- ending ----------------------------------------------------------------------------
    async def clean(self, target: VerifiedTarget, table: TablePlan) -> None:
        """Execute `table.clean`."""
        async with self._sides[Side.TARGET].write(target) as connection:
            await run_at_once(connection, table.clean)

    async def forget(self, target: VerifiedTarget, table: TablePlan) -> None:
        """Execute `table.forget`."""
        async with self._sides[Side.TARGET].write(target) as connection:
            await run_at_once(connection, table.forget)

    async def leftovers(self, target: VerifiedTarget, keep: Collection[str]) -> list[str]:
        """Drop staging and undo tables of runs that are not in `keep`."""
        async with self._sides[Side.TARGET].write(target) as connection:
            rows = await connection.fetch(_LEFTOVERS, names.OWN_SCHEMA, list(keep))
            for row in rows:
                ref = TableRef(names.OWN_SCHEMA, row["name"])
                await connection.execute(f"drop table if exists {names.table(ref)}")
        return [row["name"] for row in rows]

    async def close(self) -> None:
        """Close every connection."""
        for side in self._sides.values():
            await side.close()
        self._masks.shutdown(wait=False, cancel_futures=True)


_LEFTOVERS = """
select c.relname::text as name
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname = $1 and c.relkind in ('r', 'p') and c.relname ~ '^[su]_[0-9a-f]{10}_'
  and not split_part(c.relname, '_', 2) = any($2::text[])
order by c.relkind, 1
"""


@dataclass(slots=True, kw_only=True)
class _Load:
    """One table that is being loaded."""

    target: VerifiedTarget
    plan: Plan
    table: TablePlan
    key: bytes
    progress: Progress
    snapshot: Snapshot
    rows: int = 0
    bytes: int = 0

    async def tell(self, rows: int, size: int) -> None:
        """Add a piece and report."""
        self.rows += rows
        self.bytes += size
        await self.progress(self.table.key, self.rows, self.bytes)


def _bytes_pace(load: _Load) -> float | None:
    """Return the pace in bytes; a stream that is not unpacked does not know its rows."""
    pace, estimate = load.plan.rows_per_second, load.table.estimate
    if pace is None:
        return None
    width = max(estimate.bytes / estimate.rows if estimate.rows else 0.0, 32.0)
    return pace * width


@contextlib.contextmanager
def _timed(seconds: dict[str, float], phase: str) -> Iterator[None]:
    started = time.monotonic()
    yield
    seconds[phase] = round(time.monotonic() - started, 3)
