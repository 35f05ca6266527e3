"""Many versions at once: what is new goes over by COPY, whoever else writes meanwhile."""

import asyncio
import random
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

from chassis.db import Database, Transaction
from chassis.outbox import Outbox
from ingestor.adapters.first_versions import FEWEST_TO_COPY
from ingestor.adapters.postgres_catalog import PostgresCatalog
from ingestor.domain.canonical import canonical_json
from ingestor.domain.versions import NewVersion, WriteOutcome, Written
from tests.integration.ingestor.test_postgres_catalog import append, rows
from tests.support.eventually import eventually
from tests.unit.ingestor.bronze_factories import stored, tombstone

APPENDED, UNCHANGED = WriteOutcome.APPENDED, WriteOutcome.UNCHANGED
DUPLICATE, ABSENT = WriteOutcome.DUPLICATE, WriteOutcome.ABSENT

MANY = FEWEST_TO_COPY + 20

# A row and its head that disagree, or that lack each other.
_UNLIKE = """
select raw.external_id, head.external_id
from bronze.raw_entities raw
full join bronze.heads head on (head.ingested_at, head.raw_id) = (raw.ingested_at, raw.id)
where (raw.entity_type, raw.source_system, raw.external_id, raw.entity_id, raw.version,
       raw.sequence, raw.content_hash, raw.blob_sha256, raw.operation = 'tombstoned')
    is distinct from
      (head.entity_type, head.source_system, head.external_id, head.entity_id, head.version,
       head.sequence, head.content_hash, head.blob_sha256, head.is_deleted)
"""


@dataclass(frozen=True, slots=True)
class OnDisk:
    data: bytes

    async def load(self) -> bytes:
        await asyncio.sleep(0)
        return self.data


def own(number: int, sequence: int = 1) -> NewVersion:
    return stored(number, sequence, path=f"{number}.xml", is_own_entity=True)


async def begin_load(database: Database, catalog: PostgresCatalog, source: str = "nas") -> None:
    """After so many that are all new, more of them are expected, whatever was known before."""
    begun = [
        stored(number, 1, path=f"begun-{number}.xml", source_system=source)
        for number in range(MANY)
    ]
    assert await outcomes(database, catalog, begun) == [APPENDED] * MANY


async def outcomes(
    database: Database, catalog: PostgresCatalog, versions: Sequence[NewVersion]
) -> list[WriteOutcome]:
    return [item.outcome for item in await append(database, catalog, *versions)]


@pytest.mark.covers("S2-04", "S2-34")
async def test_a_full_load_keeps_everything_that_is_known(
    database: Database, catalog: PostgresCatalog
) -> None:
    await begin_load(database, catalog)
    versions = [own(number) for number in range(MANY)]
    run_id, modified_at = uuid.uuid4(), datetime(1999, 2, 28, 12, 30, 1, 123456, tzinfo=UTC)
    versions[3] = stored(
        None,
        7,
        path="ünï/3.xml",
        document=OnDisk(canonical_json({"é": ["a\nb", 1.5]})),
        blob_key="raw/abc",
        size_bytes=99,
        source_modified_at=modified_at,
        event_id="event-1",
        correlation_id="lineage-1",
        derived_from=5,
        ingestion_run_id=run_id,
    )
    random.Random(1).shuffle(versions)
    written = await append(database, catalog, *versions)
    assert written == [Written(APPENDED, item.entity_id, 1) for item in versions]
    assert await rows(database, _UNLIKE) == []
    assert await rows(
        database,
        "select operation, raw_data, content_hash, blob_key, blob_sha256, size_bytes, "
        "source_modified_at, event_id, correlation_id, derived_from, ingestion_run_id "
        "from bronze.raw_entities where external_id = 'ünï/3.xml'",
    ) == [
        (
            "stored",
            {"é": ["a\nb", 1.5]},
            stored(None).content_hash,
            "raw/abc",
            stored(None).content_hash,
            99,
            modified_at,
            "event-1",
            "lineage-1",
            5,
            run_id,
        )
    ]
    ids = await rows(
        database,
        "select id, external_id from bronze.raw_entities where external_id not like 'begun-%'",
    )
    assert {
        (item.raw_id, version.external_id) for item, version in zip(written, versions, strict=True)
    } == set(ids)


