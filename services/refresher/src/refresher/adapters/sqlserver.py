"""A production and a UAT database on SQL Server."""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from chassis.failpoints import reach
from refresher.adapters.sqlserver_connections import SqlServerAddress, SqlServerPair, identify
from refresher.adapters.sqlserver_errors import SqlServerBusyError
from refresher.adapters.sqlserver_process import CopyOrder, DriverProcess
from refresher.adapters.sqlserver_reading import measure, read_catalog, summarise
from refresher.adapters.sqlserver_swap import Target, swap_once
from refresher.adapters.swapping import Exchange
from refresher.domain import tsql_names as names
from refresher.domain import tsql_queries as queries
from refresher.domain.catalog import Catalog, Extent, Side, TableRef
from refresher.domain.dialect import Dialect
from refresher.domain.guards import Identity, VerifiedTarget
from refresher.domain.plan import ComponentPlan, Plan, TablePlan
from refresher.domain.statements import Statement
from refresher.domain.tsql import TsqlDialect
from refresher.domain.tsql_catalog import allows_snapshots
from refresher.domain.tsql_reading import load_ref
from refresher.domain.verification import MaskProof, Summary, Verification
from refresher.errors import PlanRefusedError, SwapBusyError
from refresher.ports import Fence, Loaded, Progress, Question, Swapped

_SCHEMA_ATTEMPTS = 50
_SCHEMA_LOCK_MS = 200
_PAUSE_SECONDS = 0.1
_KINDS_OF_OURS = ("s", "u", "l")


@contextlib.asynccontextmanager
async def open_sqlserver(
    source: SqlServerAddress, target: SqlServerAddress, *, silence: float
) -> AsyncGenerator["SqlServerEngine"]:
    """Open both databases; every driver process is gone when the context ends."""
    engine = SqlServerEngine(SqlServerPair(source, target), silence=silence)
    try:
        yield engine
    finally:
        await engine.close()


