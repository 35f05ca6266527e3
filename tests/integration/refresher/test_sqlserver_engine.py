"""The engine for SQL Server, with the real driver, against the scripted server."""

import time
from collections.abc import AsyncGenerator, Generator
from dataclasses import dataclass, replace

import pytest

from chassis.errors import LeaseLostError
from refresher.adapters.sqlserver import SqlServerEngine
from refresher.adapters.sqlserver_connections import SqlServerAddress, SqlServerPair
from refresher.adapters.sqlserver_errors import SqlServerLostError, SqlServerRefusedError
from refresher.domain.catalog import Side, TableRef
from refresher.domain.config import EngineKind
from refresher.domain.guards import Identity, Pins, VerifiedTarget, verify
from refresher.domain.plan import ComponentPlan, Plan, Swap, TablePlan, Verdict
from refresher.domain.statements import Tally
from refresher.domain.values import Value, ValueType
from refresher.errors import GuardError, PlanRefusedError, SwapBusyError, UnsafeTargetError
from refresher.ports import Fence, Question
from tests.support.tds import catalogs
from tests.support.tds.cells import Value as Cell
from tests.support.tds.script import Answer, Done, Drop, Fail, Load, Rows, Rule, Script, Table
from tests.support.tds.server import ScriptedServer
from tests.unit.refresher import tsql_cases as cases

_ORDERS = TableRef("dbo", "Orders")
_FENCE = Fence(run_id="r1", token=7)
_SUMMARY = Rows({"rows": "bigint", "checksum": "varchar(99)"}, ((2, "1:2"),))
_DEADLOCK = Fail(1205, "deadlocked", severity=13, ends_transaction=True)
_LOCKED = Fail(1222, "Lock request time out period exceeded.")


@pytest.fixture(scope="module")
def running() -> Generator[ScriptedServer]:
    with ScriptedServer() as server:
        yield server


@pytest.fixture
def server(running: ScriptedServer) -> ScriptedServer:
    running.follow(Script())
    return running


@pytest.fixture
async def engine(server: ScriptedServer) -> AsyncGenerator[SqlServerEngine]:
    def address(user: str, database: str) -> SqlServerAddress:
        return SqlServerAddress(
            server="127.0.0.1",
            port=server.port,
            database=database,
            user=user,
            password=user[0],
            tls="disable",
            login_seconds=10,
            statement_seconds=10,
        )

    made = SqlServerEngine(
        SqlServerPair(address("reader", "PROD"), address("writer", "UAT")), silence=10
    )
    yield made
    await made.close()


def _rule(pattern: str, *answers: Answer) -> Rule:
    return Rule(pattern, answers)


def _follow(server: ScriptedServer, *rules: Rule, snapshot: int = 1) -> None:
    """Script a target that is marked, with our books made and nothing swapped yet."""
    server.follow(
        Script(
            (
                *rules,
                *catalogs.identity("UAT", marker="target"),
                *catalogs.server(snapshot=snapshot),
                _rule("^(if schema_id|if object_id)", Done()),
                _rule(r"select \[tallies\]", Rows({"tallies": "nvarchar(max)"})),
                _rule("update .*fences", Done(1)),
                _rule("^(begin|commit) tran", Done()),
                _rule(r"insert into \[penstock_refresh\].\[swaps\]", Done(1)),
                _rule("^(drop table|create table|alter table|update statistics)", Done()),
                _rule("as held", Rows({"": "bigint"}, ((1,),))),
                _rule("penstock_hash", _SUMMARY),
            ),
            tables=(Table("[penstock_refresh].[s_9f2c_Lines]", _LINES),),
        )
    )


_LINES = {
    "order": "bigint",
    "customer": "int",
    "amount": "decimal(18,2)",
    "changed": "datetime2(3)",
}
_READ = _rule(
    r"^select \[order\], \[customer\]",
    Rows(
        _LINES,
        (
            (1, 10, "1.50", "2024-02-29 13:14:15.123"),
            (2, None, None, None),
        ),
    ),
)


