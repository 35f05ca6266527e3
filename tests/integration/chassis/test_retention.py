"""What is old goes, what somebody still asks for stays."""

import uuid
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from chassis import retention
from chassis.db import Database
from chassis.retention import Retention
from tests.support.clocks import HandClock
from tests.support.databases import opened
from tests.support.letters import Reader
from tests.support.runs import fetch

NOW = datetime(2026, 6, 1, tzinfo=UTC)


@pytest.fixture
async def database(database_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[Database]:
    monkeypatch.setattr(retention, "ROWS_AT_ONCE", 2)
    async with opened(database_url, "reader") as one:
        yield one


async def trim(database: Database) -> dict[str, int]:
    keeping = Retention(database, history_days=90, audit_days=730, clock=HandClock(NOW))
    gone = await keeping.step()
    assert not any((await keeping.step()).values()), "the second time there is nothing left to do"
    return {name: count for name, count in gone.items() if count}


def ago(days: float) -> datetime:
    return NOW - timedelta(days=days)


async def ran(database: Database, name: str, days: float | None, status: str = "completed") -> None:
    run_id = uuid.uuid4()
    async with database.connection() as connection:
        await connection.execute(
            "insert into meta.runs (run_id, service, kind, target, status, message, queued_at, "
            "finished_at) values ($1, 'scanner', 'scan', 'nas', $2, $3, $4, $5)",
            run_id,
            status,
            name,
            ago(1000),
            None if days is None else ago(days),
        )
        await connection.execute(
            "insert into meta.commands (service, topic, command_id, target, requester, body, "
            "outcome, run_id, received_at) "
            "values ('scanner', 'scan.requested', $1, 'nas', 'mia', '{}', 'accepted', $2, $3)",
            name,
            run_id,
            ago(91 if days is None else days),
        )


async def names(database: Database, query: str) -> list[Any]:
    return [row["name"] for row in await fetch(database, query)]


async def test_runs_and_commands_are_trimmed_but_for_the_last_of_each_outcome_and_open_ones(
    database: Database,
) -> None:
    for number in range(5):
        await ran(database, f"old-{number}", 100 + number)
    await ran(database, "last success", 91)
    await ran(database, "last failure", 400, "failed")
    await ran(database, "forgotten failure", 800, "abandoned")
    await ran(database, "fresh failure", 3, "cancelled")
    await ran(database, "waits", None, "queued")

    assert await trim(database) == {"runs": 5, "last runs": 1, "commands": 8}

    assert await names(database, "select message as name from meta.runs order by message") == [
        "fresh failure",
        "last failure",
        "last success",
        "waits",
    ]
    assert await names(
        database, "select command_id as name from meta.commands order by command_id"
    ) == ["fresh failure", "waits"]


async def test_the_audit_trail_outlives_the_history(database: Database) -> None:
    async with database.connection() as connection:
        for days in (1, 91, 729, 731, 2000):
            await connection.execute(
                "insert into meta.audit (service, actor, action, subject, at) "
                "values ('console', 'mia', 'x', $1, $2)",
                str(days),
                ago(days),
            )
            await connection.execute(
                "insert into meta.record_errors "
                "(service, source, category, error_class, message, occurred_at) "
                "values ('ingestor', 'nas', 'x', 'X', $1, $2)",
                str(days),
                ago(days),
            )

    assert await trim(database) == {"audit": 2, "record errors": 4}

    assert await names(database, "select subject as name from meta.audit order by id") == [
        "1",
        "91",
        "729",
    ]
    assert await names(database, "select message as name from meta.record_errors") == ["1"]


async def test_decided_letters_go_after_a_week_and_open_ones_with_the_topic(
    database: Database,
) -> None:
    await Reader(database).refused("open-29", "open-31", "decided-6", "decided-8", "late-decided")
    for offset, failed, decided in (
        (0, 29, None),
        (1, 31, None),
        (2, 20, 6),
        (3, 20, 8),
        (4, 31, 1),
    ):
        await fetch(
            database,
            "update meta.dead_letters set failed_at = $2, decided_at = $3, "
            "status = case when $3::timestamptz is null then 'open' else 'replayed' end "
            'where "offset" = $1 returning id',
            offset,
            ago(failed),
            None if decided is None else ago(decided),
        )

    assert await trim(database) == {"decided dead letters": 1, "expired dead letters": 2}

    left = 'select event_id as name from meta.dead_letters order by "offset"'
    assert await names(database, left) == ["event-open-29", "event-decided-6"]
