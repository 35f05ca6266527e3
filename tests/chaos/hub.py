"""The whole system on one machine, and ways to hurt it."""

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncGenerator, Mapping
from pathlib import Path

import asyncpg

from chassis.migrations import migrate
from penstock.processes import SERVICES, ServiceProcesses
from penstock.stack import PartName, Stack, read_settings
from tests.chaos.invariants import Stores, violations
from tests.support.estate import Estate, write_config
from tests.support.paths import PROJECT

PARTS = frozenset({PartName.KAFKA, PartName.POSTGRES, PartName.S3, PartName.SMB})

_PLENTY = 2**40  # a test that fills a disk wants no check of its size


class Hub:
    """The whole system on one machine, and a hand that kills."""

    def __init__(self, env: dict[str, str], services: ServiceProcesses, estate: Estate) -> None:
        self.stores = Stores(env["DATABASE_URL"], env["KAFKA_BOOTSTRAP_SERVERS"])
        self.services = services
        self.estate = estate
        self.kills = 0

    async def kill_at_random(self, dice: random.Random) -> None:
        """Kill one service after another, each at a random moment, and start it again."""
        while True:
            await asyncio.sleep(dice.uniform(1, 8))
            victim = self.services[dice.choice(SERVICES)]
            await victim.kill()
            self.kills += 1
            await asyncio.sleep(dice.uniform(0, 0.5))
            await victim.start()

    async def until_settled(self, *, seconds: float, at_least: int = 0) -> None:
        """Wait until every state of the share has a bronze version and silver followed."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.kills >= at_least and await self._is_settled():
                return
            await asyncio.sleep(0.5)
        problems = await violations(self.stores, self.estate)
        raise AssertionError(f"not settled after {seconds:.0f} s: {problems[:10]}")

    async def _is_settled(self) -> bool:
        connection = await asyncpg.connect(self.stores.database_url)
        try:
            done: int = await connection.fetchval(
                "select least((select count(*) from bronze.raw_entities), "
                "(select count(*) from silver.transcripts_history))"
            )
        finally:
            await connection.close()
        return done >= self.estate.changes


@contextlib.asynccontextmanager
async def stack_of(folder: Path, parts: frozenset[PartName]) -> AsyncGenerator[dict[str, str]]:
    """Run parts with their data below `folder`; yields where they are."""
    stack = Stack(
        settings=read_settings().in_folder(folder), fast=True, free_bytes=lambda _: _PLENTY
    )
    running = await asyncio.to_thread(stack.up, sorted(parts), tied=True)
    try:
        yield dict(running.env)
    finally:
        await asyncio.to_thread(running.stop)


@contextlib.asynccontextmanager
async def hub_of(folder: Path, env: Mapping[str, str]) -> AsyncGenerator[Hub]:
    """Prepare the database, the configuration and the services (not started yet)."""
    await migrate(env["DATABASE_URL"])
    config = write_config(folder / "config", PROJECT / "config/entities", kind="smb")
    settings = {
        **env,
        "PENSTOCK_CONFIG_DIRECTORY": str(config),
        "KAFKA_SESSION_TIMEOUT_SECONDS": "6",
    }
    async with ServiceProcesses(settings, folder / "logs") as services:
        yield Hub(dict(env), services, Estate(Path(env["PENSTOCK_SHARE_PATH"])))
