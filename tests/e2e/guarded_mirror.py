"""The mirror of the archive as an installation should run it: full, restated, verified, drifted."""

from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import asyncpg

from contracts.access import access_of
from contracts.commands import Command, OverlapPolicy, WrdsSyncRequested
from contracts.runs import RunStatus
from contracts.schemas import SchemaDecisionRequested
from contracts.topics import SCHEMA_DECISION_REQUESTED, WRDS_SYNC_REQUESTED, Topic
from penstock.messages import send_command
from penstock.processes import ServiceProcess
from tests.support.addresses import PostgresAddress
from tests.support.eventually import eventually
from tests.support.roles import role_url
from tests.support.secured_kafka import SecuredKafka, settings_of
from tests.support.wrds_config import mirror_environment
from tests.support.wrds_server import WrdsServer

DATASET = "crsp_daily"
SERVICE = "wrds_sync"
_ENDED = "select status from meta.runs where command_id = $1 and status <> all($2)"
_OPEN = [RunStatus.QUEUED.value, RunStatus.RUNNING.value]
_ALL_ENDED = """
select not exists (select 1 from meta.runs where service = $1 and status = any($2))
"""
_RESTATE = "update crsp_store.dsf set prc = prc + 1 where date = '2023-12-04'"
_DROP_A_COLUMN = (
    "drop view crsp.dsf; alter table crsp_store.dsf drop column openprc; "
    "create view crsp.dsf as select * from crsp_store.dsf"
)
_ASKED = {"requester": "test", "reason": "guarded", "overlap": OverlapPolicy.QUEUE}


@dataclass(slots=True)
class Mirrored:
    """What the syncer left behind."""

    statuses: list[str] = field(default_factory=list)
    tables: dict[str, int] = field(default_factory=dict)
    """Rows by table."""

    complaints: list[str] = field(default_factory=list)
    """Log events that are warnings or worse."""

    log: str = ""
    exit_code: int | None = None


class GuardedMirror:
    """A syncer with its own role, user and archive."""

    def __init__(self, kafka: SecuredKafka, url: str, server: WrdsServer) -> None:
        self._user = settings_of(kafka.scram_env("penstock"))
        self._url = url
        self._server = server
        self._own = kafka.scram_env(access_of(SERVICE).user) | {
            "DATABASE_URL": role_url(url, "penstock_wrds_sync")
        }

    @classmethod
    async def prepare(
        cls, kafka: SecuredKafka, postgres: PostgresAddress, url: str, *, name: str
    ) -> "GuardedMirror":
        """Make an archive beside the hub's database."""
        administrator = await asyncpg.connect(postgres.url)
        try:
            await administrator.execute(f"create database {name}")
        finally:
            await administrator.close()
        server = await WrdsServer.create(postgres.database(name))
        await server.fill_daily(date(2023, 12, 1), date(2024, 1, 31), securities=2)
        return cls(kafka, url, server)

    async def tell(self, folder: Path, environment: dict[str, str]) -> Mirrored:
        """Mirror, restate, verify, refuse a changed schema, accept it."""
        told = Mirrored()
        folder.mkdir()  # noqa: ASYNC240 - once
        own = environment | mirror_environment(self._server, folder) | self._own
        service = ServiceProcess(SERVICE, own, folder.parent / f"{SERVICE}.log")
        await service.start()
        try:
            await service.until_ready()
            told.statuses = await self._run_all()
            told.tables = await self._count()
            told.exit_code = await service.stop()
        finally:
            if service.is_running:
                await service.kill()
        told.complaints = [line["event"] for line in service.events("warning", "error", "critical")]
        told.log = service.log.read_text("utf-8")
        return told

    async def _run_all(self) -> list[str]:
        statuses = [await self._sync("full", start_year=2023)]
        await self._server.execute(_RESTATE)
        statuses += [await self._sync("incremental"), await self._sync("verify")]
        await self._server.execute(_DROP_A_COLUMN)
        statuses.append(await self._sync("incremental"))
        await self._accept()
        statuses.append(await self._sync("verify"))
        return statuses

    async def _sync(self, mode: str, **parameters: Any) -> str:
        command = WrdsSyncRequested.model_validate(
            {**_ASKED, "dataset": DATASET, "mode": mode, **parameters}
        )
        command_id = await self._send(WRDS_SYNC_REQUESTED, command)
        return str(await self._eventually(_ENDED, command_id, _OPEN))

    async def _accept(self) -> None:
        """The decision starts a sync by itself."""
        drift = await self._eventually("select id from meta.drifts where status = 'waiting'")
        decision = {**_ASKED, "drift_id": drift, "decision": "accept"}
        await self._send(
            SCHEMA_DECISION_REQUESTED, SchemaDecisionRequested.model_validate(decision)
        )
        accepted = "select 1 from meta.drifts where id = $1 and status = 'accepted'"
        await self._eventually(accepted, drift)
        await self._eventually(_ALL_ENDED, SERVICE, _OPEN)

    async def _send(self, topic: Topic, command: Command) -> str:
        return await send_command(self._user, topic, command)

    async def _eventually(self, query: str, *arguments: object) -> Any:
        connection = await asyncpg.connect(self._url)
        try:
            return await eventually(lambda: connection.fetchval(query, *arguments), timeout=60)
        finally:
            await connection.close()

    async def _count(self) -> dict[str, int]:
        connection = await asyncpg.connect(self._url)
        try:
            return {
                table: await connection.fetchval(f"select count(*) from wrds_sync.{table}")
                for table in ("vintages", "restatements", "partitions", "states", "volumes")
            }
        finally:
            await connection.close()
