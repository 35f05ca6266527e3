"""The original's checklist for scripts (S2-40), asked of every record source.

A source is an adapter, and the poll around it is the same for all; so each of the nineteen points
is asked of the whole: of an adapter as the service runs it. Quality (point 9) is judged where
sources meet, in the transformer; here it means that a record is told as it is.
"""

import asyncio
import contextlib
import inspect
import json
import subprocess
from collections.abc import AsyncGenerator, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import structlog
import yaml

from chassis.clock import SystemClock
from chassis.db import Database
from chassis.logs import MARKERS
from chassis.runs import RunContext, RunWorker, submit
from contracts.runs import RunCounts
from scanner.adapters.missing import PostgresMissing
from scanner.adapters.record_inventory import PostgresRecordInventory
from scanner.adapters.record_polls import PostgresPolls
from scanner.adapters.scans import PostgresAuditTrail
from scanner.domain.records import ById, Full, Since
from scanner.handlers.poll import PollPorts, PollSource
from scanner.handlers.record_announcer import RecordAnnouncer
from scanner.handlers.record_catalog import RecordCatalog, RecordSourceEntry
from scanner.ports.records import RecordSource
from scanner.settings.records import RecordSections
from tests.support.addresses import KafkaAddress
from tests.support.forkery import FORKERY
from tests.support.http_rig import HttpRig
from tests.support.hub import open_database
from tests.support.record_rigs import PASSWORD_VARIABLE, FileListRig, LdapRig, Rig, SqlRig
from tests.support.slapd import Slapd

PEOPLE = {
    "ann": "Ann Ash",
    "bob": "Bob Birch",
    "cy": "Cy Cedar",
    "di": "Di Dogwood",
    "ed": "Ed Elm",
}

KINDS = ("sql", "ldap", "file-list", "http")

pytestmark = pytest.mark.covers("S2-40")


@pytest.fixture(scope="module")
def directory() -> Generator[Slapd]:
    server = Slapd()
    server.start()
    try:
        yield server
    finally:
        server.remove()


@contextlib.asynccontextmanager
async def rigged(
    kind: str, request: pytest.FixtureRequest, database_url: str, folder: Path
) -> AsyncGenerator[Rig]:
    found: Rig
    if kind == "sql":
        found = SqlRig(database_url)
    elif kind == "ldap":
        found = LdapRig(request.getfixturevalue("directory"))
    elif kind == "http":
        found = HttpRig()
    else:
        found = FileListRig(folder)
    await found.put(PEOPLE)
    try:
        yield found
    finally:
        if isinstance(found, LdapRig):
            await found.clear()
        if isinstance(found, HttpRig):
            found.stop()


@pytest.fixture(params=KINDS)
async def rig(
    request: pytest.FixtureRequest, database_url: str, tmp_path: Path
) -> AsyncGenerator[Rig]:
    async with rigged(request.param, request, database_url, tmp_path) as found:
        yield found


def sections(rig: Rig) -> dict[str, Any]:
    deletions = {"confirmations": 1, "confirm_after_seconds": 0}
    scan = {"entity_type": "user", "id": list(rig.id_fields), "deletions": deletions}
    return {"records": rig.records(), "scan": scan | rig.scan()}


