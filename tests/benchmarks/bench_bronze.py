"""A full load of records into bronze: the catalog against a plain COPY.

Baseline: asyncpg's COPY of the same rows into the same, equally empty and equally indexed table
`bronze.raw_entities`, a commit per batch: no locks, no heads, no comparison, no answers. Ours:
`PostgresCatalog.append`, which asks of every record whether it is new, keeps the head and the
entity, and numbers the version. Same process, same batches, same rows; rounds interleaved.
"""

import os
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import orjson
import uvloop

from chassis.clock import SystemClock
from chassis.db import Database
from chassis.migrations import migrate
from chassis.process import calm_garbage_collection
from contracts.layers import BronzeOperation
from ingestor.adapters.postgres_catalog import PostgresCatalog
from ingestor.domain.canonical import canonical_json, content_hash
from ingestor.domain.versions import InMemory, NewVersion
from tests.benchmarks.report import Result, median_ratio
from tests.benchmarks.server import CACHE, filled_server
from tests.support.hub import open_database

RECORDS = int(os.environ.get("BENCH_BRONZE_RECORDS", "1000000"))  # noqa: TID251 - a script's option
BATCH = 5_000
ROUNDS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """One load of all records."""

    rate: float
    pages_read: int
    """What the server's cache did not hold: of indexes, mostly, as keys come in no order."""


Measure = Callable[[Database, PostgresCatalog, Sequence[NewVersion]], Awaitable[float]]

_PAGES_READ = "select blks_read from pg_stat_database where datname = current_database()"

_COLUMNS = (
    "id",
    "entity_type",
    "entity_id",
    "source_system",
    "external_id",
    "version",
    "operation",
    "raw_data",
    "content_hash",
    "size_bytes",
    "sequence",
    "event_id",
    "correlation_id",
    "ingested_at",
)


def main() -> list[Result]:
    """Start the server, measure, and return the ratio."""
    with filled_server() as (url, _):
        return [uvloop.run(_measure(url))]


async def _measure(url: str) -> Result:
    calm_garbage_collection()
    await migrate(url, owners=("chassis", "ingestor"))
    database = await open_database(url, "ingestor")
    ours: list[Load] = []
    bare: list[Load] = []
    rounds = [(_bare, bare), (_ours, ours)]
    try:
        for number in range(ROUNDS):
            for measure, into in rounds if number % 2 else reversed(rounds):
                into.append(await _loaded(database, measure))
    finally:
        await database.close()
    return Result(
        name="full load of records into bronze, records per second",
        baseline="a plain COPY of the same rows into the same table",
        ratio=median_ratio([load.rate for load in ours], [load.rate for load in bare]),
        target=0.6,
        better="higher",
        detail=f"{RECORDS} records, batches of {BATCH}, {ROUNDS} rounds, "
        f"ours {_described(ours)}, bare {_described(bare)}, a cache of {CACHE}",
    )


def _described(loads: Sequence[Load]) -> str:
    rates = [load.rate for load in loads]
    misses = max(load.pages_read for load in loads) / RECORDS
    return f"{min(rates):,.0f} to {max(rates):,.0f}/s with {misses:.2f} pages read for each"


async def _loaded(database: Database, measure: Measure) -> Load:
    async with database.connection() as connection:
        await connection.execute(
            "truncate bronze.raw_entities, bronze.heads, bronze.entities; checkpoint"
        )
        read_before = await connection.fetchval(_PAGES_READ)
    catalog = PostgresCatalog(database)  # one for a load, as the service has one
    elapsed = 0.0
    for start in range(0, RECORDS, BATCH):
        versions = [_version(number) for number in range(start, start + BATCH)]
        elapsed += await measure(database, catalog, versions)
    async with database.connection() as connection:
        pages_read = await connection.fetchval(_PAGES_READ) - read_before
        count = await connection.fetchval("select count(*) from bronze.raw_entities")
    assert count == RECORDS, f"{count} rows"
    return Load(rate=RECORDS / elapsed, pages_read=pages_read)


def _version(number: int) -> NewVersion:
    # As a directory tells a person; numbered so that ids come in no order, as hashes do.
    external_id = str(uuid.uuid5(uuid.NAMESPACE_OID, str(number)))
    document = canonical_json(
        {
            "UID": external_id,
            "UserName": f"user{number}",
            "FirstName": f"First{number % 5000}",
            "LastName": f"Last{number % 90000}",
            "PrimaryEmail": f"user{number}@example.edu",
            "Company": "Example University",
            "DefaultAccountID": number % 700,
            "Title": "Research Associate",
            "WorkPhone": f"555-{number % 10000:04}",
            "IsActive": number % 17 != 0,
        }
    )
    return NewVersion(
        operation=BronzeOperation.STORED,
        entity_type="user",
        source_system="tdx",
        external_id=external_id,
        entity_id=f"tdx/{external_id}",
        document=InMemory(document),
        content_hash=content_hash(document),
        is_own_entity=True,
        size_bytes=len(document),
        sequence=number + 1,
        event_id=f"event-{number}",
        correlation_id=f"event-{number}",
    )


async def _ours(
    database: Database, catalog: PostgresCatalog, versions: Sequence[NewVersion]
) -> float:
    started = time.perf_counter()
    async with database.transaction() as transaction:
        await catalog.append(transaction, versions)
    return time.perf_counter() - started


async def _bare(
    database: Database, _catalog: PostgresCatalog, versions: Sequence[NewVersion]
) -> float:
    now = SystemClock().now()
    rows = [
        (
            version.sequence,
            version.entity_type,
            version.entity_id,
            version.source_system,
            version.external_id,
            1,
            version.operation.value,
            orjson.Fragment(await version.document.load()) if version.document else None,
            version.content_hash,
            version.size_bytes,
            version.sequence,
            version.event_id,
            version.correlation_id,
            now,
        )
        for version in versions
    ]
    started = time.perf_counter()
    async with database.transaction() as transaction:
        await transaction.connection.copy_records_to_table(
            "raw_entities", schema_name="bronze", columns=_COLUMNS, records=rows
        )
    return time.perf_counter() - started
