"""The mirror's disk fills up while a partition is written: nothing is half there, and the sync goes
on when there is room again.
"""

import os
import subprocess
from collections.abc import Generator
from datetime import date
from pathlib import Path

import polars as pl
import pytest
import structlog

from chassis.clock import SystemClock
from tests.support.errors import MissingServerError
from tests.support.wrds_mirror import NotedLedger
from tests.support.wrds_server import WrdsServer
from tests.support.wrds_server_client import opened
from wrds_sync.adapters.authority import NoAuthority
from wrds_sync.adapters.local_storage import LocalStorage
from wrds_sync.adapters.version_inspector import VersionInspector
from wrds_sync.adapters.volume_locks import VolumeLocks
from wrds_sync.app.wiring import build_manager
from wrds_sync.domain.datasets import Dataset, Rules
from wrds_sync.domain.tables import Selection, TableRef
from wrds_sync.errors import DiskFullError
from wrds_sync.handlers.registry import SchemaRegistry
from wrds_sync.handlers.sync import SyncManager
from wrds_sync.handlers.verify import Verifier
from wrds_sync.ports import ProgressNote

CRSP = Dataset(
    name="crsp_daily",
    vendor="crsp",
    frequency="daily",
    selection=Selection(table=TableRef("crsp", "dsf"), date_column="date"),
    rules=Rules(key=("permno", "date")),
)

pytestmark = pytest.mark.timeout(600)


@pytest.fixture
def disk(tmp_path: Path) -> Generator[Path]:
    """A file system of 16 MB."""
    if os.geteuid() != 0:
        raise MissingServerError("This test mounts a small file system: run it as root.")
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def fill(path: Path) -> None:
    """Take all the room there is."""
    with path.open("wb") as file:
        try:
            while True:
                file.write(b"\0" * 4096)
                file.flush()
        except OSError:
            return


def litter(data: Path) -> list[Path]:
    """Temporary files outside the quarantine, and locks."""
    temporary = [path for path in data.rglob("*.tmp") if "quarantine" not in path.parts]
    return [*temporary, *(data / "locks").glob("*.lock")]


@pytest.fixture
async def server(empty_database_url: str) -> WrdsServer:
    server = await WrdsServer.create(empty_database_url)
    await server.fill_daily(date(2023, 1, 2), date(2024, 12, 30), securities=40)
    return server


@pytest.mark.covers("S5-20", "S5-39", "S5-86", "S5-106")
async def test_a_disk_that_fills_up_leaves_the_old_vintage_and_no_litter(
    disk: Path, server: WrdsServer
) -> None:
    clock = SystemClock()
    storage = LocalStorage(disk / "data", clock=clock)
    async with opened(server) as client:
        manager: SyncManager = build_manager(
            client,
            storage,
            VolumeLocks(disk / "data/locks", clock=clock),
            authority=NoAuthority(),
            inspector=VersionInspector(),
            ledger=NotedLedger(),
            clock=clock,
        )
        first = await manager.full_sync(CRSP, 2023)
        assert first.manifest.rows == first.rows
        await server.execute("update crsp_store.dsf set prc = -1")
        balloon = disk / "balloon"

        async def burst(note: ProgressNote) -> None:
            if note.year == 2024 and not balloon.exists():
                fill(balloon)

        with structlog.testing.capture_logs() as logs, pytest.raises(DiskFullError):
            await manager.incremental_sync(CRSP, on_progress=burst)
        assert "sync.disk.blocked" in [line["event"] for line in logs]
        assert await storage.read_manifest("crsp_daily") == first.manifest
        assert litter(disk / "data") == []
        seen = pl.read_parquet(disk / "data/wrds/crsp/daily/*.parquet")
        assert (len(seen), seen["prc"].max() != -1) == (first.manifest.rows, True)

        with pytest.raises(DiskFullError):
            await manager.incremental_sync(CRSP)

        balloon.unlink()
        second = await manager.incremental_sync(CRSP)
    assert second.report is not None
    assert second.report.changed == first.manifest.rows
    assert pl.read_parquet(disk / "data/wrds/crsp/daily/*.parquet")["prc"].unique().to_list() == [
        -1
    ]
    verifier = Verifier(storage, SchemaRegistry(storage.documents, NotedLedger()))
    assert await verifier.verify_integrity(CRSP) == []
