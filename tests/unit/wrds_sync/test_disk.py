import errno
from collections.abc import Callable
from pathlib import Path

import pytest
import structlog

from tests.support.wrds_archive import Archive, prices
from tests.support.wrds_mirror import CRSP, TestMirror, open_mirror
from wrds_sync.adapters.local_storage import disk_usage
from wrds_sync.domain.disk import DiskLevel, DiskUsage, assess
from wrds_sync.errors import DiskFullError

TABLE = "crsp.dsf"
GIGABYTE = 10**9


@pytest.fixture
def archive() -> Archive:
    archive = Archive()
    archive.put(TABLE, prices(2023), prices(2024), modified="first")
    return archive


@pytest.fixture
def mirror(tmp_path: Path, archive: Archive) -> TestMirror:
    return open_mirror(tmp_path, archive)


def used(percent: float) -> DiskUsage:
    return DiskUsage(total_bytes=1000 * GIGABYTE, free_bytes=round(10 * GIGABYTE * (100 - percent)))


@pytest.mark.covers("S5-20", "S5-42", "S5-43", "S5-44")
@pytest.mark.parametrize(
    ("percent", "level"),
    [
        (80, DiskLevel.OK),
        (80.1, DiskLevel.WARNING),
        (90, DiskLevel.WARNING),
        (90.1, DiskLevel.CRITICAL),
        (95, DiskLevel.CRITICAL),
        (95.1, DiskLevel.BLOCKED),
    ],
)
def test_the_watermarks(percent: float, level: DiskLevel) -> None:
    assert assess(used(percent), 0).level is level


@pytest.mark.covers("S5-20")
def test_twice_the_expected_bytes_must_be_free() -> None:
    usage = DiskUsage(total_bytes=1000, free_bytes=400)
    assert assess(usage, 200).may_write
    assert not assess(usage, 201).may_write


@pytest.mark.covers("S5-20", "S5-44", "S5-86")
async def test_a_sync_is_blocked_above_95_percent(mirror: TestMirror, archive: Archive) -> None:
    mirror.storage.usage = used(95.1)
    with structlog.testing.capture_logs() as logs, pytest.raises(DiskFullError):
        await mirror.manager.full_sync(CRSP, 2023)
    assert "sync.disk.blocked" in [line["event"] for line in logs]
    assert archive.copied == []


@pytest.mark.covers("S5-42", "S5-43")
@pytest.mark.parametrize(
    ("percent", "event"), [(81, "sync.disk.warning"), (91, "sync.disk.critical")]
)
async def test_a_filling_disk_warns_and_lets_the_sync_go_on(
    mirror: TestMirror, percent: float, event: str
) -> None:
    mirror.storage.usage = used(percent)
    with structlog.testing.capture_logs() as logs:
        await mirror.manager.full_sync(CRSP, 2023)
    assert event in [line["event"] for line in logs]
    assert len(mirror.rows()) == 8


async def test_a_sync_without_room_for_twice_its_bytes_does_not_begin(
    mirror: TestMirror, archive: Archive
) -> None:
    # 8 rows of 24 bytes, as the planner says.
    mirror.storage.usage = DiskUsage(total_bytes=400, free_bytes=383)
    with pytest.raises(DiskFullError, match="192 bytes are to be written and 383 are free"):
        await mirror.manager.full_sync(CRSP, 2023)
    assert archive.copied == []


@pytest.mark.covers("S5-20", "S5-39", "S5-44")
@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left"), DiskFullError()])
async def test_a_disk_that_fills_during_a_copy_ends_it_cleanly(
    mirror: TestMirror, archive: Archive, error: Exception
) -> None:
    def fill(_: Path) -> None:
        raise error

    archive.after_copy = fill
    with structlog.testing.capture_logs() as logs, pytest.raises(DiskFullError):
        await mirror.manager.full_sync(CRSP, 2023)
    assert "sync.disk.blocked" in [line["event"] for line in logs]
    assert mirror.files("tmp/**/*.tmp") == []
    assert len(mirror.files("quarantine/*_crsp_sync/2023.parquet.tmp")) == 1
    archive.after_copy = None
    await mirror.manager.full_sync(CRSP, 2023)
    assert len(mirror.rows()) == 8


def no_room(name: str) -> Callable[[Path, Path], Path]:
    real = Path.rename

    def rename(self: Path, target: Path) -> Path:
        if Path(target).name == name:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(self, target)

    return rename


@pytest.mark.covers("S5-20")
async def test_a_manifest_that_finds_no_room_leaves_the_old_one(
    mirror: TestMirror, archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await mirror.manager.full_sync(CRSP, 2023)
    archive.put(TABLE, prices(2023), prices(2024, price=50), modified="second")
    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", no_room("crsp.json"))
        with pytest.raises(DiskFullError):
            await mirror.manager.incremental_sync(CRSP)
    assert await mirror.storage.read_manifest("crsp") == first.manifest
    assert mirror.rows()["prc"].max() == 13
    await mirror.manager.incremental_sync(CRSP)
    assert mirror.rows()["prc"].max() == 53


def test_the_usage_of_a_folder_that_is_not_there_yet_is_its_disks(tmp_path: Path) -> None:
    usage = disk_usage(tmp_path / "not" / "yet")
    assert usage.total_bytes == disk_usage(tmp_path).total_bytes > 0