def _identity(database: str, *, marker: str | None) -> Identity:
    broker = "6f9619ff-8b86-d011-b42d-00c04fc964ff"
    return Identity(
        fingerprint=f"sqlserver/SQL1/{database}/{broker}/2024-01-01T00:00:00",
        database=database,
        login="somebody",
        version="16.0.4165.4",
        marker=marker,
    )


@pytest.fixture
def target() -> VerifiedTarget:
    source, found = _identity("PROD", marker=None), _identity("UAT", marker="target")
    proof = verify(source, found, pins=Pins(source=source.fingerprint, target=found.fingerprint))
    assert isinstance(proof, VerifiedTarget)
    return proof


@pytest.fixture
def component(engine: SqlServerEngine) -> ComponentPlan:
    made = cases.draft(
        replace(cases.lines(), foreign_keys=()),
        Swap.MERGE,
        cases.config("Lines"),
        checksummed=True,
    )
    table = engine.dialect.table_plan(made, cases.base(made))
    order = (("Lines",),)
    return ComponentPlan(
        name="Lines",
        tables=(table,),
        order=order,
        swap=engine.dialect.swap_statements((made,), (table,), order),
        undo=engine.dialect.undo_statements((made,), (table,), order),
    )


@dataclass(frozen=True, slots=True)
class Work:
    """What a load or a swap takes."""

    engine: SqlServerEngine
    target: VerifiedTarget
    plan: Plan
    component: ComponentPlan


@pytest.fixture
def work(
    engine: SqlServerEngine, target: VerifiedTarget, plan: Plan, component: ComponentPlan
) -> Work:
    return Work(engine, target, plan, component)


@pytest.fixture
def plan(component: ComponentPlan) -> Plan:
    return Plan(
        plan_id="p1",
        engine=EngineKind.SQLSERVER,
        source="s",
        target="t",
        components=(component,),
        verdict=Verdict.READY,
        lock_timeout_ms=150,
        swap_attempts=4,
    )


async def _ignore(_table: str, _rows: int, _bytes: int) -> None: ...


# --- looking -----------------------------------------------------------------------------------
@pytest.mark.covers("C-33", "S4-18")
async def test_a_server_says_who_it_is_and_what_the_login_could_write(
    server: ScriptedServer, engine: SqlServerEngine
) -> None:
    powers = ("it is a member of db_owner", "it may INSERT dbo.Orders")
    server.follow(Script(catalogs.identity("PROD", marker=None, powers=powers)))
    found = await engine.identify(Side.SOURCE)
    assert found == replace(_identity("PROD", marker=None), powers=powers)


async def test_the_session_of_the_source_gives_way_to_production(
    server: ScriptedServer, engine: SqlServerEngine
) -> None:
    server.follow(Script(catalogs.identity("PROD", marker=None)))
    await engine.identify(Side.SOURCE)
    assert "SET DEADLOCK_PRIORITY LOW" in server.statements()
    assert [event["user"] for event in server.events("login")] == ["reader"]


async def test_a_table_is_read_from_the_catalogs(
    server: ScriptedServer, engine: SqlServerEngine
) -> None:
    server.follow(Script((*catalogs.server(), *catalogs.orders())))
    catalog = await engine.read_catalog(Side.TARGET, [_ORDERS])
    table = catalog.tables[_ORDERS]
    assert catalog.capabilities == {"switch", "rename", "statistics"}
    assert [column.type for column in table.columns] == ["int", "nvarchar(50)", "datetime2(3)"]
    assert table.primary_key is not None
    assert table.primary_key.columns == ("id",)
    assert table.columns[0].identity == "1,1"
    assert table.facts == {"switch": "yes", "snapshot": "yes", "space": "[PRIMARY]"}
    parameters = {tuple(event["parameters"]) for event in server.events("call")}
    assert parameters == {("[dbo].[Orders]",), ("[dbo].[Orders]", "[dbo].[Orders]")}


