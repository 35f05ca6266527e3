"""The backup, and the restore drill of docs/wrds/runbooks/data-backup-restore.md, with rclone."""

import shutil
from pathlib import Path

import pytest

from tests.support.errors import MissingServerError
from tests.support.wrds_archive import Archive, prices
from tests.support.wrds_mirror import CRSP, open_mirror
from wrds_sync.adapters.rclone import MISSING_EXIT_CODE, RcloneBackup


@pytest.fixture
def rclone() -> str:
    found = shutil.which("rclone")
    if found is None:
        raise MissingServerError("The tests need rclone: install the Debian package rclone.")
    return found


@pytest.fixture
def archive() -> Archive:
    archive = Archive()
    archive.put("crsp.dsf", prices(2023), prices(2024), modified="first")
    return archive


@pytest.mark.covers("S5-107")
async def test_the_drill(tmp_path: Path, archive: Archive, rclone: str) -> None:
    mirror = open_mirror(tmp_path / "data", archive)
    await mirror.manager.full_sync(CRSP, 2023)
    backup = RcloneBackup(mirror.root, str(tmp_path / "remote"), program=rclone)
    assert await backup.run() == 0
    mirror.clock.advance(hours=24)
    archive.put("crsp.dsf", prices(2023), prices(2024, price=50), modified="second")
    await mirror.manager.incremental_sync(CRSP)
    assert await backup.run() == 0
    shutil.rmtree(mirror.root)

    assert await backup.restore(tmp_path / "restored") == 0
    restored = open_mirror(tmp_path / "restored", archive, clock=mirror.clock)
    archive.copied.clear()
    await restored.manager.incremental_sync(CRSP)
    assert archive.copied == [], "the restored files were not believed"
    assert await restored.verifier.verify_integrity(CRSP) == []
    assert restored.rows()["prc"].max() == 53
    assert len(await restored.storage.vintages("crsp")) == 2


@pytest.mark.covers("S5-47")
async def test_a_failing_rclone_is_its_exit_code(tmp_path: Path, rclone: str) -> None:
    (tmp_path / "objects").mkdir()
    backup = RcloneBackup(tmp_path, "nowhere:bucket", program=rclone)
    assert await backup.run() not in (0, MISSING_EXIT_CODE)


async def test_a_missing_rclone_is_an_exit_code_too(tmp_path: Path) -> None:
    (tmp_path / "objects").mkdir()
    assert await RcloneBackup(tmp_path, "x:y", program="no-such-rclone").run() == MISSING_EXIT_CODE
