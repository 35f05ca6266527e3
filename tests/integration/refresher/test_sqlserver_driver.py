"""The real driver in its process, against the scripted server."""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Generator
from dataclasses import replace

import pytest

from chassis.errors import TransientError
from refresher.adapters.sqlserver_errors import (
    DriverDiedError,
    DriverSilentError,
    SqlServerBusyError,
    SqlServerLostError,
    SqlServerRefusedError,
)
from refresher.adapters.sqlserver_process import CopyOrder, DriverProcess
from refresher.domain.catalog import Side, TypeKind
from refresher.domain.config import MaskMethod
from refresher.domain.plan import Mask
from tests.support.eventually import eventually
from tests.support.tds.cells import Value
from tests.support.tds.script import (
    Answer,
    Done,
    Drop,
    Fail,
    Hang,
    Load,
    Rows,
    Rule,
    Script,
    Table,
)
from tests.support.tds.server import ScriptedServer

_NUMBERS = {"id": "int", "name": "nvarchar(50)"}
_STAGING = Table("[dbo].[orders__stg_r1]", _NUMBERS, identity="id")
_AT_ONCE_SECONDS = 2.0
"""A tenth of it on an idle machine."""

_DEADLOCK = Fail(
    1205,
    "Transaction (Process ID 52) was deadlocked on lock resources and has been chosen as victim.",
    severity=13,
    ends_transaction=True,
)


@pytest.fixture(scope="module")
def running() -> Generator[ScriptedServer]:
    with ScriptedServer() as server:
        yield server


@pytest.fixture
def server(running: ScriptedServer) -> ScriptedServer:
    running.follow(Script())
    return running


@pytest.fixture
async def driver(server: ScriptedServer) -> AsyncGenerator[DriverProcess]:
    async with DriverProcess() as process:
        await _connect(process, server)
        yield process


async def _connect(process: DriverProcess, server: ScriptedServer) -> None:
    for side, user in ((Side.SOURCE, "reader"), (Side.TARGET, "writer")):
        await process.connect(
            side, _address(server, user, user[0]), login_seconds=10, statement_seconds=10
        )


def _address(server: ScriptedServer, user: str, password: str) -> str:
    return (
        f"Server=127.0.0.1,{server.port};Database=shop;UID={user};PWD={password};"
        "Encrypt=no;ConnectRetryCount=0"
    )


def _rule(pattern: str, *answers: Answer) -> Rule:
    return Rule(pattern, answers)


def _numbered(count: int) -> Rows:
    return Rows(_NUMBERS, tuple((number, f"name {number}") for number in range(count)))


def _order(*, batch_rows: int = 100, masks: tuple[Mask, ...] = ()) -> CopyOrder:
    return CopyOrder(
        sql="select id, name from orders",
        table=_STAGING.name,
        columns=("id", "name"),
        batch_rows=batch_rows,
        masks=masks,
        key=b"k" * 32,
    )


def _copying(rows: Rows, load: Load) -> Script:
    return Script((_rule("from orders", rows), _rule("insert bulk", load)), tables=(_STAGING,))


async def test_both_logins_reach_the_server_with_their_own_names(
    server: ScriptedServer, driver: DriverProcess
) -> None:
    assert driver.is_alive
    logins = [(event["user"], event["database"]) for event in server.events("login")]
    assert logins == [("reader", "shop"), ("writer", "shop")]


async def test_a_refused_login_is_permanent(server: ScriptedServer) -> None:
    async with DriverProcess() as process:
        with pytest.raises(SqlServerRefusedError) as refused:
            await process.connect(
                Side.SOURCE, _address(server, "reader", "no"), login_seconds=5, statement_seconds=5
            )
    assert refused.value.facts["trouble"] == "login"


async def test_a_server_that_is_not_there_is_transient() -> None:
    async with DriverProcess() as process:
        with pytest.raises(SqlServerLostError):
            await process.connect(
                Side.SOURCE,
                "Server=127.0.0.1,1;Database=shop;UID=u;PWD=p;Encrypt=no;ConnectRetryCount=0",
                login_seconds=2,
                statement_seconds=2,
            )


