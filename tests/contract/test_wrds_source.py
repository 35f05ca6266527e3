"""One suite for the archive in memory and the real client on a real server."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from tests.support.wrds_archive import Archive, prices
from tests.support.wrds_server import WrdsServer
from tests.support.wrds_server_client import opened
from wrds_sync.domain.tables import PartitionRange, Selection, TableRef
from wrds_sync.errors import SourceRefusedError
from wrds_sync.ports import Source

TABLE = TableRef("research", "prices")
SELECTION = Selection(table=TABLE, date_column="date")

Rows = dict[str, list[object]]


@dataclass
class World:
    """An archive, and the way to change its only table."""

    source: Source
    put: Callable[[list[Rows], str], Awaitable[None]]


def in_memory() -> World:
    archive = Archive()

    async def put(years: list[Rows], modified: str) -> None:
        archive.put(str(TABLE), *years, modified=modified)

    return World(archive, put)


def on_a_server(server: WrdsServer, source: Source) -> World:
    async def put(years: list[Rows], modified: str) -> None:
        await server.execute(
            "create schema if not exists research; drop table if exists research.prices;"
            "create table research.prices (permno bigint, date date, prc double precision);"
            f"comment on table research.prices is 'Prices. Last modified: {modified}'"
        )
        async with server.connection() as connection:
            for rows in years:
                await connection.executemany(
                    "insert into research.prices values ($1, $2, $3)",
                    list(zip(rows["permno"], rows["date"], rows["prc"], strict=True)),
                )

    return World(source, put)


@pytest.fixture(params=["memory", "server"])
async def world(request: pytest.FixtureRequest, empty_database_url: str) -> AsyncGenerator[World]:
    if request.param == "memory":
        yield in_memory()
        return
    server = await WrdsServer.create(empty_database_url)
    async with opened(server) as client:
        yield on_a_server(server, client)


async def test_a_table_is_listed_and_described(world: World) -> None:
    await world.put([prices(2023)], "03/01/2024")
    [listed] = await world.source.list_tables(["research"])
    assert (listed.table, listed.is_readable, listed.last_modified) == (TABLE, True, "03/01/2024")
    info = await world.source.table_info(TABLE)
    assert {item.name: item.stored_type for item in info.columns} == {
        "permno": "int64",
        "date": "date32[day]",
        "prc": "double",
    }
    assert info.last_modified == "03/01/2024"


async def test_a_table_that_is_not_there_is_refused(world: World) -> None:
    with pytest.raises(SourceRefusedError):
        await world.source.table_info(TableRef("research", "nothing"))


async def test_rows_are_counted_by_year(world: World) -> None:
    await world.put([prices(2022, rows=3), prices(2024, rows=5)], "x")
    counted = await world.source.statistics(SELECTION)
    assert [(item.year, item.rows, item.content_hash) for item in counted] == [
        (2022, 3, None),
        (2024, 5, None),
    ]
    [later] = await world.source.statistics(SELECTION, since_year=2023)
    assert later.year == 2024


async def test_a_table_without_dates_is_one_partition(world: World) -> None:
    await world.put([prices(2022), prices(2023)], "x")
    [counted] = await world.source.statistics(Selection(table=TABLE))
    assert (counted.year, counted.rows) == (0, 8)


async def test_a_hash_tells_content_and_not_order(world: World) -> None:
    async def hashes() -> list[str | None]:
        counted = await world.source.statistics(SELECTION, with_hash=True)
        return [item.content_hash for item in counted]

    await world.put([prices(2022), prices(2023)], "x")
    first = await hashes()
    backwards: Rows = {name: values[::-1] for name, values in prices(2023).items()}
    await world.put([backwards, prices(2022)], "y")
    assert await hashes() == first
    await world.put([prices(2022), prices(2023, price=10.5)], "z")
    changed = await hashes()
    assert changed[0] == first[0]
    assert changed[1] != first[1]
    assert None not in first


async def test_a_copy_is_the_partition_and_nothing_else(world: World, tmp_path: Path) -> None:
    await world.put([prices(2022), prices(2023, rows=2), prices(2024)], "x")
    told: list[int] = []
    target = tmp_path / "2023.parquet.tmp"
    result = await world.source.copy(
        SELECTION, PartitionRange.of_year(2023), target=target, on_rows=told.append
    )
    assert (result.rows, result.lower, result.upper) == (2, date(2023, 6, 30), date(2023, 6, 30))
    assert result.size_bytes == target.stat().st_size
    assert [item.name for item in result.columns] == ["permno", "date", "prc"]
    assert pl.read_parquet(target).sort("permno").to_dict(as_series=False) == prices(2023, rows=2)
    assert told[-1] == 2


async def test_a_stream_has_the_same_rows(world: World) -> None:
    await world.put([prices(2022), prices(2023)], "x")
    batches = [
        batch async for batch in world.source.stream(SELECTION, PartitionRange.of_year(2022))
    ]
    assert sum(batch.num_rows for batch in batches) == 4


async def test_only_the_selected_columns_are_copied(world: World, tmp_path: Path) -> None:
    await world.put([prices(2023)], "x")
    selection = Selection(table=TABLE, date_column="date", columns=("date", "prc"))
    target = tmp_path / "2023.parquet.tmp"
    result = await world.source.copy(selection, PartitionRange.of_year(2023), target=target)
    assert [item.name for item in result.columns] == ["date", "prc"]
