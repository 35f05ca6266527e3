"""Records of APIs and directories on a real database and a real object store."""

import itertools
import json
from collections.abc import AsyncGenerator, Callable
from typing import Any

import orjson
import pytest

from chassis.blobs.open import open_blobs
from chassis.blobs.port import BlobStore
from chassis.bus.applier import Applier
from chassis.bus.codec import encode_event
from chassis.bus.records import Record
from chassis.clock import SystemClock
from chassis.db import Database
from chassis.settings import BlobSettings
from contracts.envelope import Event
from contracts.records import RecordChange, RecordChanged
from contracts.topics import RECORD_CHANGED
from ingestor.adapters.postgres_catalog import PostgresCatalog
from ingestor.adapters.postgres_enrichments import PostgresEnrichments
from ingestor.handlers.ingest_records import IngestRecords
from ingestor.settings import RecordSection
from tests.integration.ingestor.ingestion import MOMENT
from tests.support.addresses import S3Address

HASH = "a" * 64

Tell = Callable[..., Any]


@pytest.fixture
async def blobs(s3: S3Address, blob_prefix: str) -> AsyncGenerator[BlobStore]:
    blobs = open_blobs(BlobSettings.model_validate({**s3.env, "S3_PREFIX": blob_prefix}))
    yield blobs
    await blobs.close()


@pytest.fixture
def applier(database: Database, blobs: BlobStore) -> Applier:
    async def wait(seconds: float) -> None:
        raise AssertionError(f"nothing here is worth a wait of {seconds} s")

    return Applier(
        RECORD_CHANGED,
        IngestRecords(
            {"tdx_users": RecordSection("tdx")},
            catalog=PostgresCatalog(database),
            enrichments=PostgresEnrichments(database),
            blobs=blobs,
        ),
        consumer="ingestor",
        database=database,
        clock=SystemClock(),
        sleep=wait,
    )


_numbers = itertools.count(1)


def event(external_id: str, record: Any = None, **values: Any) -> Event[RecordChanged]:
    number = next(_numbers)
    is_deletion = record is None and "blob_key" not in values
    data = {
        "change": RecordChange.DELETED if is_deletion else RecordChange.UPSERTED,
        "source": "tdx_users",
        "entity_type": "user",
        "external_id": external_id,
        "content_hash": None if is_deletion else HASH,
        "record": record,
        "scan_id": "scan-1",
        **values,
    }
    return Event(
        id=f"event-{number}",
        type=RECORD_CHANGED.name,
        source="/scanner",
        time=MOMENT,
        sequence=number,
        data=RecordChanged.model_validate(data),
    )


def as_record(event: Event[RecordChanged], offset: int) -> Record:
    value, headers = encode_event(event)
    return Record(
        topic=RECORD_CHANGED.name,
        partition=0,
        offset=offset,
        key=b"k",
        value=value,
        headers=tuple((name, text.encode()) for name, text in headers.items()),
        timestamp_ms=1_767_323_045_000,
    )


async def receive(applier: Applier, *events: Event[RecordChanged], offset: int = 0) -> int:
    await applier.drive([as_record(item, offset + n) for n, item in enumerate(events)])
    return offset + len(events)


async def rows(database: Database, query: str) -> list[tuple[Any, ...]]:
    async with database.connection() as connection:
        return [tuple(row) for row in await connection.fetch(query)]


async def bronze(database: Database) -> list[tuple[Any, ...]]:
    return await rows(
        database,
        "select external_id, version, operation, raw_data from bronze.raw_entities order by id",
    )


@pytest.mark.covers("S2-04", "S2-14", "S2-34")
async def test_a_record_becomes_a_version_and_a_change_the_next(
    applier: Applier, database: Database
) -> None:
    first = event("u1", {"FirstName": "Ada", "LastName": "Byron"})
    second = event("u1", {"LastName": "Lovelace", "FirstName": "Ada"})

    await receive(applier, first, event("u2", {"FirstName": "Alan"}), second)

    assert await bronze(database) == [
        ("u1", 1, "stored", {"FirstName": "Ada", "LastName": "Byron"}),
        ("u2", 1, "stored", {"FirstName": "Alan"}),
        ("u1", 2, "stored", {"FirstName": "Ada", "LastName": "Lovelace"}),
    ]
    assert await rows(
        database, "select source_system, entity_id, version from bronze.heads order by external_id"
    ) == [("tdx", "tdx/u1", 2), ("tdx", "tdx/u2", 1)]
    said = await rows(
        database,
        "select convert_from(value, 'utf8')::jsonb from meta.outbox where topic = 'bronze.stored' "
        "order by id",
    )
    assert [item["causationid"] for (item,) in said] == [
        first.id,
        said[1][0]["causationid"],
        second.id,
    ]
    assert said[2][0]["data"]["version"] == 2


