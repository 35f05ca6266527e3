"""A hub as an installation should run it: TLS, a user and a role per service, everything traced."""

import asyncio
import http.client
import json
import shutil
import subprocess
from collections.abc import AsyncGenerator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import yaml

from chassis.bus.topics import apply_topics
from contracts.access import LINEAGE_EXPORTER, TOPIC_ADMINISTRATOR
from contracts.topics import topic_specs
from penstock.processes import ServiceProcess
from tests.e2e.guarded_mirror import GuardedMirror, Mirrored
from tests.support.addresses import PostgresAddress, S3Address
from tests.support.collector import Collector
from tests.support.command_line import executed
from tests.support.eventually import eventually
from tests.support.paths import PROJECT
from tests.support.roles import make_with_roles, role_url
from tests.support.secured_kafka import SecuredKafka, settings_of

SERVICES = ("scanner", "ingestor", "transformer", "console")
EXAMPLES = PROJECT / "examples" / "transcripts" / "Data"
BROKEN = "Data/2020/Q1/Broken/BRKN-US_Broken/BRKN-US_Q1_2020_Raw_1_2.xml"
_QUIET_LEVELS = {"debug", "info"}


@dataclass(slots=True)
class Told:
    """What a guarded hub left behind."""

    silver: list[str]
    dead_letters: list[str]
    scan: "subprocess.CompletedProcess[str]"
    lineage: list[dict[str, Any]]
    complaints: list[dict[str, Any]]
    """Log lines that are warnings or worse, other than about the broken file."""

    secrets: list[str]
    places: dict[str, str] = field(default_factory=dict)
    """Texts in which no secret may stand, by where they were found."""

    exit_codes: list[int] = field(default_factory=list)
    mirrored: Mirrored = field(default_factory=Mirrored)


@dataclass(frozen=True, slots=True)
class Servers:
    """What the hub runs on."""

    kafka: SecuredKafka
    postgres: PostgresAddress
    s3: S3Address
    collector: Collector


async def tell(servers: Servers, folder: Path, name: str) -> Told:
    url = await make_with_roles(servers.postgres, name)
    config = _write_config(folder)
    migrated = await _penstock("migrate", folder, DATABASE_URL=role_url(url, "penstock_owner"))
    assert migrated.returncode == 0, migrated.stderr
    await apply_topics(settings_of(servers.kafka.scram_env(TOPIC_ADMINISTRATOR)), topic_specs())
    mirror = await GuardedMirror.prepare(
        servers.kafka, servers.postgres, url, name=f"{name}_archive"
    )
    environment = servers.s3.env | {
        "PENSTOCK_CONFIG_DIRECTORY": str(config),
        "PENSTOCK_HTTP_PORT": "0",
        "OTEL_EXPORTER_OTLP_ENDPOINT": servers.collector.address,
        "OTEL_BSP_SCHEDULE_DELAY": "200",
        "KAFKA_SESSION_TIMEOUT_SECONDS": "6",
    }
    async with (
        _running(servers, url, environment, folder=folder) as services,
        asyncio.TaskGroup() as beside,
    ):
        mirroring = beside.create_task(mirror.tell(folder / "mirror", _without_store(environment)))
        scan = await _penstock(
            "scan transcripts --mode full --wait",
            folder,
            **servers.kafka.scram_env("penstock"),
            DATABASE_URL=role_url(url, "penstock_operator"),
        )
        looking = await asyncpg.connect(url)
        try:
            await eventually(lambda: _is_through(looking), timeout=60)
            silver = await looking.fetch("select entity_id from silver.transcripts order by 1")
            letters = await looking.fetch("select * from meta.dead_letters")
        finally:
            await looking.close()
        mirrored = await mirroring
        pages = [await asyncio.to_thread(_metrics_of, item) for item in services]
        codes = [await item.stop() for item in services]
    lineage = folder / "lineage.jsonl"
    exported = await _penstock(
        f"lineage --until-end --file {lineage}",
        folder,
        **servers.kafka.scram_env(LINEAGE_EXPORTER),
    )
    assert exported.returncode == 0, exported.stderr
    lines = [line for item in services for line in item.events()]
    return Told(
        silver=[row["entity_id"] for row in silver],
        dead_letters=[row["category"] for row in letters],
        scan=scan,
        lineage=[json.loads(line) for line in lineage.read_text().splitlines()],
        complaints=[line for line in lines if _is_complaint(line)],
        secrets=_secrets(servers),
        places={
            **{f"log of {item.service}": item.log.read_text() for item in services},
            "log of wrds_sync": mirrored.log,
            "metrics": "\n".join(pages),
            "dead letters": "\n".join(str(dict(row)) for row in letters),
            "spans": "\n".join(map(str, servers.collector.spans)),
            "lineage": lineage.read_text(),
            "command line": scan.stdout + scan.stderr + exported.stdout + exported.stderr,
        },
        exit_codes=codes,
        mirrored=mirrored,
    )


