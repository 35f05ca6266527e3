"""Leases with fencing tokens: at most one holder's effects are ever committed.

Only the database's clock counts. Every take-over draws a higher token; an effect's transaction
starts with `guard`, which fails when the token is stale and, while the transaction lasts, makes a
take-over wait. A holder that is paused inside a transaction is ended by
`idle_in_transaction_session_timeout`, so a take-over never waits longer than that.
"""

import asyncio
import contextlib
import uuid
from collections.abc import AsyncGenerator
from dataclasses import dataclass

from chassis.db import Connection, Database
from chassis.errors import LeaseLostError, TransientError
from chassis.logs import get_logger
from chassis.metrics import LEASE_HELD, LEASE_LOSSES

DEFAULT_TTL_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Lease:
    """The proof of holding a name, valid until someone draws a higher token."""

    name: str
    holder: str
    token: int


async def acquire(
    database: Database, name: str, *, holder: str, ttl_seconds: float = DEFAULT_TTL_SECONDS
) -> Lease | None:
    """Take a free or expired lease; None when somebody else holds it."""
    async with database.connection() as connection:
        token = await connection.fetchval(_ACQUIRE, name, holder, ttl_seconds)
    return None if token is None else Lease(name, holder, token)


async def renew(
    database: Database, lease: Lease, *, ttl_seconds: float = DEFAULT_TTL_SECONDS
) -> None:
    """Extend a lease.

    Raises:
        LeaseLostError: somebody else has taken it.
    """
    async with database.connection() as connection:
        status = await connection.execute(
            "update meta.leases set expires_at = clock_timestamp() + make_interval(secs => $3) "
            "where name = $1 and token = $2",
            lease.name,
            lease.token,
            ttl_seconds,
        )
    if status != "UPDATE 1":
        raise LeaseLostError(lease=lease.name)


async def release(database: Database, lease: Lease) -> None:
    """Give a lease back at once; harmless when it was lost."""
    async with database.connection() as connection:
        await connection.execute(
            "update meta.leases set expires_at = '-infinity' where name = $1 and token = $2",
            lease.name,
            lease.token,
        )


async def guard(connection: Connection, lease: Lease) -> None:
    """Fence the surrounding transaction; must be its first statement.

    Raises:
        LeaseLostError: the token is stale, nothing may be written.
    """
    held = await connection.fetchval(
        "select 1 from meta.leases where name = $1 and token = $2 for key share",
        lease.name,
        lease.token,
    )
    if held is None:
        raise LeaseLostError(lease=lease.name)


@contextlib.asynccontextmanager
async def held(
    database: Database,
    name: str,
    *,
    holder: str | None = None,
    kind: str | None = None,
    ttl_seconds: float = DEFAULT_TTL_SECONDS,
    poll_seconds: float = 1.0,
) -> AsyncGenerator[Lease]:
    """Wait for a lease, hold it with renewals, and give it back.

    The body is cancelled, and `LeaseLostError` raised, when a renewal finds the lease lost.
    """
    holder = holder or str(uuid.uuid4())
    gauge, losses = LEASE_HELD.labels(kind or name), LEASE_LOSSES.labels(kind or name)
    lease = await _wait_for(
        database, name, holder=holder, ttl_seconds=ttl_seconds, poll_seconds=poll_seconds
    )
    gauge.inc()
    try:
        async with asyncio.TaskGroup() as group:
            renewal = group.create_task(_keep(database, lease, ttl_seconds))
            yield lease
            renewal.cancel()
    except BaseExceptionGroup as errors:
        error = _first(errors.subgroup(LeaseLostError) or errors)
        losses.inc(isinstance(error, LeaseLostError))
        raise error from error.__cause__
    finally:
        gauge.dec()
        with contextlib.suppress(TransientError):
            await release(database, lease)


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


async def _wait_for(
    database: Database, name: str, *, holder: str, ttl_seconds: float, poll_seconds: float
) -> Lease:
    while True:
        lease = await acquire(database, name, holder=holder, ttl_seconds=ttl_seconds)
        if lease is not None:
            return lease
        await asyncio.sleep(poll_seconds)


async def _keep(database: Database, lease: Lease, ttl_seconds: float) -> None:
    """Renew until cancelled; raise when the lease is lost, or may be because nothing answers."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + ttl_seconds
    pause = ttl_seconds / 3
    while True:
        await asyncio.sleep(min(pause, max(0.0, deadline - loop.time())))
        sent_at = loop.time()
        try:
            # A call that hangs must not keep the body at work beyond the lease's end.
            async with asyncio.timeout_at(deadline):
                await renew(database, lease, ttl_seconds=ttl_seconds)
        except LeaseLostError:
            raise
        except (TransientError, TimeoutError) as error:
            if loop.time() >= deadline:
                raise LeaseLostError(lease=lease.name) from error
            get_logger().warning("lease_renewal_failed", lease=lease.name, error=error)
            pause = ttl_seconds / 10
        else:
            deadline = sent_at + ttl_seconds
            pause = ttl_seconds / 3


# Looking first keeps a waiting candidate from locking the row: an insert that meets a conflict
# locks it before it compares, and would wait for the holder's transactions.
_ACQUIRE = """
insert into meta.leases as lease (name, holder, token, expires_at)
select $1, $2, 1, clock_timestamp() + make_interval(secs => $3)
where not exists (
    select 1 from meta.leases where name = $1 and expires_at >= clock_timestamp()
)
on conflict (name) do update
    set holder = $2, token = lease.token + 1, acquired_at = clock_timestamp(),
        expires_at = clock_timestamp() + make_interval(secs => $3)
    where lease.expires_at < clock_timestamp()
returning token
"""
