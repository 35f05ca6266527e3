"""Copies from a server that looks like the archive: layouts, faults, restatements."""

import asyncio
import time
from collections.abc import Coroutine
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any
from unittest.mock import Mock
from urllib.parse import urlsplit

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.support.eventually import eventually
from tests.support.paths import shared_data
from tests.support.proxy import FaultProxy
from tests.support.wrds_server import WrdsServer
from tests.support.wrds_server_client import opened
from tests.support.wrds_server_tables import ALL, TEXTS, Layout
from wrds_sync.adapters import wrds_client
from wrds_sync.adapters.postgres_copy_binary import BinaryParser
from wrds_sync.domain.tables import PartitionRange, Selection, TableRef
from wrds_sync.errors import (
    DiskFullError,
    QueryTimeoutError,
    SourceRefusedError,
    UnstorableValueError,
)

ALL_ROWS = PartitionRange(year=0)
DAILY = Selection(table=TableRef("crsp", "dsf"), date_column="date", order_by=("permno", "date"))
FACTORS = Selection(table=TableRef("ff", "factors_daily"), date_column="date", order_by=("date",))
DATES = {
    "dsf": "date",
    "msf": "date",
    "dsf_v2": "dlycaldt",
    "funda": "datadate",
    "fundq": "datadate",
    "factors_daily": "date",
    "factors_monthly": "date",
    "transcripts": "mostimportantdateutc",
}
MANY = "insert into crsp_store.dsf select d.* from crsp_store.dsf d, generate_series(1, 1500)"


@pytest.fixture
async def server(empty_database_url: str) -> WrdsServer:
    return await WrdsServer.create(empty_database_url)


@pytest.fixture
async def filled(server: WrdsServer) -> WrdsServer:
    year = date(2020, 1, 1), date(2020, 12, 31)
    await server.fill_daily(*year, securities=2)
    await server.fill_daily(*year, securities=2, v2=True)
    await server.fill_monthly(*year, securities=3)
    await server.fill_annual(date(2015, 12, 31), date(2020, 12, 31), companies=5)
    await server.fill_quarterly(*year, companies=3)
    await server.fill_texts(date(2020, 1, 1), date(2020, 1, 31), companies=2)
    await server.load_factors(shared_data("wrds", "F-F_Research_Data_Factors_daily.202102.CSV"))
    await server.load_factors(shared_data("wrds", "arch_frenchdata_monthly.csv"))
    await server.execute("analyze")
    return server


@pytest.fixture
async def large(server: WrdsServer) -> WrdsServer:
    """Enough rows that a copy takes a while: some 50 MB on the wire."""
    await server.fill_daily(date(2020, 1, 1), date(2020, 12, 31), securities=1)
    await server.execute(MANY)
    return server


@pytest.fixture
def proxy(server: WrdsServer) -> Any:
    parts = urlsplit(server.url)
    with FaultProxy(parts.hostname or "", parts.port or 5432) as proxy:
        yield proxy


def through(proxy: FaultProxy) -> dict[str, Any]:
    return {"host": proxy.host, "port": proxy.port}


async def read(server: WrdsServer, layout: Layout) -> list[dict[str, Any]]:
    """The rows as the driver gives them: another protocol, another decoder."""
    async with server.connection() as connection:
        rows = await connection.fetch(f"select * from {layout.schema}.{layout.table}")
    textual = [column.name for column in layout.columns if column.type in ("jsonb", "uuid")]
    found = [dict(row) for row in rows]
    for row in found:
        for name in textual:
            row[name] = str(row[name])
    return found


def in_order(rows: list[dict[str, Any]]) -> list[str]:
    return sorted(repr(sorted(row.items())) for row in rows)


