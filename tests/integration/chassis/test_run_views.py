"""The tables of the systems that Penstock replaces, as views with their original columns."""

from datetime import timedelta
from typing import Any

import pytest

from chassis.db import Database
from chassis.errors import PermanentError
from chassis.runs import RunContext
from contracts.runs import RunCounts
from tests.support.runs import fetch, queue, until_idle, working

LATEST_OF_TASK = """
select * from meta.sync_logs where task_name = 'scan:good' order by completed_at desc limit 1
"""
FAILED_LATELY = """
select * from meta.sync_logs
where status = 'failed' and completed_at > clock_timestamp() - interval '7 days'
"""


pytestmark = pytest.mark.usefixtures("hasty")


async def columns(database: Database, view: str) -> list[tuple[str, str]]:
    rows = await fetch(
        database,
        "select column_name, data_type from information_schema.columns "
        "where table_schema = 'meta' and table_name = $1 order by ordinal_position",
        view,
    )
    return [(row["column_name"], row["data_type"]) for row in rows]


async def job(ctx: RunContext) -> RunCounts:
    if ctx.run.target == "broken":
        await ctx.report(RunCounts(processed=4, new=1))
        raise PermanentError("the source is gone")
    return RunCounts(processed=9, new=5, changed=3, unchanged=1)


async def one(database: Database, query: str) -> dict[str, Any]:
    (row,) = await fetch(database, query)
    return row


@pytest.mark.covers("S2-05", "C-24")
async def test_ingestion_runs_has_its_original_columns(database: Database) -> None:
    assert await columns(database, "ingestion_runs") == [
        ("run_id", "uuid"),
        ("source_system", "text"),
        ("entity_type", "text"),
        ("started_at", "timestamp with time zone"),
        ("completed_at", "timestamp with time zone"),
        ("status", "text"),
        ("records_processed", "bigint"),
        ("records_created", "bigint"),
        ("records_updated", "bigint"),
        ("error_message", "text"),
        ("metadata", "jsonb"),
    ]


@pytest.mark.covers("S3-05", "C-24")
async def test_sync_logs_has_its_original_columns(database: Database) -> None:
    assert await columns(database, "sync_logs") == [
        ("id", "uuid"),
        ("task_name", "character varying"),
        ("status", "character varying"),
        ("rows_updated", "bigint"),
        ("error_message", "text"),
        ("started_at", "timestamp with time zone"),
        ("completed_at", "timestamp with time zone"),
        ("duration_seconds", "numeric"),
        ("metadata", "jsonb"),
    ]


@pytest.mark.covers("S2-05", "S2-06", "C-12")
async def test_a_run_that_ended_well_reads_as_completed_with_its_counts(
    database: Database,
) -> None:
    run_id = await queue(database, "good", parameters={"mode": "full"})
    await until_idle(working(database, job))

    row = await one(database, "select * from meta.ingestion_runs")
    assert str(row["run_id"]) == run_id
    assert (row["source_system"], row["entity_type"], row["status"]) == (
        "scanner",
        "good",
        "completed",
    )
    assert (row["records_processed"], row["records_created"], row["records_updated"]) == (9, 5, 3)
    assert (row["error_message"], row["metadata"]) == (None, {"mode": "full"})
    assert row["completed_at"] >= row["started_at"]
    assert row["started_at"].utcoffset() == timedelta(0)


@pytest.mark.covers("S2-06", "S2-29")
async def test_a_run_that_failed_reads_as_failed_with_its_message_and_the_counts_so_far(
    database: Database,
) -> None:
    await queue(database, "broken")
    await until_idle(working(database, job))

    row = await one(database, "select * from meta.ingestion_runs")
    assert (row["status"], row["error_message"]) == ("failed", "the source is gone")
    assert (row["records_processed"], row["records_created"]) == (4, 1)


@pytest.mark.covers("S2-06")
async def test_a_run_that_has_begun_reads_as_running(database: Database) -> None:
    async def look(_: RunContext) -> RunCounts:
        seen.append(await one(database, "select * from meta.ingestion_runs"))
        return RunCounts()

    seen: list[dict[str, Any]] = []
    await queue(database)
    await until_idle(working(database, look))

    (row,) = seen
    assert (row["status"], row["completed_at"], row["error_message"]) == ("running", None, None)
    assert row["started_at"] is not None


@pytest.mark.covers("S3-05", "S3-07")
async def test_sync_logs_tells_success_and_failure_of_what_ended(database: Database) -> None:
    for target in ("good", "broken"):
        await queue(database, target)
    await until_idle(working(database, job))
    await queue(database, "waiting")

    rows = await fetch(database, "select * from meta.sync_logs order by task_name")
    assert [
        (row["task_name"], row["status"], row["rows_updated"], row["error_message"]) for row in rows
    ] == [
        ("scan:broken", "failed", 1, "the source is gone"),
        ("scan:good", "success", 8, None),
    ]
    for row in rows:
        span = (row["completed_at"] - row["started_at"]).total_seconds()
        assert float(row["duration_seconds"]) == pytest.approx(span)


async def test_a_run_that_never_began_has_times_as_well(database: Database) -> None:
    await queue(database)
    async with database.connection() as connection:
        await connection.execute("update meta.runs set cancel_requested = true")
    await until_idle(working(database, job))

    row = await one(database, "select * from meta.sync_logs")
    assert (row["status"], row["error_message"]) == ("failed", "cancelled before it ran on")
    assert row["started_at"] <= row["completed_at"]


@pytest.mark.covers("S3-06")
@pytest.mark.parametrize(
    ("query", "index"),
    [
        (LATEST_OF_TASK, "runs_task"),
        ("select * from meta.sync_logs order by completed_at desc limit 10", "runs_finished"),
        (FAILED_LATELY, "runs_finished"),
    ],
)
async def test_the_usual_questions_are_answered_from_an_index(
    database: Database, query: str, index: str
) -> None:
    async with database.transaction() as transaction:
        await transaction.connection.execute("set local enable_seqscan = off")
        plan = await transaction.connection.fetch(f"explain {query}")

    assert any(index in line for (line,) in plan)