async def test_bounds_travel_as_parameters_and_never_in_the_text(
    server: ScriptedServer, driver: DriverProcess
) -> None:
    server.follow(Script((_rule("from orders", Rows({"n": "bigint"}, ((7,),))),)))
    bound = "2024-02-29T13:14:15.1234567"
    result = await driver.query(
        Side.SOURCE,
        "select count_big(*) as n from orders where changed >= convert(datetime2(7), ?, 126)",
        bound,
        seconds=5,
    )
    assert result.records() == [{"n": 7}]
    (call,) = server.events("call")
    assert call["parameters"] == [bound]
    assert bound not in call["sql"]


@pytest.mark.covers("S4-17")
async def test_rows_of_every_common_type_arrive_in_the_bulk_load_digit_by_digit(
    server: ScriptedServer, driver: DriverProcess
) -> None:
    cells: dict[str, tuple[str, Value]] = {
        "a": ("int", -1),
        "b": ("bigint", 2**40),
        "c": ("decimal(18,2)", "-12.34"),
        "d": ("nvarchar(50)", "Zoë"),
        "e": ("nvarchar(max)", "long " * 3000),
        "f": ("datetime2(6)", "2024-02-29 13:14:15.123456"),
        "g": ("date", "9999-12-31"),
        "h": ("uniqueidentifier", "6f9619ff-8b86-d011-b42d-00c04fc964ff"),
        "i": ("varbinary(max)", "0x0102ff"),
        "j": ("bit", True),
        "k": ("float", 1.5),
        "l": ("money", "12.3456"),
        "m": ("datetime", "2024-02-29 13:14:15.123"),
        "n": ("time(7)", "13:14:15.1234567"),
        "o": ("varchar(20)", "é"),
        "p": ("tinyint", 255),
        "q": ("datetimeoffset(6)", "2024-02-29 11:14:15.123456 +00:00"),
        "r": ("decimal(38,10)", "1234567890123456789012345678.0123456789"),
    }
    columns = {name: kind for name, (kind, _) in cells.items()}
    row = tuple(value for _, value in cells.values())
    table = Table("[dbo].[orders__stg_r1]", columns)
    script = Script(
        (
            _rule("from orders", Rows(columns, (row, (None,) * len(row)))),
            _rule("insert bulk", Load()),
        ),
        tables=(table,),
    )
    server.follow(script)
    copied = await driver.copy(
        CopyOrder(
            sql="select * from orders", table=table.name, columns=tuple(columns), batch_rows=10
        ),
        silence=10,
    )
    assert copied.rows == 2
    (bulk,) = server.events("bulk")
    assert bulk["columns"] == columns
    assert bulk["rows"] == [list(row), [None] * len(row)]


@pytest.mark.covers("S4-17")
async def test_a_load_names_its_columns_keeps_nulls_and_locks_the_staging_table(
    server: ScriptedServer, driver: DriverProcess
) -> None:
    server.follow(_copying(_numbered(3), Load()))
    await driver.copy(_order(), silence=10)
    assert server.statements()[-1] == (
        "INSERT BULK [dbo].[orders__stg_r1] ([id] int, [name] nvarchar(50)) "
        "WITH (KEEP_NULLS, TABLOCK)"
    )


async def test_a_copy_tells_how_far_it_is_after_every_batch(
    server: ScriptedServer, driver: DriverProcess
) -> None:
    server.follow(_copying(_numbered(250), Load()))
    seen: list[int] = []

    async def listen(rows: int, _bytes: int) -> None:
        seen.append(rows)

    copied = await driver.copy(_order(), silence=10, progress=listen)
    assert seen == [100, 200, 250]
    assert copied.rows == 250


async def test_a_copy_keeps_to_its_pace(server: ScriptedServer, driver: DriverProcess) -> None:
    server.follow(_copying(_numbered(300), Load()))
    began = time.monotonic()
    await driver.copy(replace(_order(), rows_per_second=300), silence=10)
    assert time.monotonic() - began >= 0.95


