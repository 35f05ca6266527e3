"""One suite for what bronze does with a version: the double of the unit tests, and PostgreSQL."""

import json
from collections.abc import AsyncGenerator
from typing import Any, Protocol, cast

import pytest

from chassis.db import Database, Transaction
from chassis.outbox import Outbox
from chassis.settings import DatabaseSettings
from ingestor.adapters.postgres_catalog import PostgresCatalog
from ingestor.domain.versions import NewVersion, WriteOutcome, Written
from ingestor.ports import Catalog
from tests.unit.ingestor.bronze_factories import stored, tombstone
from tests.unit.ingestor.memory_catalog import MemoryCatalog

APPENDED, UNCHANGED = WriteOutcome.APPENDED, WriteOutcome.UNCHANGED
DUPLICATE, ABSENT = WriteOutcome.DUPLICATE, WriteOutcome.ABSENT


class Bronze(Protocol):
    """A catalog, and a look at what it keeps."""

    @property
    def catalog(self) -> Catalog: ...

    async def append(self, *versions: NewVersion) -> list[Written]: ...

    async def history(self) -> list[tuple[int, Any]]:
        """The versions of `a.xml`, oldest first, with their content."""


class MemoryBronze:
    def __init__(self) -> None:
        self.catalog = MemoryCatalog()

    async def append(self, *versions: NewVersion) -> list[Written]:
        return await self.catalog.append(Transaction(cast("Any", None), Outbox("test")), versions)

    async def history(self) -> list[tuple[int, Any]]:
        documents = self.catalog.documents["transcript", "nas", "a.xml"]
        return [
            (number, json.loads(document) if document else None)
            for number, document in enumerate(documents, start=1)
        ]


class PostgresBronze:
    def __init__(self, database: Database) -> None:
        self.catalog = PostgresCatalog(database)
        self._database = database

    async def append(self, *versions: NewVersion) -> list[Written]:
        async with self._database.transaction() as transaction:
            return await self.catalog.append(transaction, versions)

    async def history(self) -> list[tuple[int, Any]]:
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                "select version, raw_data from bronze.raw_entities "
                "where (entity_type, source_system, external_id) = ('transcript', 'nas', 'a.xml') "
                "order by version"
            )
        return [(row["version"], row["raw_data"]) for row in rows]


@pytest.fixture
def memory_bronze() -> Bronze:
    return MemoryBronze()


@pytest.fixture
async def postgres_bronze(database_url: str) -> AsyncGenerator[Bronze]:
    settings = DatabaseSettings.model_validate({"DATABASE_URL": database_url})
    database = await Database.open(settings, "ingestor")
    yield PostgresBronze(database)
    await database.close()


@pytest.fixture(params=["memory", "postgres"])
def bronze(request: pytest.FixtureRequest) -> Bronze:
    chosen: Bronze = request.getfixturevalue(f"{request.param}_bronze")
    return chosen


@pytest.mark.covers("S2-14", "C-04")
async def test_a_then_b_then_a_makes_three_versions(bronze: Bronze) -> None:
    for sequence, content in enumerate(("A", "B", "A"), start=1):
        [written] = await bronze.append(stored(content, sequence))
        assert written == Written(APPENDED, "entity-of-a.xml", sequence)
    assert await bronze.history() == [(1, "A"), (2, "B"), (3, "A")]


@pytest.mark.covers("S2-14")
async def test_equal_content_makes_no_version_and_its_event_is_remembered(bronze: Bronze) -> None:
    await bronze.append(stored("A", 1))
    again = stored("A", 2)
    assert await bronze.append(again) == [Written(UNCHANGED, "entity-of-a.xml", 1)]
    assert await bronze.append(again) == [Written(DUPLICATE, "entity-of-a.xml", 1)]
    assert await bronze.catalog.sequences([again.key]) == {again.key: 2}
    assert len(await bronze.history()) == 1


@pytest.mark.covers("S2-14")
async def test_an_event_that_was_applied_before_has_no_effect(bronze: Bronze) -> None:
    await bronze.append(stored("B", 5))
    for late in (stored("A", 5), stored("C", 4), tombstone(3)):
        [written] = await bronze.append(late)
        assert written.outcome is DUPLICATE
    assert await bronze.history() == [(1, "B")]


@pytest.mark.covers("S1-43")
async def test_a_deletion_is_a_tombstone_and_restoring_is_a_new_version(bronze: Bronze) -> None:
    await bronze.append(stored("A", 1))
    assert await bronze.append(tombstone(2)) == [Written(APPENDED, "entity-of-a.xml", 2)]
    assert await bronze.append(tombstone(3)) == [Written(UNCHANGED, "entity-of-a.xml", 2)]
    assert await bronze.append(stored("A", 4)) == [Written(APPENDED, "entity-of-a.xml", 3)]
    assert await bronze.history() == [
        (1, "A"),
        (2, None),
        (3, "A"),
    ]


@pytest.mark.covers("S1-43")
async def test_deleting_what_was_never_stored_changes_nothing(bronze: Bronze) -> None:
    assert await bronze.append(tombstone(1)) == [Written(ABSENT, None, 0)]
    assert await bronze.append(stored("A", 1)) == [Written(APPENDED, "entity-of-a.xml", 1)]


async def test_an_event_without_a_sequence_is_taken_as_new_and_forgets_none(bronze: Bronze) -> None:
    await bronze.append(stored("A", 9))
    assert (await bronze.append(stored("B", None)))[0].version == 2
    assert await bronze.catalog.sequences([stored("B").key]) == {stored("B").key: 9}


async def test_several_states_of_one_key_in_a_batch_keep_their_order(bronze: Bronze) -> None:
    written = await bronze.append(
        stored("A", 1),
        stored("x", 2, path="b.xml"),
        tombstone(3),
        stored("A", 4),
        stored("A", 5),
    )
    assert [(item.outcome, item.version) for item in written] == [
        (APPENDED, 1),
        (APPENDED, 1),
        (APPENDED, 2),
        (APPENDED, 3),
        (UNCHANGED, 3),
    ]


async def test_entities_sources_and_types_do_not_mix(bronze: Bronze) -> None:
    written = await bronze.append(
        stored("A", 3),
        stored("A", 2, source_system="other"),
        stored("A", 1, entity_type="note"),
    )
    assert [item.version for item in written] == [1, 1, 1]
