"""The life of runs on a real database: queued once, claimed once, reported, ended."""

import asyncio
from collections import Counter

import pytest
import structlog

from chassis.clock import SystemClock
from chassis.db import Database
from chassis.errors import PermanentError, TransientError, UnavailableError
from chassis.runs import RunContext, RunWorker, context, ledger
from contracts.commands import OverlapPolicy
from contracts.errors import ErrorCategory
from contracts.runs import RunCounts
from tests.support.databases import opened
from tests.support.eventually import eventually
from tests.support.runs import (
    events,
    idle,
    queue,
    run_row,
    status_is,
    statuses,
    until_idle,
    worked,
    working,
)

pytestmark = pytest.mark.usefixtures("hasty")


# --- queueing


async def test_the_same_command_makes_one_run(database: Database) -> None:
    first = await queue(database, command_id="c-1", parameters={"mode": "full"})
    again = await asyncio.gather(*(queue(database, command_id="c-1") for _ in range(5)))

    assert set(again) == {first}
    assert await statuses(database) == ["queued"]
    assert (await run_row(database, first))["parameters"] == {"mode": "full"}
    assert [event["status"] for event in await events(database)] == ["queued"]


async def test_the_same_command_after_its_run_ended_is_still_the_same(database: Database) -> None:
    first = await queue(database, command_id="c-1")
    await until_idle(working(database, idle))

    assert await queue(database, command_id="c-1") == first
    assert await statuses(database) == ["completed"]


async def test_one_command_may_make_a_run_of_each_of_its_targets(database: Database) -> None:
    runs = [await queue(database, target, command_id="all") for target in ("a", "b")]

    assert len(set(runs)) == 2


async def test_of_two_commands_at_once_skip_keeps_one(database: Database) -> None:
    results = await asyncio.gather(
        *(queue(database, command_id=f"c-{number}") for number in range(8))
    )

    assert sum(result is not None for result in results) == 1


async def test_queue_runs_one_after_the_other(database: Database) -> None:
    busy: list[int] = []

    async def job(_: RunContext) -> RunCounts:
        busy.append(+1)
        assert sum(busy) == 1
        await asyncio.sleep(0.05)
        busy.append(-1)
        return RunCounts()

    for _ in range(4):
        assert await queue(database, overlap=OverlapPolicy.QUEUE) is not None
    await asyncio.gather(*(until_idle(working(database, job)) for _ in range(3)))

    assert await statuses(database) == ["completed"] * 4


async def test_replace_cancels_what_waits_and_what_runs(database: Database) -> None:
    entered = asyncio.Event()

    async def job(ctx: RunContext) -> RunCounts:
        entered.set()
        while ctx.run.run_id == running:
            await ctx.report(RunCounts())
            await asyncio.sleep(0.02)
        return RunCounts()

    running = await queue(database)
    async with worked(database, job):
        await entered.wait()
        waiting = await queue(database, overlap=OverlapPolicy.QUEUE)
        final = await queue(database, overlap=OverlapPolicy.REPLACE)
        await eventually(lambda: status_is(database, final, "completed"))

    assert (await run_row(database, running))["status"] == "cancelled"
    assert (await run_row(database, waiting))["status"] == "cancelled"
    assert (await run_row(database, waiting))["attempts"] == 0


async def test_a_run_that_was_told_to_stop_does_not_answer_a_new_command(
    database: Database,
) -> None:
    old = await queue(database)
    async with database.transaction() as transaction:
        await transaction.connection.execute("update meta.runs set cancel_requested = true")

    new = await queue(database)

    assert new is not None
    assert new != old


# --- claiming


async def test_a_target_is_never_worked_on_twice_at_once(database: Database) -> None:
    active: Counter[str] = Counter()
    done: Counter[str] = Counter()
    worst = 0

    async def job(ctx: RunContext) -> RunCounts:
        nonlocal worst
        target = ctx.run.target
        active[target] += 1
        worst = max(worst, active[target])
        await asyncio.sleep(0.01)
        active[target] -= 1
        done[target] += 1
        return RunCounts()

    for number in range(40):
        await queue(database, f"t{number % 5}", overlap=OverlapPolicy.QUEUE)
    await asyncio.gather(*(until_idle(working(database, job), limit=60) for _ in range(8)))

    assert worst == 1
    assert done == {f"t{number}": 8 for number in range(5)}
    assert set(await statuses(database)) == {"completed"}


async def test_the_oldest_goes_first_and_a_busy_target_is_passed_over(database: Database) -> None:
    order: list[tuple[str, int]] = []

    async def job(ctx: RunContext) -> RunCounts:
        order.append((ctx.run.target, ctx.run.parameters["n"]))
        return RunCounts()

    for number, target in enumerate(["a", "a", "b"]):
        await queue(database, target, overlap=OverlapPolicy.QUEUE, parameters={"n": number})
    async with database.transaction() as transaction:
        first = await ledger.claim(transaction.connection, "scanner", ["scan"])
    assert first is not None
    await working(database, job).step()

    assert (first.target, first.parameters) == ("a", {"n": 0})
    assert order == [("b", 2)]


