"""What every story of causes needs: to ask the hub for work, and to wait for alerts."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import asyncpg

from chassis.settings import KafkaSettings
from contracts.commands import Command, OverlapPolicy
from contracts.runs import RunStatus
from contracts.topics import Topic
from penstock.messages import send_command
from tests.chaos.monitored import MonitoredHub
from tests.support.eventually import NeverHappenedError, wait_until

PATIENCE = 90.0
_ASKED = {"requester": "test", "reason": "causes of alerts", "overlap": OverlapPolicy.QUEUE}
_RUN = "select status from meta.runs where command_id = $1"
_OPEN = {RunStatus.QUEUED.value, RunStatus.RUNNING.value}

Value = TypeVar("Value")


@dataclass(slots=True)
class Told:
    """What came of all causes."""

    expected: set[str] = field(default_factory=set)
    early: set[str] = field(default_factory=set)
    """Alerts that fired before their cause."""


class Expected:
    """Alerts that must fire from now on, and do not yet."""

    def __init__(self, hub: MonitoredHub, alerts: tuple[str, ...]) -> None:
        self._hub = hub
        self._missing = set(alerts)

    def wait(self) -> None:
        """Wait until each has fired; what does not is told by its own test, beside the others."""
        with contextlib.suppress(NeverHappenedError):
            wait_until(self._have_fired, timeout=PATIENCE)

    def _have_fired(self) -> bool:
        time.sleep(0.3)
        self._missing -= self._hub.prometheus.firing()
        return not self._missing


class Scene:
    """A hand on the hub."""

    def __init__(self, hub: MonitoredHub, told: Told) -> None:
        self.hub = hub
        self.told = told
        self.kafka = KafkaSettings.model_validate(
            {"KAFKA_BOOTSTRAP_SERVERS": hub.env["KAFKA_BOOTSTRAP_SERVERS"]}
        )

    def expect(self, *alerts: str) -> Expected:
        """Note that a cause of these alerts begins now."""
        self.told.expected |= set(alerts)
        self.told.early |= set(alerts) & self.hub.prometheus.firing()
        return Expected(self.hub, alerts)

    def until_seen(self, expr: str, *, seconds: float = PATIENCE) -> None:
        """Wait until a query has a result."""
        wait_until(lambda: bool(self.hub.prometheus.query(expr)), timeout=seconds)

    def until_quiet(self, *alerts: str) -> None:
        """Wait until none of these fires."""
        wait_until(lambda: not set(alerts) & self.hub.prometheus.firing(), timeout=PATIENCE)

    # --- asking for work
    def ask(self, topic: Topic, command: type[Command], **parameters: Any) -> str:
        """Send a command; return its id."""
        given = command.model_validate(_ASKED | parameters)
        return asyncio.run(send_command(self.kafka, topic, given))

    def follow(self, command_id: str) -> str:
        """Return how the run of a command has ended."""

        def ended() -> str | None:
            time.sleep(0.2)
            status = self.fetch(_RUN, command_id)
            return status if status not in (None, *_OPEN) else None

        return wait_until(ended, timeout=PATIENCE) or ""

    # --- databases
    def while_locked(self, table: str, do: Callable[[], Value], *, url: str | None = None) -> Value:
        """Do something while somebody else keeps everybody from a table."""

        async def hold() -> Value:
            connection = await asyncpg.connect(url or self.hub.env["DATABASE_URL"])
            try:
                async with connection.transaction():
                    await connection.execute(f"lock table {table} in access exclusive mode")
                    return await asyncio.to_thread(do)
            finally:
                await connection.close()

        return asyncio.run(hold())

    def fetch(self, query: str, *arguments: object) -> Any:
        """Return a query's only value."""
        return self.on_database(lambda connection: connection.fetchval(query, *arguments))

    def on_database(
        self,
        work: "Callable[[asyncpg.Connection[asyncpg.Record]], Awaitable[Value]]",
        *,
        database: str | None = None,
    ) -> Value:
        """Do something as the owner of the server, in the hub's database or another."""

        async def do() -> Value:
            url = self.hub.env["DATABASE_URL"]
            connection = await asyncpg.connect(url, database=database)
            try:
                return await work(connection)
            finally:
                await connection.close()

        return asyncio.run(do())
