"""Runs whose worker vanished, was stopped, lost its lease, or was told to stop."""

import asyncio
import uuid
from typing import Any

import pytest

from chassis import leases
from chassis.clock import SystemClock
from chassis.db import Database
from chassis.errors import LeaseLostError
from chassis.runs import RunCancelledError, RunContext, ledger
from contracts.runs import RunCounts, RunStatus
from tests.support.databases import opened
from tests.support.eventually import eventually
from tests.support.runs import (
    events,
    idle,
    queue,
    run_row,
    status_is,
    until_idle,
    worked,
    working,
)

pytestmark = pytest.mark.usefixtures("hasty")


# --- a worker that vanishes


async def vanish(database: Database, *, checkpoint: dict[str, Any] | None = None) -> None:
    """Claim a run as a worker does, and never be heard of again."""
    async with database.transaction() as transaction:
        run = await ledger.claim(transaction.connection, "scanner", ["scan"])
    assert run is not None
    lease = await leases.acquire(
        database, f"run/scanner/scan/{run.target}", holder=str(uuid.uuid4()), ttl_seconds=0.6
    )
    assert lease is not None
    if checkpoint is not None:
        ctx = RunContext(run, database=database, lease=lease, clock=SystemClock())
        await ctx.checkpoint(checkpoint)


async def test_a_run_whose_worker_vanished_resumes_at_its_checkpoint(database: Database) -> None:
    seen: list[dict[str, Any] | None] = []

    async def job(ctx: RunContext) -> RunCounts:
        seen.append(ctx.run.checkpoint)
        return RunCounts(processed=5)

    run_id = await queue(database)
    await vanish(database, checkpoint={"page": 3})
    assert await working(database, job).step() is False, "not before it is overdue"
    await until_idle(working(database, job))

    assert seen == [{"page": 3}]
    row = await run_row(database, run_id)
    assert (row["status"], row["attempts"]) == ("completed", 2)


@pytest.mark.covers("C-14")
async def test_a_run_that_kills_every_worker_is_abandoned(database: Database) -> None:
    run_id = await queue(database)
    for _ in range(5):
        async with database.transaction() as transaction:
            await ledger.reap(transaction, "scanner")
            assert await ledger.claim(transaction.connection, "scanner", ["scan"]) is not None
        await overdue(database)

    assert await working(database, idle).step() is False
    row = await run_row(database, run_id)
    assert (row["status"], row["attempts"]) == ("abandoned", 5)
    assert row["message"] == "its worker stopped beating; failed 5 times"
    assert (await events(database, run_id))[-1]["status"] == "abandoned"


async def overdue(database: Database) -> None:
    async with database.connection() as connection:
        await connection.execute(
            "update meta.runs set heartbeat_at = clock_timestamp() - interval '1 hour'"
        )


async def test_a_worker_that_is_stopped_gives_its_run_back_unharmed(database: Database) -> None:
    attempts: list[int] = []
    entered = asyncio.Event()

    async def job(ctx: RunContext) -> RunCounts:
        attempts.append(ctx.run.attempts)
        await ctx.checkpoint({"page": 1})
        if len(attempts) <= 7:  # more often than a run may fail
            entered.set()
            await asyncio.sleep(30)
        return RunCounts(processed=1)

    run_id = await queue(database)
    for _ in range(7):
        async with worked(database, job):
            await entered.wait()
        entered.clear()
        row = await run_row(database, run_id)
        assert (row["status"], row["failures"]) == ("queued", 0)
    await until_idle(working(database, job))

    assert (await run_row(database, run_id))["status"] == "completed"


async def test_a_lease_that_is_still_held_costs_the_run_nothing(database: Database) -> None:
    run_id = await queue(database)
    holder = await leases.acquire(database, "run/scanner/scan/nas", holder="late", ttl_seconds=0.6)
    assert holder is not None

    await until_idle(working(database, idle))

    row = await run_row(database, run_id)
    assert (row["status"], row["failures"]) == ("completed", 0)


async def test_a_worker_that_lost_its_lease_stops_and_writes_nothing(database: Database) -> None:
    wrote: list[str] = []

    async def job(ctx: RunContext) -> RunCounts:
        async with database.connection() as connection:
            await connection.execute("update meta.leases set token = token + 1")
        with pytest.raises(LeaseLostError):
            async with ctx.transaction():
                wrote.append("an effect")
        with pytest.raises(LeaseLostError):
            await ctx.checkpoint({"page": 9})
        await asyncio.sleep(30)  # the heartbeat ends it
        return RunCounts()

    run_id = await queue(database)
    async with asyncio.timeout(5):
        assert await working(database, job).step() is True

    row = await run_row(database, run_id)
    assert wrote == []
    assert (row["status"], row["checkpoint"]) == ("running", None), "the new owner's business"


