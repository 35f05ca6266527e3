"""Executes a plan's transactions in a SQL Server target: with short locks, a fence and a note."""

import json
from collections.abc import Iterable
from typing import Any

from chassis.errors import LeaseLostError
from chassis.failpoints import reach
from refresher.adapters.sqlserver_errors import SqlServerBusyError
from refresher.adapters.sqlserver_process import DriverProcess, Result
from refresher.adapters.swapping import (
    Counter,
    Exchange,
    OthersInTheWayError,
    Tallies,
    execute_once,
    read_tallies,
)
from refresher.domain import tsql_queries as queries
from refresher.domain.catalog import Side
from refresher.domain.statements import Statement, Tally
from refresher.errors import GuardError
from refresher.ports import Fence, Swapped

_ROLLBACK = "IF @@TRANCOUNT > 0 ROLLBACK TRANSACTION"
_IDENTITY_OFF = ("SET IDENTITY_INSERT ", " OFF")


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


async def swap_once(target: Target, work: Exchange) -> Swapped:
    """Execute one transaction, once per plan and component.

    Raises:
        SwapBusyError: the locks could not be had.
        GuardError: a `refuse` query found something.
        LeaseLostError: a newer token was seen.
    """

    async def attempt(counter: Counter) -> Tallies | None:
        known = await _find(target, work)
        if known is None:
            try:
                await _transact(target, work, counter)
            except SqlServerBusyError as error:
                await _forget(target, work)
                raise OthersInTheWayError from error
        return known

    return await execute_once(work, attempt)


async def _find(target: Target, work: Exchange) -> Tallies | None:
    found = await target.run(queries.FIND_SWAP, work.plan.plan_id, work.component.name, work.kind)
    return read_tallies(found.rows[0][0]) if found.rows else None


async def _transact(target: Target, work: Exchange, counter: Counter) -> None:
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


async def _execute(target: Target, statement: Statement, counter: Counter) -> None:
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
