import asyncio
import random
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from chassis.clock import SystemClock
from chassis.db import Database
from contracts.errors import ErrorCategory
from ingestor.adapters.postgres_catalog import PostgresCatalog
from ingestor.domain.versions import NewVersion, WriteOutcome, Written
from ingestor.errors import UnparseableError
from ingestor.ports import RecordError
from tests.support.eventually import eventually
from tests.unit.ingestor.bronze_factories import stored, tombstone

APPENDED = WriteOutcome.APPENDED


async def append(
    database: Database, catalog: PostgresCatalog, *versions: NewVersion
) -> list[Written]:
    async with database.transaction() as transaction:
        return await catalog.append(transaction, versions)


async def rows(database: Database, query: str, *args: Any) -> Sequence[Any]:
    async with database.connection() as connection:
        return [tuple(row) for row in await connection.fetch(query, *args)]


@pytest.mark.covers("S2-04", "C-15")
async def test_a_version_is_kept_with_everything_that_is_known_of_it(
    database: Database, catalog: PostgresCatalog
) -> None:
    run_id = uuid.uuid4()
    modified_at = datetime(2024, 2, 28, 12, 30, 1, 123456, tzinfo=UTC)
    version = stored(
        {"é": [1, "a\nb"], "none": None},
        7,
        blob_key="raw/abc",
        blob_sha256="b" * 64,
        size_bytes=99,
        source_modified_at=modified_at,
        event_id="event-1",
        correlation_id="lineage-1",
        derived_from=5,
        ingestion_run_id=run_id,
    )
    before = SystemClock().now()
    assert await append(database, catalog, version) == [Written(APPENDED, "entity-of-a.xml", 1)]
    [row] = await rows(
        database,
        "select entity_type, entity_id, source_system, external_id, version, operation, raw_data, "
        "content_hash, blob_key, blob_sha256, size_bytes, source_modified_at, sequence, event_id, "
        "correlation_id, derived_from, ingestion_run_id, ingested_at from bronze.raw_entities",
    )
    assert row[:-1] == (
        "transcript",
        "entity-of-a.xml",
        "nas",
        "a.xml",
        1,
        "stored",
        {"é": [1, "a\nb"], "none": None},
        version.content_hash,
        "raw/abc",
        "b" * 64,
        99,
        modified_at,
        7,
        "event-1",
        "lineage-1",
        5,
        run_id,
    )
    assert before <= row[-1] <= SystemClock().now()


async def test_the_head_points_at_the_latest_row(
    database: Database, catalog: PostgresCatalog
) -> None:
    await append(database, catalog, stored("A", 1), stored("B", 2), tombstone(3))
    [head] = await rows(
        database,
        "select head.version, head.sequence, head.content_hash, head.blob_sha256, head.is_deleted, "
        "raw.version, raw.operation from bronze.heads head join bronze.raw_entities raw "
        "on (raw.ingested_at, raw.id) = (head.ingested_at, head.raw_id)",
    )
    assert head == (3, 3, None, None, True, 3, "tombstoned")


@pytest.mark.covers("S2-34", "S2-39")
async def test_bulk_insert_takes_thousands_and_counts_what_was_new(
    database: Database, catalog: PostgresCatalog
) -> None:
    entities = [stored(number, 1, path=f"{number}.xml") for number in range(2345)]
    async with database.transaction() as transaction:
        assert await catalog.bulk_insert_raw_entities(transaction, entities) == 2345
    changed = [stored(-1, 2, path=f"{number}.xml") for number in range(10)]
    async with database.transaction() as transaction:
        assert await catalog.bulk_insert_raw_entities(transaction, entities + changed) == 10
    assert await rows(database, "select count(*), max(version) from bronze.raw_entities") == [
        (2355, 2)
    ]


@pytest.mark.covers("S2-39")
async def test_one_raw_entity_can_be_inserted(database: Database, catalog: PostgresCatalog) -> None:
    async with database.transaction() as transaction:
        written = await catalog.insert_raw_entity(transaction, stored("A"))
    assert written == Written(APPENDED, "entity-of-a.xml", 1)


async def test_nothing_to_append_is_fine(database: Database, catalog: PostgresCatalog) -> None:
    assert await append(database, catalog) == []
    async with database.transaction() as transaction:
        await catalog.record_errors(transaction, [])


async def test_a_transaction_that_fails_leaves_nothing(
    database: Database, catalog: PostgresCatalog
) -> None:
    async def fail() -> None:
        async with database.transaction() as transaction:
            await catalog.append(transaction, [stored("A")])
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        await fail()
    assert (
        await rows(
            database,
            "select 1 from bronze.raw_entities union all select 1 from bronze.heads "
            "union all select 1 from bronze.entities",
        )
        == []
    )


async def test_many_writers_of_the_same_keys_neither_deadlock_nor_write_twice(
    database: Database, catalog: PostgresCatalog
) -> None:
    generator = random.Random(7)
    paths = [f"{number}.xml" for number in range(30)]

    async def write(sequence: int) -> None:
        chosen = generator.sample(paths, 20)
        versions = [
            stored(sequence, sequence, path=path, entity_id=f"shared-{int(path[:-4]) % 7}")
            for path in chosen
        ]
        await append(database, catalog, *versions)

    async with asyncio.TaskGroup() as group:
        for sequence in range(1, 41):
            group.create_task(write(sequence))
    found = await rows(
        database,
        "select head.external_id, head.version, count(*), count(distinct raw.version), "
        "max(raw.sequence) = head.sequence from bronze.heads head "
        "join bronze.raw_entities raw using (entity_type, source_system, external_id) "
        "group by head.external_id, head.version, head.sequence",
    )
    assert len(found) == 30
    for _, version, count, distinct, is_latest in found:
        assert version == count == distinct
        assert is_latest


@pytest.mark.parametrize("is_known", [False, True])
async def test_writers_of_one_entity_wait_for_each_other(
    database: Database, catalog: PostgresCatalog, *, is_known: bool
) -> None:
    if is_known:
        await append(database, catalog, stored("0", 1, path="first.xml", entity_id="call"))
    raw = stored("A", 1, path="raw.xml", entity_id="call")
    corrected = stored("B", 2, path="corrected.xml", entity_id="call")
    order: list[str] = []

    async def second() -> None:
        await append(database, catalog, corrected)
        order.append("second")

    async def is_waiting() -> bool:
        return bool(
            await rows(
                database,
                "select 1 from pg_stat_activity where wait_event_type = 'Lock' "
                "and datname = current_database()",
            )
        )

    async with asyncio.TaskGroup() as group, database.transaction() as transaction:
        await catalog.append(transaction, [raw])
        group.create_task(second())
        await eventually(is_waiting)
        order.append("first")
    assert order == ["first", "second"]


@pytest.mark.covers("S2-28")
async def test_failures_are_recorded_beside_what_succeeded(
    database: Database, catalog: PostgresCatalog
) -> None:
    failure = RecordError(
        source="nas",
        external_id="bad.xml",
        event_id="event-9",
        attempts=2,
        error=UnparseableError("cut off at nas://user:secret@host/bad.xml"),
    )
    async with database.transaction() as transaction:
        await catalog.append(transaction, [stored("A")])
        await catalog.record_errors(transaction, [failure])
    assert await rows(
        database,
        "select service, source, external_id, category, error_class, message, attempts, event_id "
        "from meta.record_errors",
    ) == [
        (
            "ingestor",
            "nas",
            "bad.xml",
            ErrorCategory.CONTENT_PARSE.value,
            "UnparseableError",
            "cut off at nas://***@host/bad.xml",
            2,
            "event-9",
        )
    ]