@dataclass(slots=True)
class Stage:
    """The service's own parts around one rig, with a database of the test's own."""

    rig: Rig
    database: Database

    def entry(self) -> RecordSourceEntry:
        given = RecordSections.model_validate(sections(self.rig))
        return RecordSourceEntry(
            "people", given.records, given.scan, batch_size=1000, max_records=0
        )

    def job(self, opened: list[RecordSource] | None = None) -> PollSource:
        def open_one(_: RecordSourceEntry) -> RecordSource:
            source = self.rig.open()
            if opened is not None:
                opened.append(source)
            return source

        database = self.database
        ports = PollPorts(
            inventory=PostgresRecordInventory(database),
            missing=PostgresMissing.records(database),
            polls=PostgresPolls(database, "scanner"),
            audit=PostgresAuditTrail("scanner"),
            announcer=RecordAnnouncer(None),
            clock=SystemClock(),
            open_list=lambda _: None,
        )
        return PollSource(RecordCatalog({"people": self.entry()}), open_one, ports)

    async def run(self, mode: str = "auto", **options: Any) -> dict[str, Any]:
        """Submit and execute a run; return its row."""
        job = options.get("job") or self.job()
        async with self.database.transaction() as transaction:
            run_id = await submit(
                transaction,
                service="scanner",
                kind="scan",
                target="people",
                parameters={"mode": mode},
            )
        worker = RunWorker(self.database, {"scan": job}, clock=SystemClock())
        assert await worker.step()
        (row,) = await self.fetch("select * from meta.runs where run_id = $1::uuid", run_id)
        return row

    async def told(self) -> list[dict[str, Any]]:
        """Take the data of the events that the runs published."""
        rows = await self.fetch(
            "delete from meta.outbox where topic = 'record.changed' returning id, value"
        )
        return [
            yaml.safe_load(row["value"].decode())["data"]
            for row in sorted(rows, key=lambda row: row["id"])
        ]

    async def fetch(self, query: str, *arguments: object) -> list[dict[str, Any]]:
        async with self.database.connection() as connection:
            return [dict(row) for row in await connection.fetch(query, *arguments)]


@pytest.fixture
async def stage(rig: Rig, database_url: str) -> AsyncGenerator[Stage]:
    database = await open_database(database_url, "scanner")
    try:
        yield Stage(rig, database)
    finally:
        await database.close()


async def ids(source: RecordSource, request: Any, field: str) -> list[str]:
    found = []
    async for page in source.poll(request):
        for record in page.records:
            value = record[field]
            found.append(value[0] if isinstance(value, list) else value)
    return sorted(found)


def test_01_the_adapter_says_what_it_is_for(rig: Rig) -> None:
    adapter = type(rig.open())
    assert len(rig.module.__doc__ or "") > 40
    for name, member in inspect.getmembers(adapter, inspect.isfunction):
        assert name.startswith("_") or member.__doc__, name


async def test_02_a_poll_logs_its_decisions(stage: Stage) -> None:
    with structlog.testing.capture_logs() as lines:
        await stage.run()
    decisions = [line for line in lines if line["event"] == "record_decision"]
    assert sorted(line["external_id"] for line in decisions) == sorted(PEOPLE)
    assert {line["log_level"] for line in decisions} == {"debug"}, "a first poll has a million"
    told = [line for line in lines if line["event"] == "records_announced"]
    assert [line["log_level"] for line in told] == ["info"] * len(told)
    assert sum(line["new"] for line in told) == len(PEOPLE)


@pytest.mark.covers("S2-07")
def test_03_the_adapter_is_typed(rig: Rig) -> None:
    adapter = type(rig.open())
    for name, member in inspect.getmembers(adapter, inspect.isfunction):
        signature = inspect.signature(member)
        parameters = [item for item in signature.parameters.values() if item.name != "self"]
        assert all(item.annotation is not item.empty for item in parameters), name
        assert signature.return_annotation is not signature.empty, name


async def test_04_a_run_is_written_before_anything_is_read(stage: Stage) -> None:
    seen: list[dict[str, Any]] = []
    job = stage.job()

    async def looking(context: RunContext) -> RunCounts:
        seen.extend(await stage.fetch("select status from meta.ingestion_runs"))
        return await job(context)

    await stage.run(job=looking)
    assert seen == [{"status": "running"}]


async def test_05_a_run_that_ends_says_so_with_its_times(stage: Stage) -> None:
    await stage.run()
    (row,) = await stage.fetch("select * from meta.ingestion_runs")
    assert row["status"] == "completed"
    assert row["completed_at"] >= row["started_at"]


