"""Processes die at any moment; nothing is lost and nothing happens twice (DESIGN, guarantees 1 and
2)."""

import asyncio
import contextlib
import random
import sys
import time
from collections.abc import AsyncGenerator
from pathlib import Path

import asyncpg
import pytest

from chassis.migrations import migrate
from penstock.processes import SERVICES, ServiceProcesses
from penstock.stack import PartName, Stack, read_settings
from tests.chaos.invariants import Stores, violations
from tests.support.estate import Estate, write_config
from tests.support.paths import PROJECT

PARTS = [PartName.KAFKA, PartName.POSTGRES, PartName.S3, PartName.SMB]
MODIFIED, DELETED = 0.05, 0.03

pytestmark = pytest.mark.timeout(3600)


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


@pytest.fixture
async def hub(tmp_path: Path) -> AsyncGenerator[Hub]:
    stack = Stack(settings=read_settings().in_folder(tmp_path / "stack"), fast=True)
    running = await asyncio.to_thread(stack.up, PARTS, tied=True)
    try:
        env = dict(running.env)
        await migrate(env["DATABASE_URL"])
        config = write_config(tmp_path / "config", PROJECT / "config/entities", kind="smb")
        settings = env | {
            "PENSTOCK_CONFIG_DIRECTORY": str(config),
            "KAFKA_SESSION_TIMEOUT_SECONDS": "6",
        }
        async with ServiceProcesses(settings, tmp_path / "logs") as services:
            yield Hub(env, services, Estate(Path(env["PENSTOCK_SHARE_PATH"])))
    finally:
        await asyncio.to_thread(stack.down)


async def test_killing_every_service_again_and_again_loses_and_doubles_nothing(
    hub: Hub, pytestconfig: pytest.Config
) -> None:
    files: int = pytestconfig.getoption("--chaos-files")
    kills: int = pytestconfig.getoption("--chaos-kills")
    seed: int = pytestconfig.getoption("--chaos-seed") or random.randrange(1_000_000)
    sys.stdout.write(f"seed {seed}\n")
    dice = random.Random(seed)
    numbers = list(range(files))
    for number in numbers:
        hub.estate.write(number)
    await hub.services.start()

    async with killing(hub, dice):
        await hub.until_settled(seconds=1200, at_least=kills // 2)
        dice.shuffle(numbers)
        modified, deleted = int(files * MODIFIED), int(files * DELETED)
        for number in numbers[:modified]:
            hub.estate.write(number, edition=2)
        for number in numbers[modified : modified + deleted]:
            hub.estate.delete(number)
        await hub.until_settled(seconds=1200, at_least=kills)
    await hub.until_settled(seconds=120)
    await asyncio.sleep(16)

    sys.stdout.write(f"{hub.kills} kills, {hub.estate.changes} changes\n")
    assert await violations(hub.stores, hub.estate) == []


@contextlib.asynccontextmanager
async def killing(hub: Hub, dice: random.Random) -> AsyncGenerator[None]:
    """Kill beside the body; at its end every service runs."""

    async with asyncio.TaskGroup() as group:
        killer = group.create_task(hub.kill_at_random(dice))
        try:
            yield
        finally:
            killer.cancel()
    for service in SERVICES:
        if not hub.services[service].is_running:
            await hub.services[service].start()


LOST_VERSION = "delete from bronze.raw_entities where external_id = $1"
DOUBLED_VERSION = """
insert into bronze.raw_entities (entity_type, entity_id, source_system, external_id, version,
    operation, raw_data, content_hash, blob_sha256)
select entity_type, entity_id, source_system, external_id, version + 1,
    operation, raw_data, content_hash, blob_sha256
from bronze.raw_entities where external_id = $1
"""
LOST_ROW = """
delete from silver.transcripts
where entity_id in (select entity_id from bronze.heads where external_id = $1)
"""


@pytest.mark.parametrize(
    ("damage", "complaint"),
    [(LOST_VERSION, "bronze"), (DOUBLED_VERSION, "bronze"), (LOST_ROW, "silver")],
    ids=["a lost version", "a doubled version", "a lost row"],
)
async def test_the_checker_sees_what_is_lost_or_doubled(
    hub: Hub, damage: str, complaint: str
) -> None:
    """The negative control of this suite's own eyes."""
    for number in range(3):
        path = hub.estate.write(number)
    await hub.services.start()
    await hub.until_settled(seconds=60)
    assert await violations(hub.stores, hub.estate) == []

    connection = await asyncpg.connect(hub.stores.database_url)
    try:
        assert await connection.execute(damage, path) != "DELETE 0"
    finally:
        await connection.close()

    assert [item.split()[0] for item in await violations(hub.stores, hub.estate)] == [complaint]
