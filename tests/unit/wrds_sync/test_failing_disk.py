"""Each `fsync` of a sync fails once: nothing half is seen, and the next attempt makes it whole."""

import errno
import itertools
import os
from pathlib import Path

import polars as pl
import pytest

from tests.support.wrds_archive import Archive, prices
from tests.support.wrds_mirror import CRSP, TestMirror, open_mirror
from wrds_sync.errors import DiskFailedError

TABLE = "crsp.dsf"
YEARS = (2022, 2023)


class FailingDisk:
    """`fsync` that fails at one of its calls."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.left = 0
        monkeypatch.setattr(os, "fsync", self._fsync)

    def _fsync(self, _: int) -> None:
        self.left -= 1
        if self.left == 0:
            raise OSError(errno.EIO, os.strerror(errno.EIO))


def whole(mirror: TestMirror) -> None:
    """Every visible file holds all rows of its year."""
    for path in (mirror.root / CRSP.folder).glob("*.parquet"):
        assert len(pl.read_parquet(path)) == 4


async def test_no_failing_sync_of_the_disk_is_taken_for_a_good_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = Archive()
    disk = FailingDisk(monkeypatch)
    for number in itertools.count(1):
        archive.put(TABLE, *(prices(year) for year in YEARS), modified="first")
        mirror = open_mirror(tmp_path / str(number), archive)
        disk.left = number
        try:
            await mirror.manager.full_sync(CRSP, YEARS[0])
        except DiskFailedError:
            pass
        else:
            break
        disk.left = 0
        whole(mirror)
        assert not list(mirror.root.rglob("*.parquet.tmp"))
        assert await mirror.locks.states() == []
        again = await mirror.manager.full_sync(CRSP, YEARS[0])
        assert [item.year for item in again.manifest.partitions] == list(YEARS)
        assert len(mirror.rows()) == 8
        assert await mirror.verifier.verify_integrity(CRSP) == []
    # Lock, three of each partition, checkpoints, schema, manifests, visible names.
    assert number > 30
