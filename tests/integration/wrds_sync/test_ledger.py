"""What the database and the outbox learn of a sync."""

import json
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from chassis.db import Database
from tests.support.databases import opened
from tests.support.wrds_archive import Archive, prices
from tests.support.wrds_mirror import CRSP, open_mirror
from wrds_sync.adapters.ledger import PostgresLedger
from wrds_sync.domain.manifest import SyncManifest


@pytest.fixture
async def database(database_url: str) -> AsyncGenerator[Database]:
    async with opened(database_url, "wrds_sync") as database:
        yield database


async def announced(database: Database) -> list[tuple[str, str, str, int, str | None]]:
    """Take what waits in the outbox."""
    async with database.transaction() as transaction:
        rows = await transaction.connection.fetch(
            "with taken as (delete from meta.outbox returning *) select * from taken order by id"
        )
    assert {row["topic"] for row in rows} <= {"bronze.stored"}
    told = [(row["key"].decode(), json.loads(row["value"])["data"]) for row in rows]
    return [
        (key, data["operation"], data["external_id"], data["version"], data.get("content_hash"))
        for key, data in told
    ]


def told(manifest: SyncManifest, year: int, version: int) -> tuple[str, str, str, int, str | None]:
    return (
        f"wrds_partition/crsp/{year}",
        "stored",
        f"wrds/crsp/daily/{year}.parquet",
        version,
        manifest.by_year()[year].sha256,
    )


async def test_each_partition_that_changed_is_announced_once(
    database: Database, tmp_path: Path
) -> None:
    archive = Archive()
    archive.put("crsp.dsf", prices(2022), prices(2023), modified="first")
    mirror = open_mirror(tmp_path, archive)
    first = (await mirror.manager.full_sync(CRSP, 2022)).manifest
    ledger = PostgresLedger(database)

    part = first.model_copy(update={"partitions": first.partitions[:1], "is_complete": False})
    await ledger.announce(part)
    assert await announced(database) == [told(first, 2022, 1)]
    await ledger.record(first, None)
    assert await announced(database) == [told(first, 2023, 1)]
    await ledger.record(first, None)
    assert await announced(database) == []

    archive.put("crsp.dsf", prices(2022), prices(2023, price=11.5), modified="second")
    second = (await mirror.manager.incremental_sync(CRSP)).manifest
    await ledger.record(second, None)
    assert await announced(database) == [told(second, 2023, 2)]

    late = first.model_copy(update={"fencing": first.fencing - 1})
    await ledger.record(late, None)
    assert await announced(database) == []

    rest = second.model_copy(update={"partitions": second.partitions[:1]})
    await ledger.record(rest, None)
    gone = ("wrds_partition/crsp/2023", "tombstoned", "wrds/crsp/daily/2023.parquet", 3, None)
    assert await announced(database) == [gone]