@pytest.mark.covers("C-30")
async def test_a_masked_column_leaves_the_process_masked_and_its_neighbour_as_it_was(
    server: ScriptedServer, driver: DriverProcess
) -> None:
    server.follow(_copying(Rows(_NUMBERS, ((1, "Ada"), (2, None), (3, "--"))), Load()))
    mask = Mask(
        column="name",
        kind=TypeKind.TEXT,
        type="nvarchar(50)",
        length=50,
        mask_class="person",
        method=MaskMethod.SHAPE,
    )
    copied = await driver.copy(_order(masks=(mask,)), silence=10)
    (bulk,) = server.events("bulk")
    assert [row[0] for row in bulk["rows"]] == [1, 2, 3]
    first, second, third = (row[1] for row in bulk["rows"])
    assert first != "Ada"
    assert len(first) == 3
    assert (second, third) == (None, "--")
    proof = copied.masks["name"]
    assert (proof.masked, proof.empty, proof.unchanged) == (1, 2, 0)


@pytest.mark.covers("S4-13")
async def test_the_victim_of_a_deadlock_may_try_again(
    server: ScriptedServer, driver: DriverProcess
) -> None:
    script = Script(
        (_rule("update", _DEADLOCK, Done(3)), _rule("@@error", Rows({"": "int"}, ((1205,),))))
    )
    server.follow(script)
    with pytest.raises(SqlServerBusyError) as victim:
        await driver.query(Side.TARGET, "update orders set a = 1", seconds=5)
    assert victim.value.facts["number"] == 1205
    assert (await driver.query(Side.TARGET, "update orders set a = 1", seconds=5)).affected == 3


async def test_a_lock_that_was_not_granted_is_told_from_other_errors_by_its_number(
    server: ScriptedServer, driver: DriverProcess
) -> None:
    refused = Fail(1222, "Délai de demande de verrou dépassé.")
    server.follow(
        Script((_rule("alter", refused), _rule("@@error", Rows({"": "int"}, ((1222,),)))))
    )
    with pytest.raises(SqlServerBusyError) as busy:
        await driver.query(Side.TARGET, "alter table a switch to b", seconds=5)
    assert busy.value.facts["trouble"] == "lock_timeout"


async def test_a_switch_whose_conditions_are_not_met_is_permanent(
    server: ScriptedServer, driver: DriverProcess
) -> None:
    refused = Fail(4947, "ALTER TABLE SWITCH statement failed. There is no identical index.")
    server.follow(
        Script((_rule("alter", refused), _rule("@@error", Rows({"": "int"}, ((4947,),)))))
    )
    with pytest.raises(SqlServerRefusedError) as error:
        await driver.query(Side.TARGET, "alter table a switch to b", seconds=5)
    assert error.value.facts == {"number": 4947, "trouble": "switch", "what": "query"}


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (Fail(1205, "deadlocked", severity=13), SqlServerBusyError),
        (Fail(2627, "Violation of PRIMARY KEY constraint.", severity=14), SqlServerRefusedError),
        (Fail(9002, "The transaction log is full."), SqlServerRefusedError),
        (Drop(), SqlServerLostError),
    ],
)
async def test_a_load_that_fails_at_its_end_fails_with_the_server_s_reason(
    server: ScriptedServer, driver: DriverProcess, answer: Fail | Drop, expected: type[Exception]
) -> None:
    server.follow(_copying(_numbered(250), Load(answer)))
    with pytest.raises(expected):
        await driver.copy(_order(), silence=10)


async def test_a_target_that_is_cut_off_in_the_middle_of_a_load_is_transient(
    server: ScriptedServer, driver: DriverProcess
) -> None:
    server.follow(_copying(_numbered(20_000), Load(drop_after_bytes=100_000)))
    with pytest.raises(SqlServerLostError):
        await driver.copy(_order(batch_rows=20_000), silence=10)


async def test_a_source_that_is_cut_off_in_the_middle_never_looks_like_the_end_of_the_table(
    server: ScriptedServer, driver: DriverProcess
) -> None:
    rows = Rows(_NUMBERS, _numbered(20_000).rows, drop_after=15_000)
    server.follow(_copying(rows, Load()))
    with pytest.raises(SqlServerLostError):
        await driver.copy(_order(batch_rows=1000), silence=10)


