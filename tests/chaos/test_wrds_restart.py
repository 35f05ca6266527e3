"""The archive's server goes away in the middle of a partition: for a moment, and for longer."""

import asyncio
import tempfile
import threading
from collections.abc import Callable, Generator
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from penstock.stack import PartName, Stack, read_settings
from tests.support.wrds_mirror import CRSP, TestMirror, open_mirror
from tests.support.wrds_server import WrdsServer
from tests.support.wrds_server_client import opened
from wrds_sync.errors import SourceUnavailableError
from wrds_sync.ports import ProgressNote

ROWS = {2022: 1040, 2023: 1040, 2024: 1048}
SLOW = """
    create or replace view crsp.dsf as select * from crsp_store.dsf
    where date <> '2023-06-30' or pg_sleep(0.5)::text = ''
"""
"""Two seconds in the middle of 2023: time enough to take the server away."""

pytestmark = pytest.mark.timeout(600)


class Archive:
    """A server that can be taken away and brought back."""

    def __init__(self, folder: Path) -> None:
        self._stack = Stack(settings=read_settings().in_folder(folder), fast=True)
        self._running = self._stack.up([PartName.POSTGRES], tied=True)
        self.url = self._running.env["DATABASE_URL"]
        self._is_back = threading.Event()
        self._is_back.set()

    def stop(self) -> None:
        self._running.stop()

    def start(self) -> None:
        self._running = self._stack.up([PartName.POSTGRES], tied=True)

    def restart(self) -> None:
        self._is_back.clear()
        self.stop()
        self.start()
        self._is_back.set()

    async def sleep(self, seconds: float) -> None:
        """Wait before another attempt; a restart is over by then, however slow this machine is."""
        await asyncio.sleep(seconds)
        await asyncio.to_thread(self._is_back.wait)


@pytest.fixture
def archive() -> Generator[Archive]:
    with tempfile.TemporaryDirectory(prefix="penstock-restart-") as folder:
        archive = Archive(Path(folder))
        try:
            yield archive
        finally:
            archive.stop()


class Once:
    """Does something to the archive while the second year is copied."""

    def __init__(self, action: Callable[[], None]) -> None:
        self._action = action
        self._is_due = True

    async def __call__(self, note: ProgressNote) -> None:
        if self._is_due and note.year == 2023:
            self._is_due = False
            await asyncio.to_thread(self._action)


async def is_whole(mirror: TestMirror, price: int) -> None:
    frame = pl.read_parquet(mirror.root / CRSP.folder / "*.parquet")
    assert len(frame) == sum(ROWS.values())
    assert not frame.select("permno", "date").is_duplicated().any()
    assert frame["prc"].unique().to_list() == [price]
    assert not list(mirror.root.rglob("*.parquet.tmp"))
    assert await mirror.verifier.verify_integrity(CRSP) == []


@pytest.mark.covers("S5-37", "S5-41", "S5-85", "S5-106")
async def test_a_sync_outlives_a_restart_and_resumes_after_an_outage(
    archive: Archive, tmp_path: Path
) -> None:
    server = await WrdsServer.create(archive.url)
    await server.fill_daily(date(2022, 1, 3), date(2024, 12, 31), securities=4)
    await server.execute("update crsp_store.dsf set prc = 1")
    await server.execute(SLOW)
    async with opened(server, sleep=archive.sleep, connect_timeout_seconds=5) as client:
        mirror = open_mirror(tmp_path, client)

        with pytest.raises(SourceUnavailableError):
            await mirror.manager.full_sync(CRSP, 2022, on_progress=Once(archive.stop))
        assert not list(mirror.root.rglob("*.parquet.tmp"))
        [first] = mirror.files()
        written = (mirror.root / first).stat().st_mtime_ns
        await asyncio.to_thread(archive.start)
        await mirror.manager.full_sync(CRSP, 2022)
        assert (mirror.root / first).stat().st_mtime_ns == written
        await is_whole(mirror, 1)

        await server.execute("update crsp_store.dsf set prc = 2")
        outcome = await mirror.manager.incremental_sync(CRSP, on_progress=Once(archive.restart))
        assert outcome.report is not None
        assert outcome.report.changed == sum(ROWS.values())
        await is_whole(mirror, 2)
