"""A whole refresh on SQL Server: plan, load, swap and ledger, between two scripted servers."""

import uuid
from collections.abc import AsyncGenerator, Generator, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from chassis.clock import SystemClock
from chassis.db import Database
from chassis.runs import RunWorker, submit
from refresher.domain import tsql_queries as queries
from refresher.domain.config import RefreshConfig
from refresher.handlers.refresh import Refresher
from refresher.jobs import refresh_jobs
from tests.integration.refresher.estate import READER_PASSWORD, WRITER_PASSWORD
from tests.integration.refresher.hub import refresher_of
from tests.support.databases import opened
from tests.support.tds import catalogs
from tests.support.tds.cells import Value as Cell
from tests.support.tds.script import Answer, Done, Fail, Load, Rows, Rule, Script, Table
from tests.support.tds.server import ScriptedServer

_COLUMNS = {"id": "int", "name": "nvarchar(50)", "changed": "datetime2(3)"}
_ROWS = ((1, "Ada", "2024-02-29 13:14:15.123"), (2, None, None))
_SUMMARY: dict[str, Cell] = {
    "rows": 2,
    "nulls_0": 0,
    "low_0": "1",
    "high_0": "2",
    "nulls_1": 1,
    "low_1": "6",
}
_DEADLOCK = Fail(1205, "deadlocked", severity=13, ends_transaction=True)
_USERS = {"reader": READER_PASSWORD, "writer": WRITER_PASSWORD}


@dataclass(frozen=True, slots=True)
class Scene:
    """Both servers and a refresher between them."""

    source: ScriptedServer
    target: ScriptedServer
    database: Database

    def refresher(self) -> Refresher:
        def side(server: ScriptedServer, name: str) -> dict[str, Any]:
            return {
                "kind": "sqlserver",
                "server": "127.0.0.1",
                "port": server.port,
                "database": name,
                "tls": "disable",
                "fingerprint": f"sqlserver/SQL1/{name}/6f9619ff-8b86-d011-b42d-00c04fc964ff/"
                "2024-01-01T00:00:00",
            }

        config = RefreshConfig.model_validate(
            {
                "databases": {
                    "source": side(self.source, "PROD"),
                    "target": side(self.target, "UAT"),
                },
                "tables": [{"name": "Orders"}],
                "masking": {
                    "classes": {"plain": {"method": "keep"}, "person": {"method": "shape"}},
                    "rules": [
                        {"columns": ["*.name"], "class": "person"},
                        {"columns": ["*"], "class": "plain"},
                    ],
                },
                "approval": {"destructive": "auto"},
            }
        )
        return refresher_of(config, self.database, logins=("reader", "writer"))

    async def refresh(self, *, dry_run: bool = False) -> dict[str, Any]:
        """Refresh the table and return the run's row in the ledger."""
        async with self.database.transaction() as transaction:
            run_id = await submit(
                transaction,
                service="refresher",
                kind="refresh",
                target="Orders",
                parameters={"table": "Orders"},
                command_id=str(uuid.uuid4()),
                requester="tests",
                dry_run=dry_run,
            )
        worker = RunWorker(self.database, refresh_jobs(self.refresher()), clock=SystemClock())
        assert await worker.step()
        async with self.database.connection() as connection:
            row = await connection.fetchrow(
                "select * from meta.runs where run_id = $1::uuid", run_id
            )
        return dict(row or {})


@pytest.fixture(scope="module")
def servers() -> Generator[tuple[ScriptedServer, ScriptedServer]]:
    with ScriptedServer() as source, ScriptedServer() as target:
        yield source, target


@pytest.fixture
async def scene(
    servers: tuple[ScriptedServer, ScriptedServer], database_url: str
) -> AsyncGenerator[Scene]:
    source, target = servers
    source.follow(_source())
    target.follow(_target())
    async with opened(database_url, "refresher") as database:
        yield Scene(source, target, database)


def _rule(pattern: str, *answers: Answer) -> Rule:
    return Rule(pattern, answers)


def _source(*first: Rule) -> Script:
    return Script(
        (
            *first,
            *catalogs.identity("PROD", marker=None),
            *catalogs.server(),
            _rule("null as counted", catalogs.rows({"counted": None})),
            _rule("^(begin|commit) tran", Done()),
            _rule("penstock_hash", catalogs.rows({**_SUMMARY, "checksum": "1:2"})),
            _rule(r"^select \[id\], \[name\], \[changed\] from \[dbo\]", Rows(_COLUMNS, _ROWS)),
            *catalogs.orders(),
        ),
        users=_USERS,
    )