async def test_a_table_that_is_not_there_is_left_out(
    server: ScriptedServer, engine: SqlServerEngine
) -> None:
    nothing = _rule("from sys.tables as t left join", catalogs.rows())
    server.follow(Script((*catalogs.server(), nothing)))
    assert (await engine.read_catalog(Side.TARGET, [_ORDERS])).tables == {}


@pytest.mark.covers("S4-07")
async def test_bounds_are_read_with_every_digit(
    server: ScriptedServer, engine: SqlServerEngine
) -> None:
    record: dict[str, Cell] = {
        "counted": 5,
        "low": "2024-01-01T00:00:00",
        "high": "2024-02-29T13:14:15.1234567",
        "nulls": 1,
    }
    server.follow(Script((_rule("as counted", catalogs.rows(record)), *catalogs.orders())))
    (extent,) = await engine.measure(Side.TARGET, [Question(ref=_ORDERS, column="changed")])
    assert extent.rows == 5
    assert extent.high == Value(ValueType.TIMESTAMP, "2024-02-29T13:14:15.1234567")
    assert extent.nulls == 1
    (asked,) = [sql for sql in server.statements() if "AS counted" in sql]
    assert asked == (
        "SELECT (SELECT COUNT_BIG(*) FROM [dbo].[Orders]) AS counted, "
        "(SELECT CONVERT(varchar(64), MIN([changed]), 126) FROM [dbo].[Orders]) AS low, "
        "(SELECT CONVERT(varchar(64), MAX([changed]), 126) FROM [dbo].[Orders]) AS high, "
        "(SELECT COUNT_BIG(CASE WHEN [changed] IS NULL THEN 1 END) FROM [dbo].[Orders]) AS nulls"
    )


# --- loading -----------------------------------------------------------------------------------
@pytest.mark.covers("S4-05", "C-32")
async def test_a_load_stages_reads_under_one_snapshot_builds_and_compares(
    server: ScriptedServer,
    work: Work,
) -> None:
    _follow(server, _READ, _rule("insert bulk", Load()))
    loaded = await work.engine.load(
        work.target, work.plan, work.component, key=b"", progress=_ignore
    )
    assert loaded["Lines"].rows == 2
    assert loaded["Lines"].verification.problems == ()
    (bulk,) = server.events("bulk")
    assert bulk["rows"] == [
        [1, 10, "1.50", "2024-02-29 13:14:15.123"],
        [2, None, None, None],
    ]
    # Logins: the target first, then the source, then the loader's own.
    on_source = [
        event["sql"] for event in server.events("batch") if event["connection"] in _pair(server)
    ]
    begun = on_source.index("BEGIN TRANSACTION")
    assert on_source[begun - 1] == "SET TRANSACTION ISOLATION LEVEL SNAPSHOT"
    assert on_source.index("COMMIT TRANSACTION") > begun


def _pair(server: ScriptedServer) -> set[int]:
    return {event["connection"] for event in server.events("login") if event["user"] == "reader"}


async def test_a_difference_is_a_problem_and_not_an_error(
    server: ScriptedServer,
    work: Work,
) -> None:
    other = Rows({"rows": "bigint", "checksum": "varchar(99)"}, ((3, "1:2"),))
    _follow(
        server,
        _READ,
        _rule("insert bulk", Load()),
        _rule(
            r"penstock_hash.*from \[penstock_refresh\]|from \[penstock_refresh\].*penstock_hash",
            other,
        ),
    )
    loaded = await work.engine.load(
        work.target, work.plan, work.component, key=b"", progress=_ignore
    )
    assert loaded["Lines"].verification.problems == ("the source has 2 rows and staging 3",)


