"""A query against PostgreSQL: values, cursors that skip nothing, refusals."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import asyncpg
import pytest

from chassis.errors import UnavailableError
from scanner.adapters.sql_postgres import PostgresRecords
from scanner.domain.cursors import CursorKind
from scanner.domain.records import ById, Full, PollRequest, RecordPage, Since
from scanner.errors import SourceRefusedError
from scanner.settings.sql import SqlRecords

Connection = Any


@pytest.fixture
async def writer(database_url: str) -> AsyncGenerator[Connection]:
    connection = await asyncpg.connect(database_url)
    await connection.execute(
        "create table items (id bigint generated always as identity primary key, name text, "
        "changed_at timestamptz default now())"
    )
    try:
        yield connection
    finally:
        await connection.close()


def source(url: str, kind: CursorKind | None = None, **config: Any) -> PostgresRecords:
    given = {"kind": "sql", "url": "env:X", "query": "select * from items", "settle_seconds": 0}
    return PostgresRecords(SqlRecords.model_validate(given | config), url=url, cursor=kind)


async def read(records: PostgresRecords, request: PollRequest | None = None) -> list[RecordPage]:
    return [page async for page in records.poll(request or Full())]


async def _first(pages: AsyncGenerator[RecordPage]) -> RecordPage:
    return await anext(pages)


def rows(pages: list[RecordPage]) -> list[Any]:
    return [record for page in pages for record in page.records]


async def test_values_have_a_form_in_json_that_loses_nothing(database_url: str) -> None:
    query = (
        "select 12345678901234567890.12::numeric as amount, '\\x00ff'::bytea as raw, "
        "'2026-03-01 12:00+01'::timestamptz as at, '2026-03-01 12:00'::timestamp as local, "
        "'2026-03-01'::date as day, '{\"a\": [1]}'::jsonb as document, array['x', null] as list, "
        "'6ba7b810-9dad-11d1-80b4-00c04fd430c8'::uuid as uid, 'NaN'::float8 as nothing, "
        "true as flag, null::int as missing, '1 day'::interval as span"
    )
    records = source(database_url, query=query)
    (record,) = rows(await read(records))
    await records.close()
    assert record == {
        "amount": "12345678901234567890.12",
        "raw": "AP8=",
        "at": "2026-03-01T11:00:00.000000Z",
        "local": "2026-03-01T12:00:00",
        "day": "2026-03-01",
        "document": {"a": [1]},
        "list": ["x", None],
        "uid": "6ba7b810-9dad-11d1-80b4-00c04fd430c8",
        "nothing": "nan",
        "flag": True,
        "missing": None,
        "span": "86400.000000",
    }


async def test_rows_are_streamed_in_pages(writer: Connection, database_url: str) -> None:
    await writer.execute("insert into items (name) select n from generate_series(1, 25) as n")
    records = source(database_url, page_size=10)
    sizes = [len(page.records) for page in await read(records)]
    await records.close()
    assert sizes == [10, 10, 5, 0]


async def test_parameters_are_typed_and_never_text_of_the_query(
    writer: Connection, database_url: str
) -> None:
    await writer.execute("insert into items (name) values ('x'' or true --'), ('y')")
    records = source(
        database_url,
        query="select id, name from items where name = $1 and id < $2",
        parameters=[
            {"type": "text", "value": "x' or true --"},
            {"type": "integer", "value": 100},
        ],
        id_column="id",
    )
    assert rows(await read(records)) == [{"id": 1, "name": "x' or true --"}]
    assert rows(await read(records, ById(("1", "2")))) == [{"id": 1, "name": "x' or true --"}]
    await records.close()


@pytest.mark.covers("C-46")
async def test_a_number_that_is_committed_late_is_not_skipped(
    writer: Connection, database_url: str
) -> None:
    late = await asyncpg.connect(database_url)
    transaction = late.transaction()
    await transaction.start()
    await late.execute("insert into items (name) values ('late')")  # id 1, not visible yet
    await writer.execute("insert into items (name) values ('early')")  # id 2, visible
    records = source(database_url, CursorKind.INTEGER, cursor_column="id")
    first = await read(records)
    assert [row["name"] for row in rows(first)] == ["early"]
    assert first[-1].high_water is None, "a mark at 2 would hide 1 for good"
    await transaction.commit()
    second = await read(records)
    assert [row["name"] for row in rows(second)] == ["late", "early"]
    assert second[-1].high_water == "2"
    assert [row["name"] for row in rows(await read(records, Since("2")))] == ["early"]
    await records.close()
    await late.close()


@pytest.mark.covers("C-46")
async def test_a_number_waits_for_those_before_it(writer: Connection, database_url: str) -> None:
    late = await asyncpg.connect(database_url)
    transaction = late.transaction()
    await transaction.start()
    await late.execute("insert into items (name) values ('late')")
    await writer.execute("insert into items (name) values ('early')")
    records = source(database_url, CursorKind.INTEGER, cursor_column="id", settle_seconds=30)
    pages = records.poll(Full())
    async with asyncio.TaskGroup() as group:
        reading = group.create_task(_first(pages))
        await asyncio.sleep(0.3)
        assert not reading.done()
        await transaction.commit()
    assert [row["name"] for row in reading.result().records] == ["late", "early"]
    await pages.aclose()
    await records.close()
    await late.close()


@pytest.mark.covers("C-46", "C-11")
async def test_a_time_goes_no_further_than_the_oldest_open_transaction(
    writer: Connection, database_url: str
) -> None:
    late = await asyncpg.connect(database_url)
    transaction = late.transaction()
    await transaction.start()
    begun = await late.fetchval("select now()")
    await writer.execute("insert into items (name) values ('early')")
    records = source(database_url, CursorKind.TIMESTAMP, cursor_column="changed_at")
    first = await read(records)
    # It writes only now, with the time of its begin: below the row that was read.
    await late.execute("insert into items (name) values ('late')")
    await transaction.commit()
    mark = first[-1].high_water
    assert mark is not None
    found = rows(await read(records, Since(mark)))
    assert [row["name"] for row in found] == ["late", "early"]
    assert mark.rstrip("Z") == begun.isoformat(timespec="microseconds").removesuffix("+00:00")
    await records.close()
    await late.close()


async def test_a_young_time_is_no_safe_mark(writer: Connection, database_url: str) -> None:
    await writer.execute("insert into items (name) values ('x')")
    young = await writer.fetchval("select max(changed_at) from items")
    records = source(
        database_url, CursorKind.TIMESTAMP, cursor_column="changed_at", settle_seconds=3600
    )
    mark = (await read(records))[-1].high_water
    await records.close()
    assert mark is not None
    assert mark < young.isoformat()


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"query": "select * from nowhere"}, "refuses the query"),
        ({"query": "select id, id from items"}, "columns twice"),
        ({"query": "delete from items returning id"}, "refuses the query"),
        ({"query": "select 1; select 2"}, "refuses the query"),
    ],
)
@pytest.mark.usefixtures("writer")
async def test_a_query_that_cannot_be_one_is_refused(
    database_url: str, config: dict[str, Any], message: str
) -> None:
    records = source(database_url, **config)
    with pytest.raises(SourceRefusedError, match=message):
        await records.describe()
    await records.close()


async def test_a_query_cannot_write(writer: Connection, database_url: str) -> None:
    await writer.execute(
        "create function sneak() returns int language sql as "
        "$$ insert into items (name) values ('x') returning 1 $$"
    )
    records = source(database_url, query="select sneak() as id")
    with pytest.raises(SourceRefusedError, match="read-only"):
        await read(records)
    await records.close()
    assert await writer.fetchval("select count(*) from items") == 0


async def test_a_server_that_is_away_is_an_outage() -> None:
    records = source("postgresql://nobody:secret@127.0.0.1:1/none")
    with pytest.raises(UnavailableError) as raised:
        await records.describe()
    assert "secret" not in raised.value.message
