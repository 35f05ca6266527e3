"""A scanner with nothing behind it: what commands do is recorded, and a scan looks at nothing."""

import contextlib
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from chassis.bus.broker import Bus
from chassis.bus.relay import Relay
from chassis.clock import SystemClock
from chassis.commands import CommandSpec, command_handler
from chassis.db import Database
from chassis.dead_letters import replay_handler, replay_jobs
from chassis.runs import RunContext, RunWorker, worker
from chassis.settings import KafkaSettings
from contracts.runs import RunCounts
from contracts.topics import REPLAY_REQUESTED, SCAN_REQUESTED
from tests.support.addresses import KafkaAddress
from tests.support.databases import opened
from tests.support.hub import background
from tests.support.runs import fetch
from tests.support.topics import lay_topics

SERVICE = "scanner"


@dataclass(slots=True)
class CommandedHub:
    """What a test asks, and what it sees."""

    database: Database
    environment: dict[str, str]
    state_dir: Path
    sources: set[str] = field(default_factory=lambda: {"nas"})

    async def rows(self, query: str, *arguments: Any) -> list[dict[str, Any]]:
        return await fetch(self.database, query, *arguments)

    async def count(self, table_and_condition: str) -> int:
        (row,) = await self.rows(f"select count(*) as n from {table_and_condition}")
        return int(row["n"])


async def _look(_: RunContext) -> RunCounts:
    return RunCounts(processed=7)


@pytest.fixture
async def hub(
    kafka: KafkaAddress, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncGenerator[CommandedHub]:
    monkeypatch.setattr(worker, "POLL_SECONDS", 0.2)
    await lay_topics(kafka)
    settings = KafkaSettings.model_validate({**kafka.env, "KAFKA_SESSION_TIMEOUT_SECONDS": "6"})
    clock = SystemClock()
    async with contextlib.AsyncExitStack() as stack:
        database = await stack.enter_async_context(opened(database_url, SERVICE))
        hub = CommandedHub(database, kafka.env | {"DATABASE_URL": database_url}, tmp_path)
        bus = Bus(settings, service=SERVICE, database=database)
        spec = CommandSpec(SCAN_REQUESTED, "scan", lambda: hub.sources)
        bus.subscribe(SCAN_REQUESTED, command_handler(spec, service=SERVICE, clock=clock))
        bus.subscribe(REPLAY_REQUESTED, replay_handler(service=SERVICE))
        jobs = {"scan": _look} | replay_jobs(clock)
        runs = RunWorker(database, jobs, clock=clock, concurrency=1)
        for run in (bus.run, Relay(database, settings).run, runs.run):
            await stack.enter_async_context(background(run))
        yield hub