class SqlServerEngine:
    """Both databases, and everything a refresh does to them.

    Each call that writes has a driver process of its own, so whatever goes wrong ends with it.
    """

    def __init__(self, pair: SqlServerPair, *, silence: float) -> None:
        self._pair = pair
        self._dialect = TsqlDialect()
        self._silence = silence

    @property
    def dialect(self) -> Dialect:
        """T-SQL."""
        return self._dialect

    # --- looking ---------------------------------------------------------------------------
    async def identify(self, side: Side) -> Identity:
        """Ask a database who it is and what the login may do."""
        async with self._pair.look(side) as driver:
            return await identify(driver, side, self._pair.seconds(side))

    async def read_catalog(self, side: Side, tables: Collection[TableRef]) -> Catalog:
        """Read what the catalogs say about these tables."""
        async with self._pair.look(side) as driver:
            return await read_catalog(driver, side, tables, seconds=self._pair.seconds(side))

    async def measure(self, side: Side, questions: Sequence[Question]) -> list[Extent]:
        """Answer questions about sizes and bounds."""
        seconds = self._pair.seconds(side)
        async with self._pair.look(side) as driver:
            return [await measure(driver, side, item, seconds=seconds) for item in questions]

    # --- schema ----------------------------------------------------------------------------
    async def apply_schema(self, target: VerifiedTarget, table: TablePlan) -> None:
        """Execute `table.schema`, a short transaction each."""
        if not table.schema:
            return
        async with self._write(target) as session:
            await session.run(f"SET LOCK_TIMEOUT {_SCHEMA_LOCK_MS}")
            for statement in table.schema:
                await _alter(session, statement)

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
        """Fill staging for a component's tables, build it, and compare it with the source.

        SQL Server cannot lend a snapshot to a second connection, so a component's tables are read
        one after the other by one process.
        """
        async with self._pair.copy(target) as driver:
            session = Target(driver, self._pair.seconds(Side.TARGET))
            await session.prepare()
            await self._begin_snapshot(driver)
            loaded = {}
            for table in component.tables:
                load = _Load(plan=plan, table=table, key=key, progress=progress)
                loaded[table.key] = await self._load_table(driver, session, load)
            await self._ask_source(driver, "COMMIT TRANSACTION")
            return loaded

    async def _begin_snapshot(self, driver: DriverProcess) -> None:
        result = await driver.query(
            Side.SOURCE, queries.SERVER, seconds=self._pair.seconds(Side.SOURCE)
        )
        if not allows_snapshots(result.records()[0]):
            raise PlanRefusedError(
                "the source database does not allow snapshot isolation, without which rows would "
                "be compared with others than those that were read: have "
                "ALLOW_SNAPSHOT_ISOLATION set, or read from a readable secondary"
            )
        await self._ask_source(driver, "SET TRANSACTION ISOLATION LEVEL SNAPSHOT")
        await self._ask_source(driver, "BEGIN TRANSACTION")

    async def _ask_source(self, driver: DriverProcess, sql: str) -> None:
        await driver.query(Side.SOURCE, sql, seconds=self._pair.seconds(Side.SOURCE))

    async def _load_table(self, driver: DriverProcess, session: Target, load: "_Load") -> Loaded:
        table = load.table
        seconds: dict[str, float] = {}
        with _timed(seconds, "stage"):
            await session.run_each(table.stage)
        await reach("refresh.staged")
        rows = size = 0
        masks: Mapping[str, MaskProof] = {}
        with _timed(seconds, "read"):
            for query in table.reads:
                copied = await driver.copy(
                    load.order(query), silence=self._silence, progress=load.tell
                )
                rows, size, masks = rows + copied.rows, size + copied.bytes, copied.masks
        await reach("refresh.loaded")
        with _timed(seconds, "build"):
            await session.run_each(table.build)
        await reach("refresh.built")
        with _timed(seconds, "verify"):
            verification = await self._verify(driver, table, masks)
        return Loaded(rows=rows, bytes=size, verification=verification, seconds=seconds)

    async def _verify(
        self, driver: DriverProcess, table: TablePlan, masks: Mapping[str, MaskProof]
    ) -> Verification:
        sides = {Side.SOURCE: table.source_summary, Side.TARGET: table.staging_summary}
        found = {
            side: await summarise(driver, side, table, query, seconds=self._pair.seconds(side))
            for side, query in sides.items()
        }
        return Verification(source=found[Side.SOURCE], staging=found[Side.TARGET], masks=masks)

    # --- swapping --------------------------------------------------------------------------
    async def swap(
        self, target: VerifiedTarget, plan: Plan, component: ComponentPlan, *, fence: Fence
    ) -> Swapped:
        """Execute `component.swap` in one transaction, then `component.after`."""
        work = Exchange(
            plan=plan, component=component, kind="swap", statements=component.swap, fence=fence
        )
        async with self._write(target) as session:
            await session.prepare()
            swapped = await swap_once(session, work)
            await reach("refresh.swapped")
            await session.run("SET LOCK_TIMEOUT -1")
            await session.run_each(component.after)
            return swapped

    async def undo(
        self, target: VerifiedTarget, plan: Plan, component: ComponentPlan, *, fence: Fence
    ) -> Swapped:
        """Put the old rows back in one transaction."""
        work = Exchange(
            plan=plan, component=component, kind="undo", statements=component.undo, fence=fence
        )
        async with self._write(target) as session:
            await session.prepare()
            return await swap_once(session, work)

    async def summarise(self, target: VerifiedTarget, table: TablePlan) -> Summary:
        """Execute `table.target_summary`."""
        async with self._pair.write(target) as driver:
            return await summarise(
                driver,
                Side.TARGET,
                table,
                table.target_summary,
                seconds=self._pair.seconds(Side.TARGET),
            )

    # --- ending ----------------------------------------------------------------------------
    async def clean(self, target: VerifiedTarget, table: TablePlan) -> None:
        """Execute `table.clean`."""
        async with self._write(target) as session:
            await session.run_each(table.clean)

    async def forget(self, target: VerifiedTarget, table: TablePlan) -> None:
        """Execute `table.forget`."""
        async with self._write(target) as session:
            await session.run_each(table.forget)

    async def leftovers(self, target: VerifiedTarget, keep: Collection[str]) -> list[str]:
        """Drop staging and undo tables of runs that are not in `keep`."""
        async with self._write(target) as session:
            result = await session.run(queries.LEFTOVERS)
            dropped = [name for (name,) in result.rows if _is_left_over(name, keep)]
            for name in dropped:
                ref = names.table(TableRef(names.OWN_SCHEMA, name))
                await session.run(f"DROP TABLE IF EXISTS {ref}")
            return dropped

    async def close(self) -> None:
        """Close every connection."""
        await self._pair.close()

    @contextlib.asynccontextmanager
    async def _write(self, target: VerifiedTarget) -> AsyncGenerator[Target]:
        async with self._pair.write(target) as driver:
            yield Target(driver, self._pair.seconds(Side.TARGET))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Load:
    """One table that is being loaded."""

    plan: Plan
    table: TablePlan
    key: bytes
    progress: Progress

    def order(self, query: Statement) -> CopyOrder:
        """Return what the driver's process shall copy."""
        return CopyOrder(
            sql=query.sql,
            parameters=[value.text for value in query.parameters],
            table=names.table(load_ref(self.table)),
            columns=[column.name for column in self.table.columns],
            batch_rows=self.table.batch_size,
            rows_per_second=self.plan.rows_per_second,
            masks=self.table.masks,
            key=self.key,
        )

    async def tell(self, rows: int, size: int) -> None:
        """Report how far it is."""
        await self.progress(self.table.key, rows, size)


async def _alter(session: Target, statement: Statement) -> None:
    for _ in range(_SCHEMA_ATTEMPTS):
        try:
            await session.run(statement.sql)
        except SqlServerBusyError:
            await asyncio.sleep(_PAUSE_SECONDS)
        else:
            return
    raise SwapBusyError(f"{statement.table}: no lock to {statement.purpose}")


def _is_left_over(name: str, keep: Collection[str]) -> bool:
    kind, _, rest = name.partition("_")
    token = rest.partition("_")[0]
    return kind in _KINDS_OF_OURS and bool(token) and token not in keep


@contextlib.contextmanager
def _timed(seconds: dict[str, float], phase: str) -> Iterator[None]:
    started = time.monotonic()
    yield
    seconds[phase] = round(time.monotonic() - started, 3)
