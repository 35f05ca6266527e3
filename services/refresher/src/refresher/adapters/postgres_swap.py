"""Executes a plan's transactions in the target: with short locks, a fence and a note.

Whoever waits for a lock of ours waits for every answer that travels while we hold it. So statements
go out together as far as nobody asks what they return; an exchange, where nobody asks at all, is
one message from the first lock to the commit.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, Iterable, Iterator, Sequence

import asyncpg

from chassis.db import Connection
from chassis.errors import LeaseLostError
from chassis.failpoints import reach
from refresher.adapters.postgres_connections import Connections
from refresher.adapters.swapping import (
    Counter,
    Exchange,
    OthersInTheWayError,
    Tallies,
    execute_once,
    read_tallies,
)
from refresher.domain.guards import VerifiedTarget
from refresher.domain.pgsql import names
from refresher.domain.pgsql.names import OWN_SCHEMA
from refresher.domain.statements import Statement, Tally
from refresher.errors import GuardError
from refresher.ports import Swapped

_BUSY = (
    asyncpg.LockNotAvailableError,
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
    asyncpg.ObjectInUseError,
)

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
with passed as (
    insert into {OWN_SCHEMA}.fences as fence (name, token) select unnest($1::text[]), $2
    on conflict (name) do update set token = excluded.token where fence.token <= excluded.token
    returning name
)
select array(select unnest($1::text[]) except select name from passed order by 1) as refused,
    (select tallies::text from {OWN_SCHEMA}.swaps
     where plan_id = $3 and component = $4 and kind = $5) as known
"""  # noqa: S608 - a constant
_FIND = f"""
select tallies::text from {OWN_SCHEMA}.swaps where plan_id = $1 and component = $2 and kind = $3
"""  # noqa: S608 - a constant

# The session remembers it over the commit; `reset` forgets it.
_LOCKED_AT = "nullif(current_setting('penstock.locked_at', true), '')"
_LOCKED = (
    f"select set_config('penstock.locked_at', coalesce({_LOCKED_AT}, clock_timestamp()::text), "
    "false)"
)
_HELD = f"select extract(epoch from clock_timestamp() - {_LOCKED_AT}::timestamptz)::float8"  # noqa: S608


async def prepare(connection: Connection) -> None:
    """Make the tables that we keep in the target."""
    # One transaction: two runs that begin together must not both create the schema.
    await connection.execute(f"select pg_advisory_xact_lock(7364018226);{BOOKS}")


async def swap_once(connections: Connections, target: VerifiedTarget, work: Exchange) -> Swapped:
    """Execute one transaction, once per plan and component.

    Raises:
        SwapBusyError: the locks could not be had.
        GuardError: a `refuse` query found something.
        LeaseLostError: a newer token was seen.
    """

    async def attempt(counter: Counter) -> Tallies | None:
        async with connections.write(target) as connection, _clean_session(connection):
            try:
                known = await _run(connection, work, counter)
            except _BUSY as error:
                raise OthersInTheWayError from error
            except asyncio.CancelledError:
                # The server may have committed before it heard; then it is done, and is told so.
                known = await _noted(connection, work)
                if known is None:
                    raise
            if known is None:
                counter.lock(await connection.fetchval(_HELD) or 0.0)
            return known

    return await execute_once(work, attempt)


@contextlib.asynccontextmanager
async def _clean_session(connection: Connection) -> AsyncGenerator[None]:
    """End what is left of a transaction, and undo what hooks have set."""
    try:
        yield
    finally:
        if not connection.is_closed():
            if connection.is_in_transaction():
                await connection.execute("rollback")
            await connection.reset()


async def _run(connection: Connection, work: Exchange, counter: Counter) -> Tallies | None:
    """Execute everything; return the tallies of an earlier attempt if that has done it already."""
    await connection.execute(f"begin; set local lock_timeout = {int(work.plan.lock_timeout_ms)}")
    known = await _fence(connection, work)
    if known is not None:
        return known
    *groups, last = _together(work.statements)
    if all(_is_plain(statement) for statement in last) and not groups:
        await _note(connection, work, counter)
        await reach(f"refresh.in_{work.kind}")
        await connection.execute(_joined([*_texts(last), "commit"]))
        return None
    for statements in (*groups, last):
        if len(statements) == 1 and not _is_plain(statements[0]):
            await _execute(connection, statements[0], counter)
        else:
            await connection.execute(_joined(_texts(statements)))
    await _note(connection, work, counter)
    await reach(f"refresh.in_{work.kind}")
    await connection.execute("commit")
    return None


async def _fence(connection: Connection, work: Exchange) -> Tallies | None:
    tables = sorted(table.key for table in work.component.tables)
    found = await connection.fetchrow(
        _FENCE, tables, work.fence.token, work.plan.plan_id, work.component.name, work.kind
    )
    assert found is not None  # noqa: S101 - it selects one row
    if found["known"] is not None:
        return read_tallies(found["known"])
    if found["refused"]:
        refused = ", ".join(found["refused"])
        raise LeaseLostError(f"{refused}: another worker has taken over the refresh")
    return None


async def _noted(connection: Connection, work: Exchange) -> Tallies | None:
    # Waits for the answer to what was cancelled; says nothing where all is committed.
    await connection.execute("rollback")
    found = await connection.fetchval(_FIND, work.plan.plan_id, work.component.name, work.kind)
    return None if found is None else read_tallies(found)


async def _note(connection: Connection, work: Exchange, counter: Counter) -> None:
    values = (work.plan.plan_id, work.component.name, work.kind, json.dumps(counter.tallies))
    listed = ", ".join(names.literal(value) for value in values)
    await connection.execute(
        f"insert into {OWN_SCHEMA}.swaps (plan_id, component, kind, tallies) values ({listed})"  # noqa: S608
    )


def _together(statements: Sequence[Statement]) -> Iterator[list[Statement]]:
    """Yield statements that are sent at once: those of which nobody asks what they return."""
    waiting: list[Statement] = []
    for statement in statements:
        if _is_plain(statement):
            waiting.append(statement)
            continue
        if waiting:
            yield waiting
            waiting = []
        yield [statement]
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


def _texts(statements: Sequence[Statement]) -> list[str]:
    """Return what is sent; behind the first lock, also what remembers when it was had."""
    texts = [statement.sql for statement in statements]
    locks = [number for number, statement in enumerate(statements) if statement.lock is not None]
    if locks:
        texts.insert(locks[0] + 1, _LOCKED)
    return texts


def _joined(texts: Iterable[str]) -> str:
    return "\n;\n".join(texts)


async def _execute(connection: Connection, statement: Statement, counter: Counter) -> None:
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


async def run_at_once(connection: Connection, statements: Sequence[Statement]) -> None:
    """Execute statements that only change catalogs in one transaction and one round trip."""
    if statements:
        await connection.execute(_joined(statement.sql for statement in statements))


async def run_each(connection: Connection, statements: Iterable[Statement]) -> None:
    """Execute statements one by one, each its own transaction."""
    for statement in statements:
        await connection.execute(statement.sql, *(value.scalar for value in statement.parameters))
