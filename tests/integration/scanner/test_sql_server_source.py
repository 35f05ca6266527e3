"""A query against SQL Server: the real driver in its process, against the scripted server."""

from collections.abc import Generator
from typing import Any

import pytest

from chassis.errors import UnavailableError
from contracts.errors import ErrorCategory
from scanner.adapters.sql_server import SqlServerRecords
from scanner.domain.cursors import CursorKind
from scanner.domain.records import Abilities, ById, Full, PollRequest, RecordPage, Since
from scanner.errors import SourceRefusedError
from scanner.settings.sql import SqlRecords
from tests.support.tds.script import Drop, Fail, Rows, Rule, Script
from tests.support.tds.server import ScriptedServer

PEOPLE = {"id": "int", "name": "nvarchar(50)"}
ANN_AND_BOB = Rows(PEOPLE, ((1, "Ann"), (2, "Bøb")))


@pytest.fixture(scope="module")
def running() -> Generator[ScriptedServer]:
    with ScriptedServer() as server:
        yield server


@pytest.fixture
def server(running: ScriptedServer) -> ScriptedServer:
    running.follow(Script())
    return running


def source(
    server: ScriptedServer,
    kind: CursorKind | None = None,
    *,
    password: str = "r",
    **config: Any,
) -> SqlServerRecords:
    given = {
        "kind": "sql",
        "dialect": "sqlserver",
        "url": "env:X",
        "query": "select id, name from people",
        "timeout_seconds": 10,
    }
    address = (
        f"Server=127.0.0.1,{server.port};Database=hr;UID=reader;PWD={password};"
        "Encrypt=no;ConnectRetryCount=0"
    )
    return SqlServerRecords(
        SqlRecords.model_validate(given | config), connection=address, cursor=kind
    )


async def read(records: SqlServerRecords, request: PollRequest | None = None) -> list[RecordPage]:
    try:
        return [page async for page in records.poll(request or Full())]
    finally:
        await records.close()


def script(*rules: tuple[str, Any]) -> Script:
    return Script(tuple(Rule(pattern, (answer,)) for pattern, answer in rules))


async def test_rows_are_streamed_in_pages(server: ScriptedServer) -> None:
    numbered = Rows(PEOPLE, tuple((number, f"name {number}") for number in range(25)))
    server.follow(script(("from people", numbered)))
    pages = await read(source(server, page_size=10))
    assert [len(page.records) for page in pages] == [10, 10, 5, 0]
    assert pages[0].records[0] == {"id": 0, "name": "name 0"}


async def test_a_check_reads_the_columns_and_no_row(server: ScriptedServer) -> None:
    server.follow(script(("select top 0", Rows(PEOPLE))))
    records = source(server)
    assert (await records.describe()).text == "SQL Server, 2 columns"
    await records.close()


async def test_records_can_be_asked_for_by_name(server: ScriptedServer) -> None:
    server.follow(script(("openjson", ANN_AND_BOB)))
    records = source(server, id_column="id")
    assert records.abilities == Abilities(by_id=True)
    assert len((await read(records, ById(("1", "2"))))[0].records) == 2
    (statement,) = server.statements()
    assert "where cast(penstock_q.[id] as nvarchar(512)) in" in statement


@pytest.mark.covers("C-46")
async def test_a_row_version_goes_no_further_than_the_oldest_open_transaction(
    server: ScriptedServer,
) -> None:
    bounds = Rows({"highest": "bigint", "bound": "bigint"}, ((2005, 2001),))
    server.follow(script(("min_active_rowversion", bounds), ("from people", ANN_AND_BOB)))
    records = source(server, CursorKind.INTEGER, cursor_column="version")
    pages = await read(records, Since("1990"))
    assert pages[-1].high_water == "2001"
    assert "where cast(penstock_q.[version] as bigint) >= cast(" in server.statements()[-1]


@pytest.mark.covers("C-46", "C-11")
async def test_a_young_time_is_no_mark(server: ScriptedServer) -> None:
    bounds = Rows(
        {"highest": "datetime2(7)", "bound": "datetime2(7)"},
        (("2026-03-01 12:00:00.000000", "2026-03-01 12:00:02.000000"),),
    )
    server.follow(script(("sysutcdatetime", bounds), ("from people", ANN_AND_BOB)))
    records = source(server, CursorKind.TIMESTAMP, cursor_column="changed_at", settle_seconds=5)
    pages = await read(records, Since("2026-03-01T11:00:00Z"))
    assert pages[-1].high_water == "2026-03-01T11:59:57.000000Z"


async def test_a_result_that_is_cut_short_is_an_outage_and_never_a_short_result(
    server: ScriptedServer,
) -> None:
    cut = Rows(PEOPLE, ((1, "Ann"), (2, "Bob"), (3, "Cy")), drop_after=2)
    server.follow(script(("from people", cut)))
    with pytest.raises(UnavailableError):
        await read(source(server))


async def test_a_connection_that_is_closed_is_an_outage(server: ScriptedServer) -> None:
    server.follow(script(("from people", Drop())))
    with pytest.raises(UnavailableError):
        await read(source(server))


async def test_a_wrong_password_is_refused_and_not_shown(server: ScriptedServer) -> None:
    records = source(server, password="wrong-password-1")
    with pytest.raises(SourceRefusedError) as raised:
        await records.describe()
    await records.close()
    assert raised.value.category is ErrorCategory.SOURCE_ACCESS
    assert "wrong-password-1" not in raised.value.message


async def test_a_query_that_cannot_be_one_is_refused(server: ScriptedServer) -> None:
    server.follow(script(("from people", Fail(208, "Invalid object name 'people'."))))
    records = source(server)
    with pytest.raises(SourceRefusedError, match="Invalid object name"):
        await records.describe()
    await records.close()


async def test_who_stops_listening_ends_the_process(server: ScriptedServer) -> None:
    many = Rows(PEOPLE, tuple((number, "x" * 50) for number in range(100)), times=100)
    server.follow(script(("from people", many)))
    records = source(server, page_size=10)
    pages = records.poll(Full())
    await anext(pages)
    await pages.aclose()
    assert records._process is not None
    assert await records._process.wait() != 0
    await records.close()
