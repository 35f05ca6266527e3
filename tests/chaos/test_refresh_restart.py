"""The server of both databases goes down while a swap has written everything and not committed."""

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncGenerator, Generator
from pathlib import Path

import asyncpg
import pytest

from penstock.stack import PartName, Stack, read_settings
from tests.chaos.test_refresh_kills import (
    EVENTS,
    LINES,
    NEW,
    OLD,
    ORDERS,
    READINGS,
    TABLES,
    fill,
    generations,
    leftovers,
)
from tests.integration.refresher.estate import Estate, open_estate
from tests.integration.refresher.hub import Hub, configuration, open_hub
from tests.support.addresses import PostgresAddress
from tests.support.eventually import eventually

SLOWLY = {"after_swap": ["select pg_sleep(5)"]}
"""Keeps the swap's transaction open when all of it has been written."""

pytestmark = pytest.mark.timeout(600)


class Server:
    """A database server that can be taken away and brought back."""

    def __init__(self, folder: Path) -> None:
        self._stack = Stack(settings=read_settings().in_folder(folder), fast=True)
        self._running = self._stack.up([PartName.POSTGRES], tied=True)
        self.address = PostgresAddress.from_env(self._running.env)

    def stop(self) -> None:
        self._running.stop()

    def start(self) -> None:
        self._running = self._stack.up([PartName.POSTGRES], tied=True)


@pytest.fixture
def server() -> Generator[Server]:
    with tempfile.TemporaryDirectory(prefix="penstock-restart-") as folder:
        server = Server(Path(folder))
        try:
            yield server
        finally:
            server.stop()


@pytest.fixture
async def hub(server: Server, unique: str, database_url: str) -> AsyncGenerator[Hub]:
    async with open_estate(server.address, unique) as estate:
        await estate.production_does(ORDERS, LINES, READINGS, *EVENTS, *fill(NEW))
        await estate.uat_does(ORDERS, LINES, READINGS, *EVENTS, *fill(OLD))
        await estate.give_to_roles()
        tables = [{**table, "hooks": SLOWLY} for table in TABLES if table["name"] != "lines"]
        tables.append({"name": "lines"})
        async with open_hub(estate, database_url, configuration(estate, tables)) as opened:
            yield opened


async def is_in_swap(estate: Estate) -> bool:
    found: int = await estate.in_uat(
        "select count(*) from pg_stat_activity where wait_event = 'PgSleep'"
    )
    return found > 0


async def is_up(estate: Estate) -> bool:
    with contextlib.suppress(OSError, asyncpg.PostgresError):
        return bool(await estate.in_uat("select true"))
    return False


SWAPS = {
    "of the tables that belong together": ["orders", "lines"],
    "of the partitions": ["events"],
    "of the whole table": ["readings"],
}


@pytest.mark.parametrize("swap", SWAPS)
async def test_a_server_that_restarts_in_a_swap_has_old_rows_and_the_run_goes_on(
    hub: Hub, server: Server, swap: str
) -> None:
    hub.config["tables"] = [item for item in hub.config["tables"] if item["name"] in SWAPS[swap]]
    run_id = await hub.queue("refresh", "all", table="all")

    async def restart() -> None:
        await eventually(lambda: is_in_swap(hub.estate), 60)
        await asyncio.to_thread(server.stop)
        await asyncio.to_thread(server.start)
        await eventually(lambda: is_up(hub.estate), 60)
        assert await generations(hub) == (OLD, OLD, OLD)

    async with asyncio.TaskGroup() as group:
        group.create_task(restart())
        assert await hub.work()
    row = await hub.row(run_id)
    while row["status"] not in ("completed", "failed"):
        await asyncio.sleep(0.3)
        await hub.work()
        row = await hub.row(run_id)
    assert row["status"] == "completed", row["message"]
    refreshed = (next(iter(names)) in SWAPS[swap] for names in SWAPS.values())
    assert await generations(hub) == tuple(NEW if item else OLD for item in refreshed)
    assert await leftovers(hub) == 0