async def test_a_run_of_another_service_or_kind_is_left_alone(
    database_url: str, database: Database
) -> None:
    await queue(database)

    async with opened(database_url, "ingestor") as other:
        assert await working(other, idle).step() is False
    assert await RunWorker(database, {"export": idle}, clock=SystemClock()).step() is False
    assert await statuses(database) == ["queued"]


# --- reporting


@pytest.mark.covers("S2-30", "S2-32")
async def test_a_run_tells_its_life_in_order(database: Database) -> None:
    async def job(ctx: RunContext) -> RunCounts:
        await ctx.report(RunCounts(processed=1, new=1), total=3, message="listing")
        await ctx.report(RunCounts(processed=2, new=2))
        return RunCounts(processed=3, new=2, changed=1)

    run_id = await queue(database, command_id="c-1")
    with structlog.testing.capture_logs() as logs:
        await until_idle(working(database, job))

    told = await events(database, run_id)
    assert [
        (event["status"], event["counts"]["processed"], event.get("total"), event.get("message"))
        for event in told
    ] == [
        ("queued", 0, None, None),
        ("running", 0, None, None),
        ("running", 1, 3, "listing"),
        ("running", 2, 3, None),
        ("completed", 3, 3, None),
    ]
    assert {(event["command_id"], event["kind"], event["target"]) for event in told} == {
        ("c-1", "scan", "nas")
    }
    assert "started_at" not in told[0]
    assert told[-1]["finished_at"] >= told[-1]["started_at"]
    said = [entry["event"] for entry in logs]
    assert said == ["run_started", "run_progress", "run_progress", "run_finished"]
    summary = logs[-1]
    assert (summary["status"], summary["processed"], summary["changed"]) == ("completed", 3, 1)
    assert summary["outcome"] == "summary"
    assert summary["duration_seconds"] >= 0


@pytest.mark.parametrize(
    ("counts", "status"),
    [
        (RunCounts(), "completed"),
        (RunCounts(processed=100, failed=5), "completed"),
        (RunCounts(processed=100, failed=6), "completed-with-errors"),
        (RunCounts(processed=100, failed=3, quarantined=3), "completed-with-errors"),
        (RunCounts(failed=1), "completed-with-errors"),
    ],
)
@pytest.mark.covers("C-14")
async def test_a_run_with_many_failed_records_says_so(
    database: Database, counts: RunCounts, status: str
) -> None:
    async def job(_: RunContext) -> RunCounts:
        return counts

    run_id = await queue(database)
    await until_idle(working(database, job))

    assert (await run_row(database, run_id))["status"] == status


async def test_progress_is_written_once_a_second_however_often_it_is_reported(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(context, "REPORT_EVERY_SECONDS", 60.0)

    async def job(ctx: RunContext) -> RunCounts:
        for number in range(1000):
            await ctx.report(RunCounts(processed=number))
        return RunCounts(processed=1000)

    run_id = await queue(database)
    await until_idle(working(database, job))

    assert len(await events(database, run_id)) == 4
    assert (await run_row(database, run_id))["counts"]["processed"] == 1000


# --- failing


@pytest.mark.covers("S2-29")
async def test_a_permanent_error_fails_the_run_at_once_with_the_counts_so_far(
    database: Database,
) -> None:
    async def job(ctx: RunContext) -> RunCounts:
        await ctx.report(RunCounts(processed=7))
        raise PermanentError("the table is gone", category=ErrorCategory.CONFIG_VALIDATION)

    run_id = await queue(database)
    with structlog.testing.capture_logs() as logs:
        await until_idle(working(database, job))

    row = await run_row(database, run_id)
    assert (row["status"], row["message"], row["attempts"]) == ("failed", "the table is gone", 1)
    assert row["counts"]["processed"] == 7
    (failure,) = [entry for entry in logs if entry["event"] == "run_failed"]
    assert isinstance(failure["error"], PermanentError)
    assert (await events(database, run_id))[-1]["message"] == "the table is gone"


@pytest.mark.covers("S2-29")
async def test_a_bug_fails_the_run_and_is_logged_with_its_traceback(database: Database) -> None:
    async def job(_: RunContext) -> RunCounts:
        raise KeyError("column")

    run_id = await queue(database)
    with structlog.testing.capture_logs() as logs:
        await until_idle(working(database, job))

    row = await run_row(database, run_id)
    assert (row["status"], row["message"]) == ("failed", "KeyError: 'column'")
    (crash,) = [entry for entry in logs if entry["event"] == "run_crashed"]
    assert isinstance(crash["error"], KeyError)
    assert crash["exc_info"] is True


@pytest.mark.covers("S1-28")
@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("GET https://u:hunter2@api/x?token=abc", "GET https://***@api/x?token=***"),
        ("a\x00b", "a\\x00b"),
        ("a\ud83db", "a\\ud83db"),
        ("x" * 5000, "x" * 1000),
    ],
    ids=["secret", "nul", "half a character", "long"],
)
async def test_whatever_an_error_says_the_run_can_be_ended(
    database: Database, text: str, shown: str
) -> None:
    async def job(_: RunContext) -> RunCounts:
        raise PermanentError(text)

    run_id = await queue(database)
    await until_idle(working(database, job))

    row = await run_row(database, run_id)
    assert (row["status"], row["message"]) == ("failed", shown)
    assert (await events(database, run_id))[-1]["message"] == shown


