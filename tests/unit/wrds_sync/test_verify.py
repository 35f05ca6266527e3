from pathlib import Path

import pytest
import structlog

from tests.support.wrds_archive import Archive, prices
from tests.support.wrds_mirror import CRSP, TestMirror, open_mirror
from wrds_sync import metrics
from wrds_sync.errors import ChecksumError

TABLE = "crsp.dsf"


@pytest.fixture
def archive() -> Archive:
    archive = Archive()
    archive.put(TABLE, prices(2023), prices(2024), modified="first")
    return archive


@pytest.fixture
async def mirror(tmp_path: Path, archive: Archive) -> TestMirror:
    mirror = open_mirror(tmp_path, archive)
    await mirror.manager.full_sync(CRSP, 2023)
    archive.queries = 0
    return mirror


def alerts(logs: list[structlog.typing.EventDict]) -> list[str]:
    return [line["event"] for line in logs if line["event"].startswith("sync.")]


@pytest.mark.covers("S5-17", "S5-91")
async def test_a_whole_mirror_verifies_without_a_query(
    mirror: TestMirror, archive: Archive
) -> None:
    assert await mirror.verifier.verify_integrity(CRSP) == []
    assert archive.queries == 0


@pytest.mark.covers("S5-17", "S5-92", "S5-49")
async def test_a_missing_file_is_found(mirror: TestMirror) -> None:
    (mirror.root / "wrds/crsp/daily/2023.parquet").unlink()
    with structlog.testing.capture_logs() as logs:
        problems = await mirror.verifier.verify_integrity(CRSP)
    assert problems == ["2023: `wrds/crsp/daily/2023.parquet` is missing"]
    assert alerts(logs) == ["sync.manifest.mismatch"]


@pytest.mark.covers("S5-17", "S5-93", "S5-46")
async def test_a_changed_byte_is_found(mirror: TestMirror) -> None:
    path = mirror.root / "wrds/crsp/daily/2024.parquet"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    before = metrics.ALERTS.labels("sync.checksum.mismatch", "crsp")._value.get()
    with structlog.testing.capture_logs() as logs:
        [problem] = await mirror.verifier.verify_integrity(CRSP)
    assert problem.startswith("2024: ")
    assert problem.endswith("checksum mismatch")
    assert alerts(logs) == ["sync.checksum.mismatch"]
    assert metrics.ALERTS.labels("sync.checksum.mismatch", "crsp")._value.get() == before + 1


async def test_a_file_cut_short_is_found_and_copied_again(
    mirror: TestMirror, archive: Archive
) -> None:
    path = mirror.root / "wrds/crsp/daily/2024.parquet"
    path.write_bytes(path.read_bytes()[:-8])
    [problem] = await mirror.verifier.verify_integrity(CRSP)
    assert "bytes and not" in problem
    archive.copied.clear()
    await mirror.manager.incremental_sync(CRSP)
    assert archive.copied == [2024]
    assert await mirror.verifier.verify_integrity(CRSP) == []


@pytest.mark.covers("S5-49")
async def test_a_stranger_beside_the_files_is_told(mirror: TestMirror) -> None:
    (mirror.root / "wrds/crsp/daily/1999.parquet").write_bytes(b"?")
    assert await mirror.verifier.verify_integrity(CRSP) == [
        "`wrds/crsp/daily/1999.parquet` is in no manifest"
    ]


async def test_a_mirror_that_was_never_synced_is_told(tmp_path: Path) -> None:
    mirror = open_mirror(tmp_path / "other", Archive())
    assert await mirror.verifier.verify_integrity(CRSP) == ["there is no manifest: never synced"]


@pytest.mark.covers("S5-40", "S5-87", "S5-46")
async def test_a_file_that_the_disk_changed_is_quarantined(
    mirror: TestMirror, archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = await mirror.storage.read_manifest("crsp")
    archive.put(TABLE, prices(2023), prices(2024, price=50.0), modified="second")
    real = Path.rename

    def rename(self: Path, target: Path) -> Path:
        """Lose a byte on the way to the final name, as a bad disk does."""
        moved = real(self, target)
        if self.name == "2024.parquet.tmp" and "objects" in str(target):
            content = bytearray(moved.read_bytes())
            content[10] ^= 1
            moved.write_bytes(content)
        return moved

    monkeypatch.setattr(Path, "rename", rename)
    with structlog.testing.capture_logs() as logs, pytest.raises(ChecksumError):
        await mirror.manager.incremental_sync(CRSP)
    assert "sync.checksum.mismatch" in alerts(logs)
    assert len(mirror.files("quarantine/*_crsp_sync/2024.parquet.tmp")) == 1
    assert await mirror.storage.read_manifest("crsp") == before
    monkeypatch.undo()
    assert await mirror.verifier.verify_integrity(CRSP) == []


@pytest.mark.covers("S5-40", "S5-87")
async def test_a_file_that_is_no_parquet_is_quarantined(
    mirror: TestMirror, archive: Archive
) -> None:
    archive.put(TABLE, prices(2023), prices(2024, price=50.0), modified="second")

    def cut(path: Path) -> None:
        path.write_bytes(path.read_bytes()[:-4])

    archive.after_copy = cut
    with pytest.raises(ChecksumError, match="no readable Parquet"):
        await mirror.manager.incremental_sync(CRSP)
    assert len(mirror.files("quarantine/*/2024.parquet.tmp")) == 1
    assert mirror.rows()["prc"].max() == 13
