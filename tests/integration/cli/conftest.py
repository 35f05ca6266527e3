"""What a command talks to: a scanner with nothing behind it, or the real console behind a port."""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from chassis.bus.broker import Bus
from chassis.bus.relay import Relay
from chassis.clock import SystemClock
from chassis.commands import CommandSpec, command_handler
from chassis.db import Database
from chassis.dead_letters.commands import replay_handler
from chassis.dead_letters.replay import replay_jobs
from chassis.errors import PermanentError
from chassis.runs import RunContext, RunWorker, worker
from chassis.settings import KafkaSettings
from console.adapters.users import PostgresUsers
from console.domain.principals import Principal
from console.domain.roles import Role
from console.web.server import serving
from contracts.runs import RunCounts
from contracts.topics import REPLAY_REQUESTED, SCAN_REQUESTED
from penstock import cli
from tests.integration.console.browser import Console, open_console, read_settings
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


ELSEWHERE: dict[str, str | None] = {"PENSTOCK_URL": None, "PENSTOCK_TOKEN": None}
"""Where no console is named: it is the one in the command's own process."""


@dataclass(slots=True)
class CommandLine:
    """A terminal from which the console, or only the database, is to be seen."""

    console: Console
    environment: dict[str, str | None]
    admin: Principal

    async def token(self, role: Role) -> str:
        """Return a token of the administrator's that may do what a role may."""
        return await self.console.context.administer.add_token(
            self.admin, self.admin.user_id, label=role, role=role, days=1
        )

    async def run(self, *arguments: str, **changes: str | None) -> Result:
        environment = self.environment | changes
        runner = CliRunner()
        return await asyncio.to_thread(lambda: runner.invoke(cli.app, arguments, env=environment))

    async def tell(self, *arguments: str, **changes: str | None) -> Any:
        """Return what a command that must succeed tells programs."""
        result = await self.run(*arguments, "--json", **changes)
        assert result.exit_code == 0, (result.output, result.exception)
        return json.loads(result.stdout)

    async def refused(self, *arguments: str, **changes: str | None) -> str:
        """Return the sentence of a command that must be refused."""
        result = await self.run(*arguments, **changes)
        assert isinstance(result.exception, PermanentError), result.output
        return str(result.exception)


@pytest.fixture
async def line(database_url: str) -> AsyncGenerator[CommandLine]:
    listener = socket.create_server(("127.0.0.1", 0))
    address = f"http://127.0.0.1:{listener.getsockname()[1]}"
    async with opened(database_url, "console") as database, open_console(database) as console:
        user_id = await PostgresUsers(database).add("root", role=Role.ADMIN, password_hash="none")
        assert user_id is not None
        admin = Principal(name="root", role=Role.ADMIN, user_id=user_id)
        token = await console.context.administer.add_token(
            admin, user_id, label="shell", role=Role.ADMIN, days=1
        )
        environment: dict[str, str | None] = {
            "PENSTOCK_URL": address,
            "PENSTOCK_TOKEN": token,
            "DATABASE_URL": database_url,
            "COLUMNS": "200",
        }
        async with serving(console.app, listener, read_settings().web):
            yield CommandLine(console, environment, admin)
