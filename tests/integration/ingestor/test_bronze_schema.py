"""The tables themselves: partitions, and the constraints that no bug gets past."""

from datetime import UTC, datetime

import asyncpg
import pytest

from chassis.clock import SystemClock
from chassis.db import Database
from chassis.errors import PermanentError
from ingestor.adapters.postgres_catalog import PostgresCatalog

INSERT = (
    "insert into bronze.raw_entities (entity_type, entity_id, source_system, external_id, version, "
    "operation, raw_data, content_hash, ingested_at) "
    "values ('transcript', 'e', 'nas', 'a.xml', $1, $2, $3, $4, $5)"
)
NOW = SystemClock().now()
FAR = datetime(2999, 5, 5, tzinfo=UTC)


async def partitions(database: Database) -> list[str]:
    async with database.connection() as connection:
        rows = await connection.fetch(
            "select inhrelid::regclass::text as name from pg_inherits "
            "where inhparent = 'bronze.raw_entities'::regclass order by 1"
        )
    return [row["name"] for row in rows]


def month_after(months: int) -> str:
    number = NOW.year * 12 + NOW.month - 1 + months
    return f"bronze.raw_entities_{number // 12}_{number % 12 + 1:02d}"


async def test_the_next_months_have_their_partitions(database: Database) -> None:
    expected = [month_after(number) for number in range(4)]
    assert sorted(await partitions(database)) == sorted([*expected, "bronze.raw_entities_default"])


async def test_making_them_again_makes_none(catalog: PostgresCatalog) -> None:
    assert await catalog.create_partitions() == 0


async def test_rows_that_came_before_their_partition_are_moved_into_it(database: Database) -> None:
    soon = datetime(NOW.year + 1, NOW.month, 10, tzinfo=UTC)
    async with database.connection() as connection:
        await connection.execute(INSERT, 1, "stored", {"a": 1}, "h", soon)
        place = await connection.fetchval(
            "select tableoid::regclass::text from bronze.raw_entities"
        )
        assert place == "bronze.raw_entities_default"
        assert await connection.fetchval("select bronze.create_partitions(12)") == 9
        row = await connection.fetchrow(
            "select tableoid::regclass::text, raw_data from bronze.raw_entities"
        )
    assert row is not None
    assert tuple(row) == (month_after(12), {"a": 1})


@pytest.mark.parametrize("when", [NOW, FAR])
async def test_a_version_number_exists_once(database: Database, when: datetime) -> None:
    async with database.connection() as connection:
        await connection.execute(INSERT, 1, "stored", {}, "h", when)
        with pytest.raises(asyncpg.UniqueViolationError):
            await connection.execute(INSERT, 1, "stored", {}, "h", when)


@pytest.mark.parametrize(
    ("version", "operation", "data", "content_hash"),
    [
        (0, "stored", {}, "h"),
        (1, "stored", None, "h"),
        (1, "stored", {}, None),
        (1, "tombstoned", {}, None),
        (1, "tombstoned", None, "h"),
        (1, "other", {}, "h"),
    ],
)
async def test_a_row_that_makes_no_sense_is_refused(
    database: Database, version: int, operation: str, data: object, content_hash: str | None
) -> None:
    with pytest.raises(PermanentError, match="check constraint"):
        async with database.connection() as connection:
            await connection.execute(INSERT, version, operation, data, content_hash, NOW)