async def test_an_outage_is_waited_out_and_the_run_goes_on(database: Database) -> None:
    attempts: list[int] = []

    async def job(ctx: RunContext) -> RunCounts:
        attempts.append(ctx.run.attempts)
        if len(attempts) < 3:
            raise UnavailableError("the share is away")
        return RunCounts(processed=1)

    run_id = await queue(database)
    await until_idle(working(database, job))

    assert attempts == [1, 2, 3]
    assert (await run_row(database, run_id))["status"] == "completed"
    assert [(event["status"], event.get("message")) for event in await events(database)] == [
        ("queued", None),
        ("running", None),
        ("queued", "the share is away"),
        ("running", None),
        ("queued", "the share is away"),
        ("running", None),
        ("completed", None),
    ]


async def test_an_outage_that_lasts_fails_the_run_after_five_attempts(database: Database) -> None:
    async def job(_: RunContext) -> RunCounts:
        raise UnavailableError("the share is away")

    run_id = await queue(database)
    await until_idle(working(database, job))

    row = await run_row(database, run_id)
    assert (row["status"], row["attempts"]) == ("failed", 5)
    assert row["message"] == "the share is away"


async def test_an_outage_counts_anew_after_progress(database: Database) -> None:
    async def job(ctx: RunContext) -> RunCounts:
        if ctx.run.attempts <= 8:
            await ctx.checkpoint({"page": ctx.run.attempts // 4})
            raise UnavailableError("away")
        return RunCounts()

    run_id = await queue(database)
    await until_idle(working(database, job))

    row = await run_row(database, run_id)
    assert (row["status"], row["attempts"]) == ("completed", 9)


async def test_the_wait_that_the_other_side_asked_for_is_kept_and_holds_no_worker(
    database: Database,
) -> None:
    async def job(ctx: RunContext) -> RunCounts:
        if ctx.run.target == "locked":
            raise TransientError("wrong password", retry_after=60)
        return RunCounts()

    locked = await queue(database, "locked")
    other = await queue(database, "free")
    one = working(database, job)
    async with asyncio.timeout(5):
        while await one.step():
            pass

    row = await run_row(database, locked)
    assert (row["status"], row["attempts"]) == ("queued", 1)
    assert 55 < (row["available_at"] - row["started_at"]).total_seconds() < 65
    assert (await run_row(database, other))["status"] == "completed"


async def test_errors_of_a_jobs_own_task_group_are_judged_by_what_is_inside(
    database: Database,
) -> None:
    async def fail(error: Exception) -> None:
        raise error

    async def job(ctx: RunContext) -> RunCounts:
        error: Exception = {
            "outage": UnavailableError("away"),
            "permanent": PermanentError("never"),
            "bug": KeyError("x"),
        }[ctx.run.target]
        if ctx.run.attempts > 1:
            return RunCounts()
        async with asyncio.TaskGroup() as outer, asyncio.TaskGroup() as inner:
            outer.create_task(asyncio.sleep(9))
            inner.create_task(fail(error))
        return RunCounts()

    runs = {name: await queue(database, name) for name in ("outage", "permanent", "bug")}
    await until_idle(working(database, job))

    ended = {name: (await run_row(database, run))["status"] for name, run in runs.items()}
    assert ended == {"outage": "completed", "permanent": "failed", "bug": "failed"}


@pytest.mark.parametrize(
    ("error", "message"),
    [(KeyError("x"), "KeyError: 'x'"), (PermanentError("never"), "never")],
    ids=["bug", "permanent"],
)
async def test_what_cannot_succeed_is_not_hidden_by_an_outage_beside_it(
    database: Database, error: Exception, message: str
) -> None:
    async def fail(with_: Exception) -> None:
        raise with_

    async def job(_: RunContext) -> RunCounts:
        async with asyncio.TaskGroup() as group:
            group.create_task(fail(UnavailableError("away")))
            group.create_task(fail(error))
        return RunCounts()

    run_id = await queue(database)
    await until_idle(working(database, job))

    row = await run_row(database, run_id)
    assert (row["status"], row["message"]) == ("failed", message)
