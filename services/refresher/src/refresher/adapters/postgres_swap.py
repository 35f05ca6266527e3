"""Executes a plan's transactions in the target: with short locks, retries, a fence and a note.

The note is written in the same transaction as the swap, so after a crash the target itself says
whether the swap happened; the fence refuses a worker that was overtaken while it was away.
"""

import asyncio
import json
import random
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import asyncpg

from chassis.db import Connection
from chassis.errors import LeaseLostError
from chassis.failpoints import reach
from refresher.adapters.postgres_connections import Connections
from refresher.domain.guards import VerifiedTarget
from refresher.domain.pgsql.names import OWN_SCHEMA
from refresher.domain.plan import ComponentPlan, Plan
from refresher.domain.statements import Statement, Tally
from refresher.errors import GuardError, SwapBusyError
from refresher.ports import Fence, Swapped

_BUSY = (
    asyncpg.LockNotAvailableError,
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
    asyncpg.ObjectInUseError,
)
_PAUSE_SECONDS = (0.05, 0.25)

BOOKS = f"""
create schema if not exists {OWN_SCHEMA};
create table if not exists {OWN_SCHEMA}.swaps (
    plan_id text not null,
    component text not null,
    kind text not null,
    tallies jsonb not null,
    swapped_at timestamptz not null default clock_timestamp(),
    primary key (plan_id, component, kind)
);
create table if not exists {OWN_SCHEMA}.fences (
    name text primary key,
    token bigint not null
);
"""
"""What we keep in the target itself."""

_FENCE = f"""
insert into {OWN_SCHEMA}.fences as fence (name, token) values ($1, $2)
on conflict (name) do update set token = excluded.token where fence.token <= excluded.token
returning token
"""  # noqa: S608 - a constant
_FIND = f"select tallies::text from {OWN_SCHEMA}.swaps where plan_id = $1 and component = $2 and kind = $3"  # noqa: E501, S608
_NOTE = f"insert into {OWN_SCHEMA}.swaps (plan_id, component, kind, tallies) values ($1, $2, $3, $4::text::jsonb)"  # noqa: E501, S608


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


async def prepare(connection: Connection) -> None:
    """Make the tables that we keep in the target."""
    async with connection.transaction():
        # Two runs that begin together must not both create the schema.
        await connection.execute("select pg_advisory_xact_lock(7364018226)")
        await connection.execute(BOOKS)


async def execute_once(connections: Connections, target: VerifiedTarget, work: Exchange) -> Swapped:
    """Execute one transaction, once per plan and component.

    Raises:
        SwapBusyError: the locks could not be had.
        GuardError: a `refuse` query found something.
        LeaseLostError: a newer token was seen.
    """
    began = time.monotonic()
    plan = work.plan
    for attempt in range(1, plan.swap_attempts + 1):
        async with connections.write(target) as connection:
            known = await _find(connection, work)
            if known is not None:
                return Swapped(tallies=known)
            counter = _Counter()
            started = time.monotonic()
            try:
                async with connection.transaction():
                    await _run(connection, work, counter)
            except _BUSY:
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


async def _find(connection: Connection, work: Exchange) -> Mapping[str, Mapping[Tally, int]] | None:
    found = await connection.fetchval(_FIND, work.plan.plan_id, work.component.name, work.kind)
    if found is None:
        return None
    return {
        table: {Tally(name): number for name, number in tallies.items()}
        for table, tallies in json.loads(found).items()
    }


async def _run(connection: Connection, work: Exchange, counter: _Counter) -> None:
    await connection.execute(f"set local lock_timeout = {int(work.plan.lock_timeout_ms)}")
    for table in sorted(table.key for table in work.component.tables):
        if await connection.fetchval(_FENCE, table, work.fence.token) is None:
            raise LeaseLostError(f"{table}: another worker has taken over the refresh")
    for statements in _together(work.statements):
        if len(statements) > 1:
            await connection.execute("\n;\n".join(item.sql for item in statements))
        else:
            await _execute(connection, statements[0], counter)
        if any(item.lock is not None for item in statements):
            counter.lock()
    await connection.execute(
        _NOTE, work.plan.plan_id, work.component.name, work.kind, json.dumps(counter.tallies)
    )
    await reach(f"refresh.in_{work.kind}")


def _together(statements: Sequence[Statement]) -> Iterator[list[Statement]]:
    """Yield statements that are sent at once: others wait while ours travel one by one.

    The first lock is taken alone, so that its time is known.
    """
    waiting: list[Statement] = []
    is_locked = False
    for statement in statements:
        is_alone = not _is_plain(statement) or (statement.lock is not None and not is_locked)
        is_locked = is_locked or statement.lock is not None
        if is_alone and waiting:
            yield waiting
            waiting = []
        if is_alone:
            yield [statement]
        else:
            waiting.append(statement)
    if waiting:
        yield waiting


def _is_plain(statement: Statement) -> bool:
    """Return whether nobody asks what a statement returns."""
    return not (
        statement.parameters
        or statement.refuse is not None
        or statement.returns_tallies
        or statement.tally is not None
    )


async def _execute(connection: Connection, statement: Statement, counter: _Counter) -> None:
    parameters = [value.scalar for value in statement.parameters]
    if statement.refuse is not None:
        if found := await connection.fetchval(statement.sql, *parameters):
            raise GuardError(f"{statement.refuse} ({found} rows)", table=statement.table)
    elif statement.returns_tallies:
        for table, tally, number in await connection.fetch(statement.sql, *parameters):
            counter.add(table, Tally(tally), number)
    elif statement.tally is Tally.KEPT:
        counter.add(
            statement.table, Tally.KEPT, await connection.fetchval(statement.sql, *parameters)
        )
    else:
        status = await connection.execute(statement.sql, *parameters)
        if statement.tally is not None:
            counter.add(statement.table, statement.tally, int(status.rpartition(" ")[2]))


async def run_each(connection: Connection, statements: Iterable[Statement]) -> None:
    """Execute statements one by one, each its own transaction."""
    for statement in statements:
        await connection.execute(statement.sql, *(value.scalar for value in statement.parameters))