def _is_complaint(line: dict[str, Any]) -> bool:
    return line.get("level") not in _QUIET_LEVELS and line.get("event") != "message_dead_lettered"


@asynccontextmanager
async def _running(
    servers: Servers, url: str, environment: dict[str, str], *, folder: Path
) -> AsyncGenerator[list[ServiceProcess]]:
    services = []
    async with AsyncExitStack() as until:
        for name in SERVICES:
            own = {"DATABASE_URL": role_url(url, f"penstock_{name}")}
            own |= servers.kafka.scram_env(name)
            if name == "transformer":  # one with a certificate
                own = {key: value for key, value in own.items() if not key.startswith("KAFKA_")}
                own |= servers.kafka.mtls_env(servers.kafka.authority.issue(name))
            shared = environment if name != "console" else _without_store(environment)
            service = ServiceProcess(name, shared | own, folder / f"{name}.log")
            await service.start()
            until.push_async_callback(_ended, service)
            services.append(service)
        for service in services:
            await service.until_ready()
        yield services


def _without_store(environment: dict[str, str]) -> dict[str, str]:
    return {key: value for key, value in environment.items() if key[:3] not in ("S3_", "AWS")}


async def _ended(service: ServiceProcess) -> None:
    if service.is_running:
        await service.kill()


async def _is_through(connection: "asyncpg.Connection[asyncpg.Record]") -> bool:
    """Whether every file has had its effect, and the announcements have left."""
    found = await connection.fetchval(
        "select (select count(*) from silver.transcripts) = 2 "
        "and (select count(*) from meta.dead_letters) = 1 "
        "and not exists (select 1 from meta.outbox)"
    )
    return bool(found)


def _metrics_of(service: ServiceProcess) -> str:
    assert service.http_port is not None
    connection = http.client.HTTPConnection("127.0.0.1", service.http_port, timeout=10)
    try:
        connection.request("GET", "/metrics")
        return connection.getresponse().read().decode()
    finally:
        connection.close()


def _secrets(servers: Servers) -> list[str]:
    words: Iterable[str] = servers.kafka.passwords.values()
    roles = (
        f"password-of-penstock_{name}" for name in (*SERVICES, "wrds_sync", "owner", "operator")
    )
    return [*words, *roles, servers.s3.secret_access_key]


async def _penstock(
    arguments: str, folder: Path, **environment: str
) -> "subprocess.CompletedProcess[str]":
    return await asyncio.to_thread(
        executed,
        *arguments.split(),
        state_dir=folder / "none",
        environment=environment | {"PENSTOCK_CONFIG_DIRECTORY": str(folder / "config")},
    )


def _write_config(folder: Path) -> Path:
    """Two real transcripts and a broken file on a share, and a source that reads them."""
    share, config = folder / "share", folder / "config"
    for path in sorted(EXAMPLES.glob("*/*/*/*/*.xml"))[:2]:
        target = share / "Data" / path.relative_to(EXAMPLES)
        target.parent.mkdir(parents=True)
        shutil.copy(path, target)
    (share / BROKEN).parent.mkdir(parents=True)
    (share / BROKEN).write_text("<transcript>")
    config.mkdir()
    shutil.copytree(PROJECT / "config" / "entities", config / "entities")
    source = {
        "name": "transcripts",
        "share": {"kind": "local", "root": str(share)},
        "scan": {
            "paths": ["Data"],
            "layout": ["year", "quarter", "type", "company"],
            "interval_seconds": 3600,
            "full_interval_seconds": 3600,
            "settle_seconds": 5,
        },
        "ingest": {"entity_type": "transcript", "parser": "transcript_xml"},
    }
    (config / "sources.yaml").write_text(yaml.safe_dump({"version": 1, "sources": [source]}))
    return config
