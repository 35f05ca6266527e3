"""The service as a process: a command of Kafka becomes a run, files, rows and events."""

import asyncio
import json
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import asyncpg
import pyarrow.parquet as pq
import pytest

from chassis.settings import DatabaseSettings, KafkaSettings
from contracts.commands import OverlapPolicy, WrdsSyncRequested
from contracts.runs import RunStatus
from contracts.topics import WRDS_SYNC_REQUESTED
from penstock.console_api import asking_hub
from penstock.processes import ServiceProcesses
from penstock.runs import CommandRefusedError, RunState, follow_command
from penstock.settings import HubAccess
from tests.support.addresses import KafkaAddress
from tests.support.command_line import penstock
from tests.support.eventually import eventually
from tests.support.wrds_config import mirror_environment
from tests.support.wrds_server import WrdsServer

pytestmark = pytest.mark.timeout(300)


@dataclass
class Hub:
    server: WrdsServer
    database_url: str
    services: ServiceProcesses
    data: Path
    access: HubAccess
    environment: dict[str, str]

    async def sync(self, target: str, **parameters: object) -> RunState:
        command = WrdsSyncRequested.model_validate(
            {"dataset": target, "overlap": OverlapPolicy.QUEUE, **parameters}
        )
        return await asyncio.to_thread(self._follow, command)

    def _follow(self, command: WrdsSyncRequested) -> RunState:
        with asking_hub(self.access, "tests") as api:
            command_id = api.give(WRDS_SYNC_REQUESTED, command)
            return follow_command(api, command_id, patience_seconds=150, on_change=lambda _: None)

    async def fetch(self, query: str, *args: object) -> list[asyncpg.Record]:
        connection = await asyncpg.connect(self.database_url, timeout=10)
        try:
            return await connection.fetch(query, *args)
        finally:
            await connection.close(timeout=10)


@pytest.fixture
async def hub(
    kafka: KafkaAddress, database_url: str, empty_database_url: str, tmp_path: Path
) -> AsyncGenerator[Hub]:
    server = await WrdsServer.create(empty_database_url)
    await server.fill_daily(date(2023, 12, 1), date(2024, 1, 31), securities=2)
    environment = mirror_environment(server, tmp_path) | kafka.env | {"DATABASE_URL": database_url}
    applied = await asyncio.to_thread(
        penstock, "topics", "apply", state_dir=tmp_path / "state", environment=kafka.env
    )
    assert applied.returncode == 0
    access = HubAccess(
        kafka=KafkaSettings.model_validate(kafka.env),
        database=DatabaseSettings.model_validate({"DATABASE_URL": database_url}),
    )
    async with ServiceProcesses(environment, tmp_path) as services:
        await services.start("wrds_sync")
        yield Hub(server, database_url, services, tmp_path / "data", access, environment)


@pytest.mark.covers("C-40", "S5-16")
async def test_commands_sync_restate_verify_and_drift(hub: Hub) -> None:
    full = await hub.sync("crsp_daily", mode="full", start_year=2023)
    assert full.status is RunStatus.COMPLETED
    assert full.counts.processed == 88
    assert sorted(path.name for path in (hub.data / "wrds/crsp/daily").iterdir()) == [
        "2023.parquet",
        "2024.parquet",
    ]

    await hub.server.execute("update crsp_store.dsf set prc = prc + 1 where date = '2023-12-04'")
    changed = await hub.sync("crsp", mode="incremental")
    assert (changed.counts.processed, changed.counts.changed) == (42, 2)
    [row] = await hub.fetch("select * from wrds_sync.restatements")
    assert (row["dataset"], row["rows_changed"], row["rows_removed"]) == ("crsp_daily", 2, 0)
    assert len(await hub.fetch("select * from wrds_sync.vintages")) == 2

    verified = await hub.sync("crsp_daily", mode="verify")
    assert verified.status is RunStatus.COMPLETED

    await hub.server.execute(
        "drop view crsp.dsf; alter table crsp_store.dsf drop column openprc; "
        "create view crsp.dsf as select * from crsp_store.dsf"
    )
    refused = await hub.sync("crsp_daily")
    assert refused.status is RunStatus.FAILED
    assert "removed: openprc" in (refused.message or "")
    await _reject_the_drift_and_accept_it_after_all(hub)

    with pytest.raises(CommandRefusedError, match="not configured"):
        await hub.sync("nothing")

    codes = await hub.services.stop()
    assert codes == {"wrds_sync": 0}
    events = [line["event"] for line in hub.services["wrds_sync"].events("warning")]
    assert "data_restated" in events
    assert "schema_drifted" in events


async def _reject_the_drift_and_accept_it_after_all(hub: Hub) -> None:
    """The change waits in the inbox; its acceptance runs this data set again and nothing else."""

    async def drift(*arguments: str, code: int = 0) -> str:
        done = await asyncio.to_thread(
            penstock, "drift", *arguments, state_dir=hub.data / "state", environment=hub.environment
        )
        assert done.returncode == code, done.stderr
        return done.stdout + done.stderr

    [entry] = json.loads(await drift("list", "--json"))
    assert (entry["service"], entry["dataset"]) == ("wrds_sync", "crsp_daily")
    assert entry["changes"] == [
        {"field": "openprc", "effect": "removed", "old": "decimal128(12, 5)", "new": None}
    ]
    before = await hub.fetch("select run_id from meta.runs")
    short = entry["id"][:8]
    told = await drift("reject", short, "--reason", "a mistake of theirs", "--wait")
    assert told == f"Schema drift {entry['id']} of crsp_daily: rejected.\n"
    [rejected] = json.loads(await drift("list", "--status", "rejected", "--json"))
    assert (rejected["id"], rejected["reason"]) == (entry["id"], "a mistake of theirs")
    assert "rejected" in await drift("accept", short, "--reason", "sure", "--wait", code=1)
    reason = ("--reason", "CRSP dropped it", "--reconsider")
    told = await drift("accept", short, *reason, "--wait")
    assert f"Schema drift {entry['id']} of crsp_daily: accepted." in told
    known = [row["run_id"] for row in before]
    runs = await hub.fetch("select * from meta.runs where run_id <> all($1)", known)
    assert [(run["target"], run["status"]) for run in runs] == [("crsp_daily", "completed")]
    partitions = sorted((hub.data / "wrds/crsp/daily").iterdir())
    assert ["openprc" in pq.read_schema(path).names for path in partitions] == [False, False]
    shown = await drift("show", entry["id"])
    assert "CRSP dropped it" in shown
    assert "- openprc (decimal128(12, 5))" in shown


@pytest.mark.covers("S5-85", "S5-106", "C-35")
async def test_a_killed_service_goes_on_after_its_restart(hub: Hub) -> None:
    service = hub.services["wrds_sync"]
    await service.kill()
    await service.start(PENSTOCK_FAILPOINT="wrds_sync.after_checkpoint")
    await service.until_ready()
    async with asyncio.TaskGroup() as group:
        sync = group.create_task(hub.sync("crsp_daily", mode="full"))
        await eventually(lambda: not service.is_running, timeout=30)
        await service.start(PENSTOCK_FAILPOINT="")
    state = sync.result()
    assert state.status is RunStatus.COMPLETED
    assert len(await hub.fetch("select * from wrds_sync.vintages")) == 1