async def test_what_is_known_and_what_is_new_are_told_apart(
    database: Database, catalog: PostgresCatalog
) -> None:
    for source in ("nas-0", "nas-1"):
        await begin_load(database, catalog, source)
    known = [own(number) for number in range(50)]
    await append(database, catalog, *known)
    batch = [
        *(own(number, 2) for number in range(10)),
        tombstone(2, path="10.xml"),
        tombstone(1, path="nobody.xml"),
        *known[20:50],
        *(
            stored(number, 1, path=f"{number}.xml", source_system=f"nas-{number % 2}")
            for number in range(MANY)
        ),
        stored("again", 2, path="7.xml", source_system="nas-1"),
    ]
    assert await outcomes(database, catalog, batch) == [
        *[UNCHANGED] * 10,
        APPENDED,
        ABSENT,
        *[DUPLICATE] * 30,
        *[APPENDED] * (MANY + 1),
    ]
    versions = "select max(version), count(*) from bronze.raw_entities where external_id = $1"
    assert await rows(database, versions + " and source_system = 'nas-1'", "7.xml") == [(2, 2)]
    assert await rows(database, versions, "10.xml") == [(2, 3)]


@pytest.mark.parametrize("is_kept", [True, False])
async def test_a_key_that_another_writer_begins_meanwhile_is_begun_once(
    database: Database, catalog: PostgresCatalog, *, is_kept: bool
) -> None:
    """The second load meets the keys of the first when it writes its own."""
    await begin_load(database, catalog)
    first = [own(number) for number in range(MANY)]
    second = [own(number) for number in range(MANY - 1, 2 * MANY)]
    found: list[WriteOutcome] = []

    async def load() -> None:
        found.extend(await outcomes(database, catalog, second))

    async def is_waiting() -> bool:
        return bool(
            await rows(
                database,
                "select 1 from pg_stat_activity where wait_event_type = 'Lock' "
                "and datname = current_database()",
            )
        )

    async with asyncio.TaskGroup() as group, database.connection() as connection:
        transaction = connection.transaction()
        await transaction.start()
        await catalog.append(Transaction(connection, Outbox("ingestor")), first)
        group.create_task(load())
        await eventually(is_waiting)
        await (transaction.commit() if is_kept else transaction.rollback())
    assert found == [DUPLICATE if is_kept else APPENDED, *[APPENDED] * MANY]
    assert await rows(database, _UNLIKE) == []
    count = (3 if is_kept else 2) * MANY + (0 if is_kept else 1)
    assert await rows(
        database, "select count(*), count(distinct external_id) from bronze.raw_entities"
    ) == [(count, count)]


async def test_loads_of_the_same_keys_neither_deadlock_nor_write_twice(
    database: Database, catalog: PostgresCatalog
) -> None:
    generator = random.Random(7)
    await begin_load(database, catalog)

    async def load(sequence: int) -> None:
        chosen = generator.sample(range(2 * MANY), generator.choice([MANY, FEWEST_TO_COPY // 2]))
        await append(database, catalog, *(own(number, sequence) for number in chosen))

    async with asyncio.TaskGroup() as group:
        for sequence in range(1, 9):
            group.create_task(load(sequence))
    [(keys, versions)] = await rows(
        database, "select count(distinct external_id), count(*) from bronze.raw_entities"
    )
    assert keys == versions, "a number is the same content, whoever brings it"


async def test_a_load_that_meets_what_is_known_ends_and_another_begins(
    database: Database, catalog: PostgresCatalog
) -> None:
    async def load(*starts: int) -> None:
        for start in starts:
            batch = [own(number) for number in range(start, start + MANY)]
            assert await outcomes(database, catalog, batch) == [APPENDED] * MANY

    await load(0, MANY)
    met = [own(number) for number in range(MANY - 1, 3 * MANY)]
    known = [DUPLICATE] * (MANY + 1)
    assert await outcomes(database, catalog, met) == [*known, *[APPENDED] * MANY]
    assert await outcomes(database, catalog, met) == [DUPLICATE] * len(met)
    await load(3 * MANY, 4 * MANY)
    assert await rows(database, _UNLIKE) == []
