"""kill -9 in every phase of a sync, and at any moment, while readers read without a pause."""

import asyncio
import contextlib
import os
import random
import signal
import sys
import threading
from collections.abc import Callable, Generator
from datetime import date
from pathlib import Path

import duckdb
import polars as pl
import pyarrow.dataset
import pytest

from chassis.clock import SystemClock
from tests.support.wrds_config import mirror_environment
from tests.support.wrds_server import WrdsServer
from wrds_sync.adapters.local_storage import LocalStorage
from wrds_sync.domain.manifest import SyncManifest

PHASES = (
    "wrds_sync.after_copy",
    "wrds_sync.after_store",
    "wrds_sync.after_checkpoint",
    "wrds_sync.before_publish",
    "wrds_sync.after_publish",
)
ROWS = {2022: 1040, 2023: 1040, 2024: 1048}

pytestmark = pytest.mark.timeout(1200)


class Mirror:
    """The verbs in processes of their own, one after the other."""

    def __init__(self, server: WrdsServer, folder: Path) -> None:
        self.server = server
        self.data = folder / "data"
        self._environment = dict(os.environ) | mirror_environment(server, folder)  # noqa: TID251

    async def run(self, *arguments: str, kill_after: float | None = None, phase: str = "") -> int:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "wrds_sync",
            *arguments,
            env=self._environment | {"PENSTOCK_FAILPOINT": phase},
            stdout=asyncio.subprocess.DEVNULL,
        )
        if kill_after is not None:
            await asyncio.sleep(kill_after)
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGKILL)
        return await process.wait()

    async def restate(self, generation: int) -> None:
        """Give every row of every year the same new price."""
        await self.server.execute(f"update crsp_store.dsf set prc = {generation}")

    def manifest(self) -> SyncManifest | None:
        path = self.data / "manifests/crsp_daily.json"
        return SyncManifest.from_json(path.read_bytes()) if path.exists() else None


class Readers:
    """Three libraries that read all the time; every answer must be whole."""

    def __init__(self, mirror: Mirror) -> None:
        self._mirror = mirror
        self._stop = threading.Event()
        self.reads = 0
        self.problems: list[str] = []

    @contextlib.contextmanager
    def reading(self) -> Generator[None]:
        threads = [
            threading.Thread(target=self._loop, args=(read,))
            for read in (self._with_polars, self._with_duckdb, self._with_pyarrow)
        ]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._stop.set()
            for thread in threads:
                thread.join(30)

    def _loop(self, read: Callable[[], None]) -> None:
        while not self._stop.wait(0.05):
            try:
                read()
                self.reads += 1
            except Exception as error:  # noqa: BLE001 - whatever a reader meets is the finding
                self.problems.append(f"{read.__name__}: {type(error).__name__}: {error}")
                return

    def _visible(self) -> list[Path]:
        return sorted((self._mirror.data / "wrds/crsp/daily").glob("*.parquet"))

    def _with_polars(self) -> None:
        """Read the pinned vintage: all of its years are of one generation."""
        manifest = self._mirror.manifest()
        if manifest is None or not manifest.is_complete:
            return
        frame = pl.read_parquet([self._mirror.data / item.object for item in manifest.partitions])
        assert frame["prc"].n_unique() == 1, "a vintage mixes two states of the archive"
        assert len(frame) == sum(ROWS.values())

    def _with_duckdb(self) -> None:
        """Read each visible file: whole, and of one generation."""
        for path in self._visible():
            told = duckdb.read_parquet(str(path)).aggregate("count(*), count(distinct prc)")
            assert told.fetchall() == [(ROWS[int(path.stem)], 1)], path.name

    def _with_pyarrow(self) -> None:
        for path in self._visible():
            table = pyarrow.dataset.dataset(path).to_table(columns=["permno", "date", "prc"])
            assert table.num_rows == ROWS[int(path.stem)], path.name


@pytest.fixture
async def mirror(empty_database_url: str, tmp_path: Path) -> Mirror:
    server = await WrdsServer.create(empty_database_url)
    await server.fill_daily(date(2022, 1, 3), date(2024, 12, 31), securities=4)
    opened = Mirror(server, tmp_path)
    await opened.restate(1)
    return opened


@pytest.mark.covers("S5-82", "S5-85", "S5-95", "S5-97", "S5-106")
async def test_no_kill_shows_half_a_file_or_loses_or_doubles_a_row(
    mirror: Mirror, request: pytest.FixtureRequest
) -> None:
    kills = int(request.config.getoption("--chaos-kills"))
    dice = random.Random(request.config.getoption("--chaos-seed"))
    readers = Readers(mirror)
    killed = 0
    with readers.reading():
        for generation in range(2, 2 + max(1, kills // (2 * len(PHASES)))):
            for phase in PHASES:
                code = await mirror.run("incremental", "--dataset", "crsp_daily", phase=phase)
                killed += code == -signal.SIGKILL
                await mirror.restate(generation * 100 + PHASES.index(phase))
                code = await mirror.run(
                    "incremental", "--dataset", "crsp_daily", kill_after=dice.uniform(0.5, 4)
                )
                killed += code == -signal.SIGKILL
        assert await mirror.run("incremental", "--dataset", "crsp_daily") == 0
    assert readers.problems == []
    assert readers.reads > 0
    assert killed >= len(PHASES)
    assert await mirror.run("verify", "--dataset", "crsp_daily") == 0

    frame = pl.read_parquet(mirror.data / "wrds/crsp/daily/*.parquet")
    assert len(frame) == sum(ROWS.values())
    assert frame.select("permno", "date").is_duplicated().sum() == 0
    assert frame["prc"].n_unique() == 1
    async with mirror.server.connection() as connection:
        assert frame["prc"][0] == await connection.fetchval("select max(prc) from crsp.dsf")
    assert list(mirror.data.rglob("*.parquet.tmp")) == []
    assert not list((mirror.data / "locks").glob("*.lock"))
    storage = LocalStorage(mirror.data, clock=SystemClock())
    assert len(await storage.vintages("crsp_daily")) <= 4