@pytest.mark.covers("S2-08")
async def test_06_the_statistics_are_right(stage: Stage) -> None:
    row = await stage.run()
    assert row["counts"]["processed"] == row["counts"]["new"] == len(PEOPLE)
    (view,) = await stage.fetch("select * from meta.ingestion_runs")
    assert (view["records_processed"], view["records_created"], view["records_updated"]) == (
        5,
        5,
        0,
    )


async def test_07_what_changed_is_told_and_nothing_else(stage: Stage) -> None:
    await stage.run()
    await stage.told()
    await stage.rig.put({**PEOPLE, "bob": "Robert Birch", "fay": "Fay Fir"})
    row = await stage.run("full")
    told = await stage.told()
    assert sorted(item["external_id"] for item in told) == ["bob", "fay"]
    counts = row["counts"]
    assert (counts["new"], counts["changed"], counts["unchanged"]) == (1, 1, 4)


async def test_08_polls_are_incremental(stage: Stage) -> None:
    await stage.run()
    await stage.told()
    await stage.rig.put({**PEOPLE, "bob": "Robert Birch"})
    await stage.run()
    assert [item["external_id"] for item in await stage.told()] == ["bob"]
    await stage.run()
    assert await stage.told() == []


async def test_08_what_a_source_is_able_to_do_it_does(rig: Rig) -> None:
    source = rig.open()
    field = rig.id_fields[0]
    try:
        assert await ids(source, Full(), field) == sorted(PEOPLE)
        if source.abilities.by_id:
            assert await ids(source, ById(("bob", "nobody", "ed")), field) == ["bob", "ed"]
        if source.abilities.since:
            assert await ids(source, Since("2020-01-01T00:00:00Z"), field) == sorted(PEOPLE)
            assert await ids(source, Since("2999-01-01T00:00:00Z"), field) == []
    finally:
        await source.close()


async def test_09_a_record_is_told_as_it_is(stage: Stage) -> None:
    await stage.run()
    told = {item["external_id"]: item["record"] for item in await stage.told()}
    assert {name: stage.rig.name_in(record) for name, record in told.items()} == PEOPLE
    assert not any("quality" in name for record in told.values() for name in record)