async def test_a_job_ends_with_its_lease_when_the_database_hangs(
    database_url: str, database: Database
) -> None:
    started, ended = asyncio.Event(), asyncio.Event()

    async def job(_: RunContext) -> RunCounts:
        started.set()
        try:
            await asyncio.sleep(30)
        finally:
            ended.set()
        return RunCounts()

    await queue(database)
    async with (
        opened(database_url) as other,
        other.connection() as connection,
        worked(database, job),
    ):
        await started.wait()
        block = connection.transaction()
        await block.start()
        await connection.execute("select 1 from meta.leases for update")
        async with asyncio.timeout(3):
            await ended.wait()
        await block.rollback()


async def test_a_worker_that_was_taken_over_cannot_write_under_the_new_attempt(
    database: Database,
) -> None:
    await queue(database)
    async with database.transaction() as transaction:
        old = await ledger.claim(transaction.connection, "scanner", ["scan"])
    await overdue(database)
    async with database.transaction() as transaction:
        new = await ledger.claim(transaction.connection, "scanner", ["scan"])
    assert old is not None
    assert new is not None
    assert (old.run_id, old.attempts, new.attempts) == (new.run_id, 1, 2)

    async with database.transaction() as transaction:
        with pytest.raises(LeaseLostError):
            await ledger.beat(transaction.connection, old)
        with pytest.raises(LeaseLostError):
            await ledger.report(transaction, old, RunCounts(processed=9))
        with pytest.raises(LeaseLostError):
            await ledger.checkpoint(transaction, old, {"page": 9})
        assert not await ledger.finish(
            transaction, old, RunStatus.FAILED, counts=RunCounts(processed=9)
        )
        await ledger.requeue(transaction, old, "too late")
        assert await ledger.beat(transaction.connection, new) is False

    row = await run_row(database, new.run_id)
    assert (row["status"], row["counts"], row["checkpoint"]) == ("running", {}, None)


# --- cancelling


async def test_a_waiting_run_is_cancelled_at_once(database: Database) -> None:
    run_id = await queue(database)
    async with database.transaction() as transaction:
        assert await ledger.cancel(transaction, [uuid.UUID(run_id)]) == 1

    row = await run_row(database, run_id)
    assert (row["status"], row["attempts"]) == ("cancelled", 0)
    assert row["finished_at"] is not None
    assert [event["status"] for event in await events(database)] == ["queued", "cancelled"]
    assert await working(database, idle).step() is False


async def test_a_running_run_is_cancelled_at_its_next_safe_point(database: Database) -> None:
    steps: list[int] = []
    cleaned: list[bool] = []

    async def job(ctx: RunContext) -> RunCounts:
        try:
            for number in range(1000):
                steps.append(number)
                await ctx.report(RunCounts(processed=number))
                await asyncio.sleep(0.02)
        except RunCancelledError:
            cleaned.append(True)
            raise
        return RunCounts()

    run_id = await queue(database)
    async with worked(database, job):
        await eventually(lambda: len(steps) > 3)
        async with database.transaction() as transaction:
            await ledger.cancel(transaction, [uuid.UUID(run_id)])
        await eventually(lambda: status_is(database, run_id, "cancelled"))

    row = await run_row(database, run_id)
    assert cleaned == [True]
    assert row["message"] == "cancelled on request"
    assert row["counts"]["processed"] > 0


async def test_a_cancelled_run_whose_worker_vanished_is_not_taken_up_again(
    database: Database,
) -> None:
    run_id = await queue(database)
    await vanish(database)
    async with database.transaction() as transaction:
        await ledger.cancel(transaction, [uuid.UUID(run_id)])
    await overdue(database)

    assert await working(database, idle).step() is False
    assert (await run_row(database, run_id))["status"] == "cancelled"


async def test_a_run_that_ended_cannot_be_cancelled(database: Database) -> None:
    run_id = await queue(database)
    await until_idle(working(database, idle))

    async with database.transaction() as transaction:
        assert await ledger.cancel(transaction, [uuid.UUID(run_id)]) == 0
    assert (await run_row(database, run_id))["status"] == "completed"