@pytest.mark.parametrize("layout", ALL, ids=lambda layout: f"{layout.schema}.{layout.table}")
async def test_every_layout_is_copied_cell_for_cell(
    filled: WrdsServer, tmp_path: Path, layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_binary = Mock(wraps=BinaryParser)
    monkeypatch.setattr(wrds_client, "BinaryParser", in_binary)
    table = TableRef(layout.schema, layout.table)
    selection = Selection(table=table, date_column=DATES[layout.table])

    async with opened(filled) as client:
        result = await client.copy(selection, ALL_ROWS, target=tmp_path / "f")

    assert in_binary.called == (layout is TEXTS)
    stored = pq.read_table(tmp_path / "f")
    expected = await read(filled, layout)
    assert len(expected) == result.rows > 0
    assert in_order(stored.to_pylist()) == in_order(expected)
    assert [column.name for column in result.columns] == stored.schema.names
    assert [column.stored_type for column in result.columns] == list(map(str, stored.schema.types))
    dates = [row[DATES[layout.table]] for row in expected]
    assert (result.lower, result.upper) == (min(dates), max(dates))
    assert result.size_bytes == (tmp_path / "f").stat().st_size


async def test_a_year_holds_its_days_and_no_others(server: WrdsServer, tmp_path: Path) -> None:
    await server.fill_daily(date(2019, 12, 30), date(2021, 1, 4), securities=1)

    async with opened(server) as client:
        result = await client.copy(DAILY, PartitionRange.of_year(2020), target=tmp_path / "f")

    assert (result.rows, result.lower, result.upper) == (262, date(2020, 1, 1), date(2020, 12, 31))


async def test_a_year_without_rows_is_a_file_without_rows(
    server: WrdsServer, tmp_path: Path
) -> None:
    async with opened(server) as client:
        result = await client.copy(DAILY, PartitionRange.of_year(1990), target=tmp_path / "f")

    assert (result.rows, result.lower, result.upper) == (0, None, None)
    assert pq.read_table(tmp_path / "f").num_columns == 20


async def test_a_selection_takes_columns_values_and_types(
    filled: WrdsServer, tmp_path: Path
) -> None:
    selection = Selection(
        table=TableRef("crsp", "dsf"),
        date_column="date",
        columns=("date", "permno", "prc"),
        equals={"permno": "10002", "hexcd": "1"},
        types={"permno": "int32", "prc": "float64"},
    )

    async with opened(filled) as client:
        result = await client.copy(selection, ALL_ROWS, target=tmp_path / "f")

    stored = pq.read_table(tmp_path / "f")
    assert result.rows == 262
    assert set(stored["permno"].to_pylist()) == {10002}
    assert list(map(str, stored.schema.types)) == ["date32[day]", "int32", "double"]


@pytest.mark.covers("C-40")
async def test_the_true_vintages_of_fama_french_are_told_apart(
    server: WrdsServer, tmp_path: Path
) -> None:
    old = shared_data("wrds", "F-F_Research_Data_Factors_daily.202102.CSV")
    new = shared_data("wrds", "F-F_Research_Data_Factors_daily.202311.CSV")
    tables, statistics = [], []
    async with opened(server) as client:
        for number, path in enumerate((old, old, new)):
            await server.load_factors(path)
            target = tmp_path / str(number)
            await client.copy(FACTORS, ALL_ROWS, target=target)
            tables.append(pq.read_table(target))
            statistics.append(await client.statistics(FACTORS, with_hash=True))

    assert tables[0].equals(tables[1])
    assert not tables[0].equals(tables[2])
    assert statistics[0] == statistics[1]
    assert [part.year for part in statistics[0]] == list(range(1926, 2022))
    assert sum(part.rows for part in statistics[0]) == 24_934
    assert sum(part.rows for part in statistics[2]) == 25_629
    both = zip(statistics[0], statistics[2], strict=False)
    assert sum(before != after for before, after in both) == len(statistics[0])
    first = tables[0].slice(0, 1).to_pylist()[0]
    assert first["mktrf"] == Decimal("0.001000")


async def test_statistics_do_not_depend_on_the_rows_order(server: WrdsServer) -> None:
    await server.fill_daily(date(2020, 1, 1), date(2021, 6, 30), securities=3)
    async with opened(server) as client:
        before = await client.statistics(DAILY, with_hash=True)
        await server.execute(
            "create table again as select * from crsp_store.dsf order by prc;"
            "truncate crsp_store.dsf; insert into crsp_store.dsf select * from again"
        )
        after = await client.statistics(DAILY, with_hash=True)
        await server.execute(
            "update crsp_store.dsf set ret = ret + 0.000001 where date='2021-03-01'"
        )
        changed = await client.statistics(DAILY, with_hash=True)
        late = await client.statistics(DAILY, since_year=2021)

    assert [(part.year, part.rows) for part in before] == [(2020, 786), (2021, 387)]
    assert before == after
    assert [a == b for a, b in zip(after, changed, strict=True)] == [True, False]
    assert [(part.year, part.rows, part.content_hash) for part in late] == [(2021, 387, None)]


async def test_rows_without_a_date_belong_to_no_year(server: WrdsServer) -> None:
    await server.fill_daily(date(2020, 1, 1), date(2020, 1, 3), securities=1)
    await server.execute("update crsp_store.dsf set date = null where date = '2020-01-02'")

    async with opened(server) as client:
        with pytest.raises(UnstorableValueError, match=r"1 rows .* `date`"):
            await client.statistics(DAILY)


async def test_an_infinite_date_is_found_among_many_columns(
    filled: WrdsServer, tmp_path: Path
) -> None:
    await filled.execute("update crsp_store.dsf_v2 set dlyprevdt = 'infinity' where permno=10001")

    async with opened(filled) as client:
        with pytest.raises(UnstorableValueError, match="`dlyprevdt`"):
            await client.copy(
                Selection(table=TableRef("crsp", "dsf_v2")), ALL_ROWS, target=tmp_path / "f"
            )


# --- faults ----------------------------------------------------------------------------------
@pytest.mark.covers("S5-12", "S5-78")
async def test_a_copy_is_repeated_when_the_connection_is_cut(
    large: WrdsServer, proxy: FaultProxy, tmp_path: Path
) -> None:
    async with opened(large, **through(proxy)) as client:
        await client.table_info(DAILY.table)
        proxy.cut_after(5_000_000)
        async with asyncio.TaskGroup() as tasks:
            copying = tasks.create_task(client.copy(DAILY, ALL_ROWS, target=tmp_path / "f"))
            await eventually(lambda: proxy.connections == 0)
            proxy.restore()

    assert copying.result().rows == pq.read_metadata(tmp_path / "f").num_rows == 262 * 1501


async def test_a_copy_is_repeated_when_the_server_ends_it(
    large: WrdsServer, tmp_path: Path
) -> None:
    target = tmp_path / "f"
    async with opened(large) as client, asyncio.TaskGroup() as tasks:
        copying = tasks.create_task(client.copy(DAILY, ALL_ROWS, target=target))
        await eventually(target.exists, 30)
        await large.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity "
            "where query like 'COPY%' and datname = current_database()"
        )

    assert copying.result().rows == pq.read_metadata(target).num_rows == 262 * 1501