@pytest.mark.covers("S2-13")
async def test_a_redelivery_adds_nothing_and_the_same_record_is_answered_unchanged(
    applier: Applier, database: Database
) -> None:
    told = event("u1", {"a": 1, "b": [None, "x"]})
    offset = await receive(applier, told)
    offset = await receive(applier, told, offset=offset)
    await receive(applier, event("u1", {"b": [None, "x"], "a": 1}), offset=offset)

    assert len(await bronze(database)) == 1
    answers = await rows(
        database,
        "select convert_from(value, 'utf8')::jsonb -> 'data' ->> 'operation' from meta.outbox "
        "where topic = 'bronze.stored' order by id",
    )
    assert answers == [("stored",), ("unchanged",)]


async def test_a_deletion_is_a_tombstone_and_a_return_a_new_version(
    applier: Applier, database: Database
) -> None:
    await receive(
        applier, event("u1", {"a": 1}), event("u1"), event("u1", {"a": 1}), event("never-seen")
    )

    assert await bronze(database) == [
        ("u1", 1, "stored", {"a": 1}),
        ("u1", 2, "tombstoned", None),
        ("u1", 3, "stored", {"a": 1}),
    ]


async def test_a_large_record_is_fetched_from_the_object_store(
    applier: Applier, database: Database, blobs: BlobStore
) -> None:
    record = {"Attributes": ["x" * 1000] * 500}
    await blobs.put("raw/large", orjson.dumps(record))

    await receive(applier, event("u1", blob_key="raw/large"))

    ((_, _, _, raw_data),) = await bronze(database)
    assert raw_data == record
    assert await rows(database, "select blob_key from bronze.raw_entities") == [("raw/large",)]


@pytest.mark.covers("S2-28", "E-04")
@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        ({"record": {"name": "a\0b"}}, "NUL"),
        ({"record": {"number": 2**70}}, "JSON cannot carry"),
        ({"blob_key": "raw/none"}, "not in the object store"),
        ({"blob_key": "raw/text"}, "is not JSON"),
        ({"blob_key": "raw/list"}, "a record is a JSON object"),
        ({"record": {"a": 1}, "source": "nobody"}, "no source 'nobody'"),
    ],
)
async def test_a_bad_record_is_dead_lettered_and_listed_and_the_rest_goes_on(
    applier: Applier, database: Database, blobs: BlobStore, broken: dict[str, Any], reason: str
) -> None:
    await blobs.put("raw/text", b"{truncated")
    await blobs.put("raw/list", b"[1]")

    await receive(applier, event("u1", {"a": 1}), event("bad", **broken), event("u2", {"a": 2}))

    assert [row[0] for row in await bronze(database)] == ["u1", "u2"]
    ((dead, category),) = await rows(
        database,
        "select value, headers ->> 'x-dlq-category' from meta.outbox "
        "where topic = 'record.changed.ingestor.dead'",
    )
    assert json.loads(dead)["data"]["external_id"] == "bad"
    ((listed, message),) = await rows(
        database, "select external_id, message from meta.record_errors"
    )
    assert listed == "bad"
    assert reason in message
    assert category


async def test_a_backslash_before_u0000_is_a_text_like_any_other(
    applier: Applier, database: Database
) -> None:
    await receive(applier, event("u1", {"path": "C:\\u0000"}))

    assert (await bronze(database))[0][3] == {"path": "C:\\u0000"}


async def test_a_very_long_id_is_abbreviated_and_stays_distinct(
    applier: Applier, database: Database
) -> None:
    await receive(applier, event("x" * 512, {"a": 1}), event("x" * 511 + "y", {"a": 2}))

    ids = await rows(database, "select distinct entity_id from bronze.heads")
    assert len(ids) == 2
    assert all(len(entity_id) <= 512 for (entity_id,) in ids)