def _target(*first: Rule) -> Script:
    return Script(
        (
            *first,
            *catalogs.identity("UAT", marker="target"),
            *catalogs.server(),
            _rule("as counted", catalogs.rows({"counted": 1})),
            _rule("^(if schema_id|if object_id)", Done()),
            _rule(r"select \[tallies\]", Rows({"tallies": "nvarchar(max)"})),
            _rule("update .*fences", Done(1)),
            _rule("^(begin|commit) tran", Done()),
            _rule("^insert bulk", Load()),
            _rule("penstock_hash", catalogs.rows({**_SUMMARY, "checksum": "1:2"})),
            _rule(r"insert into \[penstock_refresh\]", Done(1)),
            _rule("^(drop table|create table|alter table|update statistics)", Done()),
            _rule("as held", Rows({"": "bigint"}, ((1,),))),
            _rule("^delete t", Done(0)),
            _rule(r"^insert into \[dbo\]", Done(2)),
            _rule("^update t", Done(1)),
            *catalogs.orders(),
        ),
        users=_USERS,
        # The name of staging holds the plan's token, which nobody knows beforehand.
        tables=(Table("*", _COLUMNS),),
    )


@pytest.mark.covers("S4-01", "S4-03", "S4-06", "S4-17")
async def test_a_refresh_reads_production_masks_and_swaps(scene: Scene) -> None:
    row = await scene.refresh()
    assert row["status"] == "completed", row["message"]
    (bulk,) = scene.target.events("bulk")
    assert [cells[0] for cells in bulk["rows"]] == [1, 2]
    assert bulk["rows"][0][1] != "Ada"
    assert len(bulk["rows"][0][1]) == 3
    assert bulk["rows"][1][1:] == [None, None]
    assert scene.target.statements().count("COMMIT TRANSACTION") == 1


@pytest.mark.covers("S4-01")
async def test_production_is_only_ever_asked(scene: Scene) -> None:
    await scene.refresh()
    words = {sql.split()[0] for sql in scene.source.statements()}
    assert words == {"SELECT", "SET", "BEGIN", "COMMIT"}


def _harmless(statements: Sequence[str]) -> set[str]:
    """Return the first words of statements, those left out that name a table which never is."""
    asked = set(queries.PROBES.values())
    return {sql.split()[0].upper() for sql in statements if sql not in asked}


@pytest.mark.covers("S4-16")
async def test_a_dry_run_writes_nothing(scene: Scene) -> None:
    row = await scene.refresh(dry_run=True)
    assert row["status"] == "completed", row["message"]
    assert _harmless(scene.target.statements()) == {"SELECT", "SET"}


@pytest.mark.covers("S4-13")
async def test_a_deadlock_while_production_is_read_is_survived(scene: Scene) -> None:
    read = _rule(
        r"^select \[id\], \[name\], \[changed\] from \[dbo\]", _DEADLOCK, Rows(_COLUMNS, _ROWS)
    )
    scene.source.follow(_source(read, _rule("@@error", Rows({"": "int"}, ((1205,),)))))
    row = await scene.refresh()
    assert row["status"] == "completed", row["message"]
    assert len(scene.target.events("bulk")) == 1


@pytest.mark.covers("C-33")
async def test_a_login_that_could_write_to_production_is_refused(scene: Scene) -> None:
    able = catalogs.identity("PROD", marker=None, powers=("it is a member of db_owner",))
    scene.source.follow(_source(*able))
    row = await scene.refresh()
    assert row["status"] == "failed"
    assert "it is a member of db_owner" in row["message"]
    assert _harmless(scene.target.statements()) <= {"SELECT", "SET"}


@pytest.mark.covers("C-28")
async def test_rows_that_do_not_add_up_never_reach_the_target(scene: Scene) -> None:
    other = catalogs.rows({**_SUMMARY, "checksum": "3:4"})
    scene.target.follow(_target(_rule(r"penstock_hash", other)))
    row = await scene.refresh()
    assert row["status"] == "failed"
    assert "BEGIN TRANSACTION" not in scene.target.statements()