async def test_a_source_without_snapshots_is_refused_before_a_row_is_read(
    server: ScriptedServer,
    work: Work,
) -> None:
    _follow(server, snapshot=0)
    with pytest.raises(PlanRefusedError, match="ALLOW_SNAPSHOT_ISOLATION"):
        await work.engine.load(work.target, work.plan, work.component, key=b"", progress=_ignore)
    assert not any("s_9f2c" in sql for sql in server.statements())


@pytest.mark.covers("C-33")
async def test_nothing_is_written_where_another_database_answers(
    server: ScriptedServer,
    work: Work,
) -> None:
    server.follow(Script(catalogs.identity("PROD", marker=None)))
    with pytest.raises(UnsafeTargetError):
        await work.engine.load(work.target, work.plan, work.component, key=b"", progress=_ignore)
    assert all(
        sql.startswith(("SET ", "SELECT CONVERT(nvarchar(128), SERVERPROPERTY"))
        for sql in server.statements()
    )


class StopItError(Exception):
    """What a cancelled run raises from its progress."""


async def test_a_run_that_is_cancelled_in_the_middle_closes_every_connection(
    server: ScriptedServer,
    work: Work,
) -> None:
    _follow(server, _READ, _rule("insert bulk", Load()))

    async def stop(_table: str, _rows: int, _bytes: int) -> None:
        raise StopItError

    began = time.monotonic()
    with pytest.raises(StopItError):
        await work.engine.load(work.target, work.plan, work.component, key=b"", progress=stop)
    assert time.monotonic() - began < 5


# --- swapping ----------------------------------------------------------------------------------
_WRITES = (
    _rule(r"^insert into \[penstock_refresh\].\[u_", Done(9)),
    _rule("^delete t", Done(1)),
    _rule(r"^insert into \[sales\]", Done(2)),
    _rule("^update t", Done(3)),
)


@pytest.mark.covers("S4-17", "S4-18")
async def test_a_swap_is_one_transaction_with_a_fence_a_lock_time_out_and_a_note(
    server: ScriptedServer,
    work: Work,
) -> None:
    _follow(server, *_WRITES)
    swapped = await work.engine.swap(work.target, work.plan, work.component, fence=_FENCE)
    assert swapped.tallies == {"Lines": {Tally.DELETED: 1, Tally.INSERTED: 2, Tally.UPDATED: 3}}
    assert swapped.attempts == 1
    sent = server.statements()
    begun, done = sent.index("BEGIN TRANSACTION"), sent.index("COMMIT TRANSACTION")
    assert sent[begun - 1] == "SET LOCK_TIMEOUT 150"
    assert "[fences]" in sent[begun + 1]
    assert "[swaps]" in sent[done - 1]
    between = sent[begun + 2 : done - 1]
    assert between == [" ".join(item.sql.split()) for item in work.component.swap]


@pytest.mark.covers("S4-13", "C-28")
@pytest.mark.parametrize("failure", [_DEADLOCK, _LOCKED])
async def test_a_swap_that_loses_a_lock_rolls_back_and_tries_again(
    server: ScriptedServer,
    work: Work,
    failure: Fail,
) -> None:
    _follow(
        server,
        _rule("@@error", Rows({"": "int"}, ((failure.number,),))),
        _rule("^delete t", failure, failure, Done(1)),
        *_WRITES,
    )
    swapped = await work.engine.swap(work.target, work.plan, work.component, fence=_FENCE)
    assert swapped.attempts == 3
    assert swapped.tallies["Lines"][Tally.DELETED] == 1
    sent = server.statements()
    assert sent.count("BEGIN TRANSACTION") == 3
    assert sent.count("IF @@TRANCOUNT > 0 ROLLBACK TRANSACTION") == 2
    assert sent.count("COMMIT TRANSACTION") == 1


async def test_a_swap_that_never_gets_its_lock_says_so(
    server: ScriptedServer,
    work: Work,
) -> None:
    _follow(
        server,
        _rule("@@error", Rows({"": "int"}, ((1222,),))),
        _rule("as held", _LOCKED),
    )
    with pytest.raises(SwapBusyError, match="no lock within 150 ms in 4 attempts"):
        await work.engine.swap(work.target, work.plan, work.component, fence=_FENCE)


