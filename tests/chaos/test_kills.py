"""Processes die at any moment; nothing is lost and nothing happens twice (DESIGN, guarantees 1 and
2)."""

import asyncio
import contextlib
import random
import sys
from collections.abc import AsyncGenerator
from pathlib import Path

import asyncpg
import pytest

from penstock.processes import SERVICES
from tests.chaos.hub import PARTS, Hub, hub_of, stack_of
from tests.chaos.invariants import violations

MODIFIED, DELETED = 0.05, 0.03

pytestmark = pytest.mark.timeout(3600)


@pytest.fixture
async def hub(tmp_path: Path) -> AsyncGenerator[Hub]:
    async with (
        stack_of(tmp_path / "stack", PARTS) as env,
        hub_of(tmp_path, env) as opened,
    ):
        yield opened


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