@pytest.mark.covers("S5-11", "S5-77")
async def test_cancelling_a_copy_ends_it_at_the_server(large: WrdsServer, tmp_path: Path) -> None:
    target = tmp_path / "f"
    async with opened(large) as client:
        async with asyncio.TaskGroup() as tasks:
            copying = tasks.create_task(client.copy(DAILY, ALL_ROWS, target=target))
            await eventually(target.exists, 30)
            copying.cancel()
        assert await eventually(lambda: none_at(large))
        assert (await client.copy(FACTORS, ALL_ROWS, target=tmp_path / "g")).rows == 0


@pytest.mark.covers("S5-11", "S5-38")
async def test_a_silent_network_is_noticed_in_bounded_time(
    large: WrdsServer, proxy: FaultProxy, tmp_path: Path
) -> None:
    # Long enough for the first rows to arrive on a busy machine.
    settings = through(proxy) | {"query_timeout_seconds": 12, "connect_timeout_seconds": 12}
    target = tmp_path / "f"
    async with opened(large, **settings) as client:
        await client.table_info(DAILY.table)
        started = time.monotonic()
        async with asyncio.TaskGroup() as tasks:
            copying = tasks.create_task(times_out(client.copy(DAILY, ALL_ROWS, target=target)))
            await eventually(target.exists, 30)
            proxy.black_hole()
        proxy.restore()

    assert copying.result()
    assert time.monotonic() - started < 45


async def test_a_full_disk_leaves_the_connection_usable(large: WrdsServer, tmp_path: Path) -> None:
    async with opened(large) as client:
        with pytest.raises(DiskFullError):
            await client.copy(DAILY, ALL_ROWS, target=Path("/dev/full"))
        assert await eventually(lambda: none_at(large))
        assert (await client.copy(FACTORS, ALL_ROWS, target=tmp_path / "g")).rows == 0


async def test_a_failing_disk_is_not_taken_for_a_silent_archive(
    large: WrdsServer, tmp_path: Path
) -> None:
    async with opened(large) as client:
        with pytest.raises(FileNotFoundError):
            await client.copy(DAILY, ALL_ROWS, target=tmp_path / "missing" / "f")


async def test_a_stream_may_be_left_early(large: WrdsServer) -> None:
    async with opened(large) as client:
        batches = client.stream(DAILY, ALL_ROWS)
        first = await anext(batches)
        await batches.aclose()

        assert first.schema.field("ret").type == pa.decimal128(11, 6)
        assert await eventually(lambda: none_at(large))
        assert (await client.execute_query("select 1 as one"))["one"].to_list() == [1]


async def test_a_table_that_may_not_be_read_is_refused_at_once(
    filled: WrdsServer, tmp_path: Path
) -> None:
    async with opened(filled) as client:
        with pytest.raises(SourceRefusedError, match=r"crsp\.ghost"):
            await client.copy(
                Selection(table=TableRef("crsp", "ghost")), ALL_ROWS, target=tmp_path / "f"
            )


async def none_at(server: WrdsServer) -> bool:
    async with server.connection() as connection:
        copies = await connection.fetchval(
            "select count(*) from pg_stat_activity "
            "where query like 'COPY%' and state = 'active' and datname = current_database()"
        )
    return bool(copies == 0)


async def times_out(copy: Coroutine[Any, Any, object]) -> bool:
    try:
        await copy
    except QueryTimeoutError:
        return True
    return False