async def test_10_progress_is_in_the_ledger_while_it_runs(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chassis.runs.context.REPORT_EVERY_SECONDS", 0.0)
    with structlog.testing.capture_logs() as lines:
        await stage.run()
    progress = [line["processed"] for line in lines if line["event"] == "run_progress"]
    assert progress[-1] == len(PEOPLE)
    assert len(progress) >= 3  # pages of two
    assert progress == sorted(progress)


async def test_11_lines_carry_the_markers_of_the_original(stage: Stage) -> None:
    with structlog.testing.capture_logs() as lines:
        await stage.run()
        await stage.rig.put({**PEOPLE, "bob": "Robert Birch"})
        await stage.run()
    outcomes = {line["outcome"] for line in lines if "outcome" in line}
    assert {"new", "changed", "summary"} <= outcomes <= set(MARKERS)


@pytest.mark.covers("S2-28")
async def test_12_one_bad_record_is_noted_and_the_others_are_told(stage: Stage) -> None:
    await stage.rig.spoil()
    row = await stage.run()
    assert len(await stage.told()) == len(PEOPLE)
    assert (row["counts"]["processed"], row["counts"]["failed"]) == (6, 1)
    assert row["status"] == "completed-with-errors"  # one of six is more than the threshold
    (error,) = await stage.fetch("select * from meta.record_errors")
    assert (error["source"], error["run_id"]) == ("people", row["run_id"])


@pytest.mark.covers("S2-29")
async def test_13_a_source_that_refuses_fails_the_run_and_loses_nothing(stage: Stage) -> None:
    await stage.run()
    await stage.told()
    stage.rig.refuse()
    with structlog.testing.capture_logs() as lines:
        row = await stage.run()
    assert row["status"] == "failed"
    assert row["message"]
    assert any(line["event"] == "run_failed" for line in lines)
    assert await stage.told() == []
    assert await stage.fetch("select 1 from scanner.records where missing_polls > 0") == []


@pytest.mark.covers("S2-32")
async def test_14_the_last_line_is_a_summary(stage: Stage) -> None:
    with structlog.testing.capture_logs() as lines:
        await stage.run()
    (summary,) = [line for line in lines if line.get("outcome") == "summary"]
    assert summary["duration_seconds"] >= 0
    assert {"processed", "new", "changed", "unchanged", "failed", "quarantined"} <= set(summary)


async def test_15_a_source_is_closed_and_can_be_closed_twice(stage: Stage) -> None:
    opened: list[RecordSource] = []
    await stage.run(job=stage.job(opened))
    (source,) = opened
    await source.close()


@pytest.fixture
async def rigs(
    request: pytest.FixtureRequest, database_url: str, tmp_path: Path
) -> AsyncGenerator[list[Rig]]:
    """All kinds side by side."""
    async with contextlib.AsyncExitStack() as stack:
        opened = [rigged(kind, request, database_url, tmp_path) for kind in KINDS]
        yield [await stack.enter_async_context(rig) for rig in opened]


def variable(rig: Rig) -> str:
    return f"{PASSWORD_VARIABLE}_{rig.kind.replace('-', '_').upper()}"


def secrets(rigs: Sequence[Rig]) -> dict[str, str]:
    return {variable(rig): rig.secret for rig in rigs if rig.secret}


@pytest.fixture
def checked(rigs: list[Rig], tmp_path: Path, database_url: str, kafka: KafkaAddress) -> Any:
    """Run `scanner --check` with a source of each kind and this environment."""
    config = tmp_path / "config"
    config.mkdir()
    entries = "".join(
        yaml.safe_dump([{"name": rig.kind, **sections(rig)}]).replace(
            PASSWORD_VARIABLE, variable(rig)
        )
        for rig in rigs
    )
    (config / "sources.yaml").write_text(f"version: 1\nsources:\n{entries}")

    async def check(**environment: str) -> subprocess.CompletedProcess[str]:
        given = {
            "PENSTOCK_CONFIG_DIRECTORY": str(config),
            "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
            "DATABASE_URL": database_url,
            **environment,
        }
        return await asyncio.to_thread(
            FORKERY.run,
            *("scanner", "--check"),
            imports=["scanner.app"],
            env={name: value for name, value in given.items() if value},
            timeout=60,
            cwd=tmp_path,
        )

    return check


@pytest.mark.covers("S2-09")
async def test_16_to_19_the_command_reads_its_environment_and_tells_what_it_found(
    rigs: list[Rig], checked: Any
) -> None:
    done = await checked(**secrets(rigs))
    for rig in rigs:
        told = f'"check":"{rig.kind}: source","is_ok":true,"message":"{rig.kind}: '
        assert told in done.stdout
        if rig.secret and rig.kind != "sql":
            assert rig.secret not in done.stdout + done.stderr
        rig.refuse()
    done = await checked(**secrets(rigs))
    assert done.returncode == 1
    findings = [json.loads(line) for line in done.stdout.splitlines()]
    refused = {item["check"].partition(":")[0] for item in findings if not item["is_ok"]}
    assert refused >= set(KINDS)


@pytest.mark.covers("S2-33")
async def test_17_all_missing_names_are_told_together(rigs: list[Rig], checked: Any) -> None:
    done = await checked(DATABASE_URL="")
    assert done.returncode == 1
    assert "`DATABASE_URL` is missing" in done.stdout
    for rig in rigs:
        assert (f"`{variable(rig)}` is missing" in done.stdout) == bool(rig.secret)
