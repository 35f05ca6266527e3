"""Executes a plan's transactions in a SQL Server target: short locks, retries, a fence, a note.

The note is written in the same transaction as the swap, so after a crash the target itself says
whether the swap happened; the fence refuses a worker that was overtaken while it was away.
"""

import asyncio
import json
import random
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from chassis.errors import LeaseLostError
from chassis.failpoints import reach
from refresher.adapters.sqlserver_errors import SqlServerBusyError
from refresher.adapters.sqlserver_process import DriverProcess, Result
from refresher.domain import tsql_queries as queries
from refresher.domain.catalog import Side
from refresher.domain.plan import ComponentPlan, Plan
from refresher.domain.statements import Statement, Tally
from refresher.errors import GuardError, SwapBusyError
from refresher.ports import Fence, Swapped

_PAUSE_SECONDS = (0.05, 0.25)
_ROLLBACK = "IF @@TRANCOUNT > 0 ROLLBACK TRANSACTION"
_IDENTITY_OFF = ("SET IDENTITY_INSERT ", " OFF")


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """One transaction of a plan, to be executed once."""

    plan: Plan
    component: ComponentPlan
    kind: str
    """`swap` or `undo`."""

    statements: tuple[Statement, ...]
    fence: Fence


@dataclass(slots=True)
class _Counter:
    """Tallies while a transaction runs."""

    tallies: dict[str, dict[Tally, int]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(int))
    )
    locked_at: float | None = None

    def add(self, table: str, tally: Tally, number: int) -> None:
        """Count rows."""
        self.tallies[table][tally] += number

    def lock(self) -> None:
        """Remember when the first lock was had."""
        if self.locked_at is None:
            self.locked_at = time.monotonic()


class Target:
    """The target's session in one driver process."""

    def __init__(self, driver: DriverProcess, seconds: float) -> None:
        self._driver = driver
        self._seconds = seconds

    async def run(self, sql: str, *parameters: str) -> Result:
        """Run one statement."""
        return await self._driver.query(Side.TARGET, sql, *parameters, seconds=self._seconds)

    async def run_each(self, statements: Iterable[Statement]) -> None:
        """Run statements one by one, each its own transaction."""
        for statement in statements:
            await self.run(statement.sql, *(value.text for value in statement.parameters))

    async def prepare(self) -> None:
        """Make the tables that we keep in the target."""
        for sql in queries.BOOKS:
            await self.run(sql)


async def execute_once(target: Target, work: Exchange) -> Swapped:
    """Execute one transaction, once per plan and component.

    Raises:
        SwapBusyError: the locks could not be had.
        GuardError: a `refuse` query found something.
        LeaseLostError: a newer token was seen.
    """
    began = time.monotonic()
    plan = work.plan
    for attempt in range(1, plan.swap_attempts + 1):
        known = await _find(target, work)
        if known is not None:
            return Swapped(tallies=known)
        counter = _Counter()
        started = time.monotonic()
        try:
            await _transact(target, work, counter)
        except SqlServerBusyError:
            await _forget(target, work)
            await asyncio.sleep(random.uniform(*_PAUSE_SECONDS))  # noqa: S311 - jitter
            continue
        locked_at = counter.locked_at or started
        return Swapped(
            tallies={table: dict(found) for table, found in counter.tallies.items()},
            wait_seconds=round(locked_at - began, 4),
            lock_seconds=round(time.monotonic() - locked_at, 4),
            attempts=attempt,
        )
    raise SwapBusyError(
        f"{work.component.name}: others use the table; no lock within {plan.lock_timeout_ms} ms "
        f"in {plan.swap_attempts} attempts"
    )


async def _find(target: Target, work: Exchange) -> Mapping[str, Mapping[Tally, int]] | None:
    found = await target.run(queries.FIND_SWAP, work.plan.plan_id, work.component.name, work.kind)
    if not found.rows:
        return None
    tallies: dict[str, dict[str, int]] = json.loads(found.rows[0][0])
    return {
        table: {Tally(name): number for name, number in numbers.items()}
        for table, numbers in tallies.items()
    }


async def _transact(target: Target, work: Exchange, counter: _Counter) -> None:
    await target.run(f"SET LOCK_TIMEOUT {int(work.plan.lock_timeout_ms)}")
    await target.run("BEGIN TRANSACTION")
    for table in sorted(table.key for table in work.component.tables):
        await _raise_fence(target, table, work.fence)
    for statement in work.statements:
        await _execute(target, statement, counter)
        if statement.lock is not None:
            counter.lock()
    plan_id, name = work.plan.plan_id, work.component.name
    await target.run(queries.NOTE_SWAP, plan_id, name, work.kind, json.dumps(counter.tallies))
    await reach(f"refresh.in_{work.kind}")
    await target.run("COMMIT TRANSACTION")


async def _raise_fence(target: Target, table: str, fence: Fence) -> None:
    token = str(fence.token)
    raised = await target.run(queries.RAISE_FENCE, token, table, token)
    if not raised.affected:
        made = await target.run(queries.MAKE_FENCE, table, token, table)
        if not made.affected:
            raise LeaseLostError(f"{table}: another worker has taken over the refresh")


async def _execute(target: Target, statement: Statement, counter: _Counter) -> None:
    result = await target.run(statement.sql, *(value.text for value in statement.parameters))
    if statement.refuse is not None:
        if found := _number(result):
            raise GuardError(f"{statement.refuse} ({found} rows)", table=statement.table)
    elif statement.tally is Tally.KEPT:
        counter.add(statement.table, Tally.KEPT, _number(result))
    elif statement.tally is not None:
        counter.add(statement.table, statement.tally, result.affected)


def _number(result: Result) -> int:
    value: Any = result.rows[0][0]
    return int(value)


async def _forget(target: Target, work: Exchange) -> None:
    """Bring the session back to where the transaction found it.

    A rollback does not take back `IDENTITY_INSERT`, and only one table may have it.
    """
    await target.run(_ROLLBACK)
    begin, end = _IDENTITY_OFF
    for statement in work.statements:
        if statement.sql.startswith(begin) and statement.sql.endswith(end):
            await target.run(statement.sql)
