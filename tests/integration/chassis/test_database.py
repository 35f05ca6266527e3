"""The pool and its errors on a real server."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from typing import Any

import asyncpg
import pytest

from chassis import db
from chassis.db import Database
from chassis.errors import PermanentError, TransientError, UnavailableError
from contracts.runs import RunChanged, RunStatus
from contracts.topics import RUN_CHANGED
from penstock.stack.ports import free_port
from tests.support.databases import opened, with_user
from tests.support.eventually import eventually


@pytest.fixture
async def database(database_url: str) -> AsyncGenerator[Database]:
    async with opened(database_url) as one:
        yield one


@pytest.fixture
async def table(database: Database) -> str:
    async with database.connection() as connection:
        await connection.execute("create table things (id int primary key, body jsonb)")
    return "things"


async def count(database: Database) -> int:
    async with database.connection() as connection:
        number: int = await connection.fetchval("select count(*) from things")
    return number


# --- errors


async def test_a_violated_key_is_permanent(database: Database, table: str) -> None:
    with pytest.raises(PermanentError, match=f"{table}_pkey") as refusal:
        async with database.connection() as connection:
            await connection.execute("insert into things (id) values (5), (5)")

    assert "(5)" not in str(refusal.value), "the row is not quoted"


@pytest.mark.parametrize(
    "value",
    [2**31, "five", {"number": 2**80}, {"text": "\ud83d"}],
    ids=["too large", "no number", "no JSON number", "half a character"],
)
async def test_a_value_that_the_driver_refuses_is_permanent_not_an_outage(
    database: Database, table: str, value: Any
) -> None:
    # An outage would be retried for ever, and block the partition that the value came from.
    statement = f"insert into {table} (id, body) values ($1, $2)"
    arguments = (1, value) if isinstance(value, dict) else (value, None)

    with pytest.raises(PermanentError) as refusal:
        async with database.transaction() as transaction:
            await transaction.connection.execute(statement, *arguments)

    assert "five" not in str(refusal.value)
    assert await count(database) == 0


async def test_a_missing_table_waits_for_the_migration(database: Database) -> None:
    with pytest.raises(TransientError) as refusal:
        async with database.connection() as connection:
            await connection.execute("select 1 from nowhere")

    assert refusal.value.retry_after == 60


async def test_a_connection_that_is_cut_is_an_outage_and_the_next_one_works(
    database: Database,
) -> None:
    with pytest.raises(UnavailableError):
        async with database.connection() as connection:
            await connection.execute("select pg_terminate_backend(pg_backend_pid())")

    async with database.connection() as connection:
        assert await connection.fetchval("select 1") == 1


async def test_a_connection_that_was_cut_between_two_statements_is_an_outage(
    database: Database,
) -> None:
    async def be_cut_and_go_on() -> None:
        async with database.transaction() as transaction:
            pid = await transaction.connection.fetchval("select pg_backend_pid()")
            async with database.connection() as other:
                await other.execute("select pg_terminate_backend($1)", pid)
            await asyncio.sleep(0.2)
            await transaction.connection.execute("select 1")

    with pytest.raises(UnavailableError):
        await be_cut_and_go_on()


async def test_using_the_driver_wrongly_is_a_bug_not_an_outage(database: Database) -> None:
    with pytest.raises(asyncpg.InterfaceError, match="expects 1 argument"):
        async with database.connection() as connection:
            await connection.execute("select $1::int", 1, 2)


async def test_a_file_error_inside_a_transaction_stays_a_file_error(
    database: Database, table: str
) -> None:
    async def write_and_fail() -> None:
        async with database.transaction() as transaction:
            await transaction.connection.execute(f"insert into {table} (id) values (1)")
            raise FileNotFoundError("a.xml")

    with pytest.raises(FileNotFoundError):
        await write_and_fail()
    assert await count(database) == 0


async def test_a_plan_made_stale_by_a_migration_is_an_outage(database: Database) -> None:
    read = "select * from wide"
    async with database.connection() as connection:
        await connection.execute("create table wide (a int); insert into wide values (1)")
        await connection.fetch(read)
    async with database.transaction() as transaction:  # the same one, with its prepared statement
        async with database.connection() as migration:
            await migration.execute("alter table wide add column b int")
        with pytest.raises(UnavailableError), db.translated_errors():
            await transaction.connection.fetch(read)
        await transaction.connection.execute("rollback")


# --- time limits


async def test_a_lock_that_is_not_had_in_time_is_an_outage(
    database_url: str, database: Database, table: str
) -> None:
    lock = f"lock table {table}"

    async def try_to_lock(impatient: Database) -> None:
        async with asyncio.timeout(5), impatient.transaction() as transaction:
            await transaction.connection.execute(lock)

    async with (
        opened(database_url, lock_timeout_seconds=0.2) as impatient,
        database.transaction() as holder,
    ):
        await holder.connection.execute(lock)
        with pytest.raises(UnavailableError, match="lock timeout"):
            await try_to_lock(impatient)


async def test_a_statement_that_takes_too_long_is_ended_on_the_server_as_well(
    database_url: str, database: Database
) -> None:
    async with opened(database_url, command_timeout_seconds=0.3) as impatient:
        with pytest.raises(UnavailableError):
            async with impatient.connection() as connection:
                await connection.execute("select pg_sleep(77)")

        async def nothing_runs() -> bool:
            async with database.connection() as connection:
                busy = await connection.fetchval(
                    "select count(*) from pg_stat_activity "
                    "where state = 'active' and query like '%pg_sleep(77)%' "
                    "and pid <> pg_backend_pid()"
                )
            return bool(busy == 0)

        await eventually(nothing_runs, timeout=5)


async def test_a_transaction_that_does_nothing_is_ended(database_url: str) -> None:
    async def sleep_in_a_transaction(one: Database) -> None:
        async with one.transaction() as transaction:
            await asyncio.sleep(0.8)
            await transaction.connection.execute("select 1")

    async with opened(database_url, idle_timeout_seconds=0.2) as one:
        with pytest.raises(UnavailableError):
            await sleep_in_a_transaction(one)


async def test_a_time_limit_below_a_second_is_not_switched_off(database_url: str) -> None:
    async with (
        opened(database_url, lock_timeout_seconds=0.4, idle_timeout_seconds=0.4) as one,
        one.connection() as connection,
    ):
        assert await connection.fetchval("show lock_timeout") == "400ms"
        assert await connection.fetchval("show idle_in_transaction_session_timeout") == "400ms"
        assert await connection.fetchval("show timezone") == "UTC"


# --- the pool


@pytest.mark.covers("S2-35")
async def test_fifteen_connections_are_lent_and_the_next_one_waits(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(db, "ACQUIRE_TIMEOUT", 0.3)

    async with contextlib.AsyncExitStack() as stack:
        for _ in range(15):
            await stack.enter_async_context(database.connection())
        assert (database.pool_size, database.pool_idle) == (15, 0)
        with pytest.raises(UnavailableError):
            await stack.enter_async_context(database.connection())

    async with database.connection() as connection:
        assert await connection.fetchval("select 1") == 1


async def test_a_closed_pool_is_an_outage(database_url: str) -> None:
    async with opened(database_url) as one:
        pass

    with pytest.raises(UnavailableError):
        async with one.connection():
            pass


async def test_closing_does_not_wait_for_ever_for_a_connection_that_is_kept(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(db, "CLOSE_TIMEOUT", 0.2)

    async def close_while_in_use(one: Database) -> None:
        async with one.connection() as connection:
            await one.close()
            await connection.execute("select 1")

    async with asyncio.timeout(5), opened(database_url) as one:
        with pytest.raises(UnavailableError):
            await close_while_in_use(one)


# --- opening


async def test_a_database_that_does_not_exist_is_tried_rarely(database_url: str) -> None:
    head, _, _ = database_url.partition("?")
    wrong = database_url.replace(head.rpartition("/")[2], "missing_database")

    with pytest.raises(TransientError) as refusal:
        async with opened(wrong):
            pass
    assert refusal.value.retry_after == 60


async def test_a_wrong_password_is_tried_rarely(database_url: str) -> None:
    with pytest.raises(TransientError, match="refuses the service") as refusal:
        async with opened(with_user(database_url, "nobody", "hunter2-canary")):
            pass

    assert refusal.value.retry_after == 60
    assert "hunter2" not in str(refusal.value)


async def test_a_server_that_is_not_there_is_an_outage() -> None:
    with pytest.raises(UnavailableError, match="PostgreSQL does not answer"):
        async with opened(f"postgresql://u:hunter2@127.0.0.1:{free_port()}/x"):
            pass


# --- transactions and their events


def run_changed(run_id: str) -> RunChanged:
    return RunChanged(
        run_id=run_id, service="tester", kind="scan", target="nas", status=RunStatus.QUEUED
    )


async def outbox(database: Database) -> list[Any]:
    async with database.connection() as connection:
        rows: list[Any] = await connection.fetch("select * from meta.outbox order by id")
    return rows


async def test_an_event_leaves_if_and_only_if_its_transaction_commits(
    database: Database, table: str
) -> None:
    async def publish_and_fail() -> None:
        async with database.transaction() as transaction:
            transaction.publish(RUN_CHANGED, run_changed("lost"))
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await publish_and_fail()
    async with database.transaction() as transaction:
        await transaction.connection.execute(f"insert into {table} (id) values (1)")
        transaction.publish(RUN_CHANGED, run_changed("kept"), event_id="e-1")

    (row,) = await outbox(database)
    assert (row["service"], row["topic"], row["key"]) == ("tester", "run.changed", b"kept")
    assert row["headers"]["ce_id"] == "e-1"
    assert f'"sequence":{row["id"]}'.encode() in row["value"]
    assert await count(database) == 1


async def test_the_order_of_publishing_is_the_order_of_sequences(database: Database) -> None:
    async with database.transaction() as transaction:
        for number in range(500):
            transaction.publish(RUN_CHANGED, run_changed(f"r{number}"))

    assert [row["key"].decode() for row in await outbox(database)] == [
        f"r{number}" for number in range(500)
    ]


async def test_json_comes_back_as_it_was_written(database: Database, table: str) -> None:
    body = {"a": [1, 2.5, None, "ü"], "b": {"c": True}}
    async with database.connection() as connection:
        await connection.execute(f"insert into {table} values (1, $1)", body)
        assert await connection.fetchval(f"select body from {table}") == body
