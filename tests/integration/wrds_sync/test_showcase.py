"""Where the mirror stands, as the database tells it to people."""

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from chassis.db import Database
from tests.support.databases import opened
from tests.support.wrds_archive import Archive, prices
from tests.support.wrds_mirror import CRSP, open_mirror
from wrds_sync.adapters.showcase import PostgresShowcase
from wrds_sync.domain.datasets import Dataset
from wrds_sync.handlers.showing import Showing


class Catalog:
    """The data sets of a test."""

    def __init__(self, *datasets: Dataset) -> None:
        self.datasets = list(datasets)

    def all(self) -> list[Dataset]:
        return self.datasets


@pytest.fixture
async def database(database_url: str) -> AsyncGenerator[Database]:
    async with opened(database_url, "wrds_sync") as database:
        yield database


@pytest.mark.covers("S5-29", "S5-31")
async def test_partitions_attempts_locks_and_the_disk_are_told(
    database: Database, tmp_path: Path
) -> None:
    archive = Archive()
    archive.put("crsp.dsf", prices(2023), prices(2024), modified="first")
    mirror = open_mirror(tmp_path, archive)
    await mirror.manager.full_sync(CRSP, 2023)
    await mirror.locks.acquire("crsp", timeout_seconds=1, above=0, lease_token=None)
    catalog = Catalog(CRSP)
    showing = Showing(catalog, mirror.storage, mirror.locks, showcase=PostgresShowcase(database))
    await showing.show()
    await showing.show()
    async with database.connection() as connection:
        row = await connection.fetchrow("select * from wrds_sync.states")
        disk = await connection.fetchrow("select * from wrds_sync.volumes")
    assert row is not None
    assert (row["dataset"], row["vendor"], row["source_table"]) == ("crsp", "crsp", "crsp.dsf")
    assert (row["rows"], row["is_complete"], row["problem"]) == (8, True, None)
    assert [part["year"] for part in row["partitions"]] == [2024, 2023]
    assert row["kept"] == [row["vintage"]]
    assert row["progress"]["status"] == "completed"
    assert row["lock"]["is_stale"] is False
    assert disk is not None
    assert (disk["free_bytes"], disk["level"]) == (900_000_000_000, "ok")

    (tmp_path / "manifests/crsp.json").write_text("{}")
    await showing.show()
    async with database.connection() as connection:
        assert "not a manifest" in await connection.fetchval("select problem from wrds_sync.states")
    catalog.datasets.clear()
    await showing.show()
    async with database.connection() as connection:
        assert await connection.fetchval("select count(*) from wrds_sync.states") == 0