async def test_a_query_whose_rows_are_cut_off_returns_no_rows_at_all(
    server: ScriptedServer, driver: DriverProcess
) -> None:
    rows = Rows(_NUMBERS, _numbered(5000).rows, drop_after=4000)
    server.follow(Script((_rule("from orders", rows),)))
    with pytest.raises(SqlServerLostError):
        await driver.query(Side.SOURCE, "select id, name from orders", seconds=10)


async def test_an_error_between_two_rows_fails_the_copy_with_its_reason(
    server: ScriptedServer, driver: DriverProcess
) -> None:
    rows = Rows(_NUMBERS, _numbered(5000).rows, fail=_DEADLOCK)
    server.follow(_copying(rows, Load()))
    with pytest.raises(SqlServerBusyError):
        await driver.copy(_order(batch_rows=1000), silence=10)


@pytest.mark.covers("S4-13")
async def test_a_statement_over_its_time_is_ended_at_the_server(
    server: ScriptedServer, driver: DriverProcess
) -> None:
    server.follow(Script((_rule("slow", Hang()), _rule("quick", Done()))))
    began = time.monotonic()
    with pytest.raises(SqlServerLostError) as late:
        await driver.query(Side.TARGET, "slow", seconds=1)
    assert time.monotonic() - began < 4
    assert late.value.facts["trouble"] == "timeout"
    assert server.events("attention")
    await driver.query(Side.TARGET, "quick", seconds=5)


async def test_a_source_that_falls_silent_is_left_in_the_time_that_was_allowed(
    server: ScriptedServer, driver: DriverProcess
) -> None:
    rows = Rows(_NUMBERS, _numbered(20_000).rows, pause_after=15_000)
    server.follow(_copying(rows, Load()))
    with pytest.raises(SqlServerLostError):
        await driver.copy(_order(batch_rows=1000), silence=1)


async def test_a_target_that_falls_silent_costs_the_process_its_life(
    server: ScriptedServer, driver: DriverProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("refresher.adapters.sqlserver_process._GRACE_SECONDS", 0.5)
    server.follow(_copying(_numbered(10), Load(Hang())))
    with pytest.raises(DriverSilentError):
        await driver.copy(_order(), silence=1)
    await eventually(lambda: len(server.events("closed")) == 3)


@pytest.mark.covers("S4-17")
async def test_a_cancelled_copy_closes_both_ends_at_once(
    server: ScriptedServer, driver: DriverProcess
) -> None:
    server.follow(_copying(_numbered(10), Load(Hang())))
    task = asyncio.ensure_future(driver.copy(_order(), silence=60))  # noqa: TID251 - to cancel it
    await eventually(lambda: bool(server.events("hanging")))
    began = time.monotonic()
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    await eventually(lambda: len(server.events("closed")) == 3)
    assert time.monotonic() - began < _AT_ONCE_SECONDS


async def test_a_process_whose_parent_is_gone_ends_in_the_middle_of_a_load(
    server: ScriptedServer, driver: DriverProcess
) -> None:
    server.follow(_copying(_numbered(10), Load(Hang())))
    async with asyncio.TaskGroup() as tasks:
        copying = tasks.create_task(_failure(driver))
        await eventually(lambda: bool(server.events("hanging")))
        process = driver._process
        assert process is not None
        assert process.stdin is not None
        process.stdin.close()
        await eventually(lambda: len(server.events("closed")) == 3)
    assert isinstance(copying.result(), DriverDiedError)


async def _failure(driver: DriverProcess) -> Exception | None:
    try:
        await driver.copy(_order(), silence=60)
    except TransientError as error:
        return error
    return None


async def test_a_process_that_dies_is_a_transient_error(
    server: ScriptedServer, driver: DriverProcess
) -> None:
    server.follow(Script((_rule("slow", Hang()),)))
    async with asyncio.TaskGroup() as tasks:
        asking = tasks.create_task(_outcome(driver))
        await eventually(lambda: bool(server.events("hanging")))
        driver.kill()
    assert isinstance(asking.result(), DriverDiedError)
    assert isinstance(asking.result(), TransientError)


async def _outcome(driver: DriverProcess) -> Exception | None:
    try:
        await driver.query(Side.TARGET, "slow", seconds=60)
    except TransientError as error:
        return error
    return None