async def test_a_swap_whose_connection_breaks_is_not_tried_again_blindly(
    server: ScriptedServer,
    work: Work,
) -> None:
    _follow(server, _rule("^commit", Drop()), *_WRITES)
    with pytest.raises(SqlServerLostError):
        await work.engine.swap(work.target, work.plan, work.component, fence=_FENCE)
    assert server.statements().count("COMMIT TRANSACTION") == 1


async def test_a_swap_that_was_done_before_a_crash_is_found_and_not_repeated(
    server: ScriptedServer,
    work: Work,
) -> None:
    note = Rows({"tallies": "nvarchar(max)"}, (('{"Lines": {"inserted": 5}}',),))
    _follow(server, _rule(r"select \[tallies\]", note))
    swapped = await work.engine.swap(work.target, work.plan, work.component, fence=_FENCE)
    assert swapped.tallies == {"Lines": {Tally.INSERTED: 5}}
    assert "BEGIN TRANSACTION" not in server.statements()


async def test_an_overtaken_worker_is_refused_inside_the_transaction(
    server: ScriptedServer,
    work: Work,
) -> None:
    _follow(server, _rule("^(update|insert into).*fences", Done(0)))
    with pytest.raises(LeaseLostError):
        await work.engine.swap(work.target, work.plan, work.component, fence=_FENCE)
    assert "COMMIT TRANSACTION" not in server.statements()


async def test_rows_of_testers_stop_a_swap_that_must_not_lose_them(
    server: ScriptedServer,
    engine: SqlServerEngine,
    target: VerifiedTarget,
    plan: Plan,
) -> None:
    made = cases.draft(
        replace(cases.lines(), foreign_keys=()),
        Swap.MERGE,
        cases.config("Lines", local_rows="stop"),
    )
    table: TablePlan = engine.dialect.table_plan(made, cases.base(made))
    component = ComponentPlan(
        name="Lines",
        tables=(table,),
        order=(("Lines",),),
        swap=engine.dialect.swap_statements((made,), (table,), (("Lines",),)),
    )
    _follow(server, _rule(r"^select count_big.*not exists", Rows({"": "bigint"}, ((4,),))))
    with pytest.raises(GuardError, match=r"`local_rows` is `stop` \(4 rows\)"):
        await engine.swap(target, plan, component, fence=_FENCE)
    assert "COMMIT TRANSACTION" not in server.statements()


async def test_an_undo_whose_notes_are_gone_is_permanent(
    server: ScriptedServer,
    work: Work,
) -> None:
    _follow(
        server,
        _rule("@@error", Rows({"": "int"}, ((208,),))),
        _rule("^delete t", Fail(208, "Invalid object name.")),
    )
    with pytest.raises(SqlServerRefusedError):
        await work.engine.undo(work.target, work.plan, work.component, fence=_FENCE)


# --- ending ------------------------------------------------------------------------------------
async def test_leftovers_of_other_runs_are_dropped_and_ours_stay(
    server: ScriptedServer, engine: SqlServerEngine, target: VerifiedTarget
) -> None:
    found = [{"name": name} for name in ("s_aaaa_Orders", "u_bbbb_Orders", "s_cccc_Orders")]
    _follow(server, _rule("^select t.name", catalogs.rows(*found)))
    assert await engine.leftovers(target, {"bbbb"}) == ["s_aaaa_Orders", "s_cccc_Orders"]
    dropped = [sql for sql in server.statements() if sql.startswith("DROP TABLE")]
    assert dropped == [
        "DROP TABLE IF EXISTS [penstock_refresh].[s_aaaa_Orders]",
        "DROP TABLE IF EXISTS [penstock_refresh].[s_cccc_Orders]",
    ]
