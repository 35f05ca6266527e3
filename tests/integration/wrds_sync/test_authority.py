"""The lease in PostgreSQL, and the schedule that relies on the ledger."""

from collections.abc import AsyncGenerator
from datetime import time

import pytest

from chassis.db import Database
from tests.support.clocks import HandClock
from tests.support.hub import open_database
from tests.support.wrds_mirror import NOW
from wrds_sync.adapters.authority import PostgresAuthority
from wrds_sync.errors import LockAcquisitionError, LockLostError
from wrds_sync.jobs import Schedule


@pytest.fixture
async def database(database_url: str) -> AsyncGenerator[Database]:
    opened = await open_database(database_url, "wrds_sync")
    try:
        yield opened
    finally:
        await opened.close()


@pytest.mark.covers("C-35", "S5-34")
async def test_one_host_holds_a_data_set_at_a_time(database: Database) -> None:
    one, other = PostgresAuthority(database), PostgresAuthority(database)
    async with one.holding("crsp", timeout_seconds=5) as token:
        assert token is not None
        with pytest.raises(LockAcquisitionError, match="holds the lease"):
            await other.holding("crsp", timeout_seconds=0.3).__aenter__()
        async with other.holding("compustat", timeout_seconds=5):
            pass
    async with other.holding("crsp", timeout_seconds=5) as next_token:
        assert next_token is not None
        assert next_token > token


@pytest.mark.covers("C-35")
async def test_a_lease_that_is_taken_ends_the_body(database: Database) -> None:
    authority = PostgresAuthority(database, ttl_seconds=0.6)

    async def work() -> None:
        async with (
            authority.holding("crsp", timeout_seconds=5),
            database.connection() as connection,
        ):
            await connection.execute(
                "update meta.leases set token = token + 1 where name = 'wrds_sync/crsp'"
            )
            await connection.execute("select pg_sleep(5)")

    with pytest.raises(LockLostError):
        await work()


@pytest.mark.covers("S5-28")
async def test_any_number_of_replicas_make_one_run_a_day(database: Database) -> None:
    clock = HandClock(NOW)
    for _ in range(3):
        schedule = Schedule(database, ["crsp", "factors"], at=time(6), clock=clock)
        await schedule.step()
        await schedule.step()
    async with database.connection() as connection:
        rows = await connection.fetch("select target, parameters from meta.runs order by target")
    assert [(row["target"], row["parameters"]) for row in rows] == [
        ("crsp", {"mode": "incremental"}),
        ("factors", {"mode": "incremental"}),
    ]
