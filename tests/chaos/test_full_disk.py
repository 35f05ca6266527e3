"""The object store's disk fills up: the hub waits, loses nothing, and goes on by itself."""

import asyncio
import http.client
import os
import subprocess
from collections.abc import AsyncGenerator
from pathlib import Path

import asyncpg
import pytest

from penstock.stack import PartName
from tests.chaos.hub import PARTS, Hub, hub_of, stack_of
from tests.chaos.invariants import violations
from tests.support.errors import MissingServerError
from tests.support.eventually import eventually

FILES = 60
FILE_BYTES = 400_000
SMALL, LARGE = "12m", "200m"

pytestmark = pytest.mark.timeout(600)


@pytest.fixture
async def disk(tmp_path: Path) -> AsyncGenerator[Path]:
    """A file system of 12 MB, for less than half of the files."""
    if os.geteuid() != 0:
        raise MissingServerError("This test mounts a small file system: run it as root.")
    folder = tmp_path / "disk"
    folder.mkdir()
    await _run("mount", "-t", "tmpfs", "-o", f"size={SMALL},mode=0777", "tmpfs", str(folder))
    try:
        yield folder
    finally:
        await _run("umount", "--lazy", str(folder))


@pytest.fixture
async def hub(tmp_path: Path, disk: Path) -> AsyncGenerator[Hub]:
    async with (
        stack_of(tmp_path / "stack", PARTS - {PartName.S3}) as env,
        stack_of(disk, frozenset({PartName.S3})) as store,
        hub_of(tmp_path, {**env, **store}) as opened,
    ):
        yield opened


async def test_a_full_object_store_delays_everything_and_loses_nothing(
    hub: Hub, disk: Path
) -> None:
    for number in range(FILES):
        hub.estate.write(number, padding=FILE_BYTES)
    await hub.services.start()
    ingestor = hub.services["ingestor"]

    await eventually(lambda: _says(ingestor.events("warning"), "batch_retried"), timeout=60)
    await asyncio.sleep(5)
    stored = await _bronze_versions(hub)
    assert stored < FILES, "the disk was to fill up first"
    assert ingestor.is_running
    assert await asyncio.to_thread(_status, ingestor.http_port, "/livez") == 200
    assert await _dead_letters(hub) == 0

    await _run("mount", "-o", f"remount,size={LARGE}", str(disk))
    await hub.until_settled(seconds=120)
    await asyncio.sleep(16)

    assert await violations(hub.stores, hub.estate) == []


def _says(events: list[dict[str, object]], name: str) -> bool:
    return any(item["event"] == name for item in events)


def _status(port: int | None, path: str) -> int:
    assert port is not None
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    finally:
        connection.close()


async def _bronze_versions(hub: Hub) -> int:
    return await _count(hub, "select count(*) from bronze.raw_entities")


async def _dead_letters(hub: Hub) -> int:
    return await _count(hub, "select count(*) from meta.record_errors")


async def _count(hub: Hub, query: str) -> int:
    connection = await asyncpg.connect(hub.stores.database_url)
    try:
        return int(await connection.fetchval(query))
    finally:
        await connection.close()


async def _run(*command: str) -> None:
    done = await asyncio.to_thread(
        subprocess.run, command, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise MissingServerError(f"`{' '.join(command)}` failed: {done.stderr.strip()}")
