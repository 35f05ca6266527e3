import asyncio
import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.support.wrds_archive import Archive, prices
from tests.support.wrds_mirror import CRSP, TestMirror, open_mirror
from wrds_sync.adapters.file_lock import AtomicFileLock
from wrds_sync.domain.progress import SyncProgress
from wrds_sync.errors import (
    LockAcquisitionError,
    LockLostError,
    QueryTimeoutError,
    SourceUnavailableError,
    SyncIncompleteError,
    ValidationError,
)

TABLE = "crsp.dsf"


@pytest.fixture
def archive() -> Archive:
    archive = Archive()
    archive.put(TABLE, prices(2022), prices(2023), prices(2024), modified="first")
    return archive


@pytest.fixture
def mirror(tmp_path: Path, archive: Archive) -> TestMirror:
    return open_mirror(tmp_path, archive)


def progress(mirror: TestMirror) -> SyncProgress:
    text = (mirror.root / "sync_progress/crsp.json").read_text("utf-8")
    return SyncProgress.model_validate_json(text)


def failing(error: Exception, *years: int) -> Callable[[int], None]:
    def fail(year: int) -> None:
        if year in years:
            raise error

    return fail


@pytest.mark.covers("S5-15", "S5-26", "S5-94")
async def test_a_full_sync_makes_a_file_per_year(mirror: TestMirror) -> None:
    outcome = await mirror.manager.full_sync(CRSP, 2023)
    assert mirror.files() == ["wrds/crsp/daily/2023.parquet", "wrds/crsp/daily/2024.parquet"]
    assert outcome.manifest.rows == 8
    assert mirror.rows().sort("date", "permno")["prc"].to_list() == [10.0, 11.0, 12.0, 13.0] * 2


@pytest.mark.covers("S5-18", "S5-80")
async def test_a_partition_is_written_beside_and_renamed(
    mirror: TestMirror, archive: Archive
) -> None:
    seen: list[str] = []

    def look(target: Path) -> None:
        assert target.name.endswith(".parquet.tmp")
        assert target.exists()
        seen.extend(mirror.files())

    archive.after_copy = look
    await mirror.manager.full_sync(CRSP, 2024)
    assert seen == []
    assert mirror.files() == ["wrds/crsp/daily/2024.parquet"]
    assert mirror.files("tmp/**/*.tmp") == []


@pytest.mark.covers("S5-81")
async def test_a_failed_copy_leaves_no_temporary_file(mirror: TestMirror, archive: Archive) -> None:
    def fail(_: Path) -> None:
        raise SourceUnavailableError

    archive.after_copy = fail
    with pytest.raises(SourceUnavailableError):
        await mirror.manager.full_sync(CRSP, 2024)
    assert mirror.files("**/*.tmp") == []
    assert mirror.files("**/*.parquet") == []


@pytest.mark.covers("S5-83", "C-39")
async def test_a_manifest_has_both_checksums_of_each_file(mirror: TestMirror) -> None:
    await mirror.manager.full_sync(CRSP, 2024)
    manifest = json.loads((mirror.root / "manifests/crsp.json").read_text("utf-8"))
    content = (mirror.root / "wrds/crsp/daily/2024.parquet").read_bytes()
    [entry] = manifest["partitions"]
    assert entry["sha256"] == hashlib.sha256(content).hexdigest()
    assert entry["md5"] == hashlib.md5(content).hexdigest()
    assert entry["size_bytes"] == len(content)


@pytest.mark.covers("S5-14", "S5-19", "S5-84")
async def test_progress_is_saved_after_each_partition(mirror: TestMirror, archive: Archive) -> None:
    seen: list[tuple[list[int], list[int], int, str]] = []

    def look(_: int) -> None:
        now = progress(mirror)
        seen.append((now.years_completed, now.years_remaining, now.total_rows_synced, now.status))

    archive.before_copy = look
    await mirror.manager.full_sync(CRSP, 2022)
    assert seen == [
        ([], [2022, 2023, 2024], 0, "running"),
        ([2022], [2023, 2024], 4, "running"),
        ([2022, 2023], [2024], 8, "running"),
    ]
    last = progress(mirror)
    assert (last.years_completed, last.status, last.staged) == ([2022, 2023, 2024], "completed", [])


@pytest.mark.covers("S5-85", "S5-96", "S5-41")
async def test_a_sync_goes_on_where_the_network_failed(
    mirror: TestMirror, archive: Archive
) -> None:
    archive.before_copy = failing(SourceUnavailableError("cut"), 2024)
    with pytest.raises(SourceUnavailableError):
        await mirror.manager.full_sync(CRSP, 2022)
    paused = progress(mirror)
    assert (paused.status, paused.years_remaining) == ("paused", [2024])
    archive.before_copy = None
    await mirror.manager.full_sync(CRSP, 2022)
    assert archive.copied == [2022, 2023, 2024]
    assert len(mirror.rows()) == 12


@pytest.mark.covers("S5-85")
async def test_a_checkpoint_of_an_older_table_is_not_believed(
    mirror: TestMirror, archive: Archive
) -> None:
    archive.before_copy = failing(SourceUnavailableError("cut"), 2024)
    with pytest.raises(SourceUnavailableError):
        await mirror.manager.full_sync(CRSP, 2023)
    archive.before_copy = None
    archive.put(TABLE, prices(2023, price=50), prices(2024), modified="second")
    await mirror.manager.full_sync(CRSP, 2023)
    assert archive.copied == [2023, 2023, 2024]


@pytest.mark.covers("S5-38", "C-37")
async def test_a_year_that_timed_out_is_skipped_and_stays_due(
    mirror: TestMirror, archive: Archive
) -> None:
    archive.before_copy = failing(QueryTimeoutError("slow"), 2023)
    with pytest.raises(SyncIncompleteError, match="2023"):
        await mirror.manager.full_sync(CRSP, 2022)
    left = progress(mirror)
    assert (left.status, left.years_completed, left.years_remaining) == (
        "failed",
        [2022, 2024],
        [2023],
    )
    archive.before_copy = None
    outcome = await mirror.manager.full_sync(CRSP, 2022)
    assert archive.copied == [2022, 2024, 2023]
    assert outcome.manifest.is_complete


@pytest.mark.covers("S5-22", "S5-88")
async def test_the_manifest_comes_after_the_file_is_synced_and_renamed(
    mirror: TestMirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    real_fsync, real_rename = os.fsync, Path.rename

    def fsync(descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        steps.append(f"sync {path.relative_to(mirror.root)}")
        real_fsync(descriptor)

    def rename(self: Path, target: Path) -> Path:
        steps.append(f"name {Path(target).relative_to(mirror.root)}")
        return real_rename(self, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(Path, "rename", rename)
    outcome = await mirror.manager.full_sync(CRSP, 2024)
    stored = outcome.manifest.partitions[0].object
    temporary = next(step for step in steps if step.endswith("2024.parquet.tmp"))
    manifest = steps.index("name manifests/crsp.json")
    assert (
        steps.index(temporary)
        < steps.index(f"name {stored}")
        < steps.index("sync objects/crsp/daily")
        < manifest
        < steps.index("sync manifests", manifest)
    )


@pytest.mark.covers("S5-22", "S5-89")
async def test_a_partition_that_breaks_a_rule_is_not_published(
    mirror: TestMirror, archive: Archive
) -> None:
    first = await mirror.manager.full_sync(CRSP, 2024)
    before = (mirror.root / "wrds/crsp/daily/2024.parquet").read_bytes()
    rows = prices(2024)
    rows["permno"] = [1, 1, 2, 3]
    archive.put(TABLE, rows, modified="second")
    with pytest.raises(ValidationError, match="1 rows repeat another's key"):
        await mirror.manager.incremental_sync(CRSP)
    manifest = await mirror.storage.read_manifest("crsp")
    assert manifest is not None
    assert manifest.vintage == first.manifest.vintage
    assert (mirror.root / "wrds/crsp/daily/2024.parquet").read_bytes() == before
    [quarantined] = mirror.root.glob("quarantine/*_crsp_sync/2024.parquet.tmp")
    reason = json.loads((quarantined.parent / f"{quarantined.name}.reason.json").read_text("utf-8"))
    assert "repeat another's key" in reason["reason"]


@pytest.mark.covers("S5-16", "S5-90")
async def test_an_incremental_sync_adds_what_is_new(mirror: TestMirror, archive: Archive) -> None:
    archive.put(TABLE, prices(2022), prices(2023), modified="first")
    await mirror.manager.incremental_sync(CRSP)
    archive.put(
        TABLE,
        prices(2022),
        prices(2023),
        prices(2023, start=20_001),
        prices(2024),
        modified="second",
    )
    outcome = await mirror.manager.incremental_sync(CRSP)
    assert [entry.year for entry in outcome.copied] == [2023, 2024]
    assert archive.copied == [2022, 2023, 2023, 2024]
    rows = mirror.rows()
    assert len(rows) == 16
    assert rows.select("permno", "date").is_duplicated().sum() == 0


async def test_an_unchanged_table_costs_one_query(mirror: TestMirror, archive: Archive) -> None:
    await mirror.manager.full_sync(CRSP, 2022)
    archive.queries = 0
    mirror.clock.advance(hours=24)
    before = (await mirror.manager.incremental_sync(CRSP)).manifest
    assert archive.queries == 1
    assert before.synced_at == mirror.clock.now()


async def test_what_dead_writers_left_goes_although_nothing_is_new(mirror: TestMirror) -> None:
    await mirror.manager.full_sync(CRSP, 2024)
    left = mirror.root / "objects/crsp/daily/2024-of-a-killed-writer.parquet"
    left.write_bytes(b"")
    await mirror.manager.incremental_sync(CRSP)
    assert not left.exists()
    assert len(mirror.rows()) == 4


@pytest.mark.covers("S5-97")
async def test_a_partial_year_that_is_synced_again_has_no_row_twice(
    mirror: TestMirror, archive: Archive
) -> None:
    await mirror.manager.full_sync(CRSP, 2024)
    await mirror.manager.full_sync(CRSP, 2024)
    archive.put(TABLE, prices(2024, rows=6), modified="second")
    await mirror.manager.incremental_sync(CRSP)
    assert mirror.rows()["permno"].sort().to_list() == [10_001 + n for n in range(6)]


async def test_a_full_sync_that_finds_the_same_makes_no_second_vintage(
    mirror: TestMirror,
) -> None:
    first = (await mirror.manager.full_sync(CRSP, 2022)).manifest
    mirror.clock.advance(hours=1)
    second = (await mirror.manager.full_sync(CRSP, 2022)).manifest
    assert (second.vintage, second.previous) == (first.vintage, None)
    assert second.synced_at > first.synced_at
    assert await mirror.storage.vintages("crsp") == [first.vintage]


@pytest.mark.covers("S5-95", "S5-106")
async def test_an_interrupted_sync_shows_nothing_of_itself(
    mirror: TestMirror, archive: Archive
) -> None:
    await mirror.manager.full_sync(CRSP, 2022)
    before = mirror.rows().sort("date", "permno")
    archive.put(TABLE, *(prices(year, price=99) for year in (2022, 2023, 2024)), modified="second")
    archive.before_copy = failing(SourceUnavailableError("cut"), 2024)
    with pytest.raises(SourceUnavailableError):
        await mirror.manager.incremental_sync(CRSP)
    assert mirror.rows().sort("date", "permno").equals(before)
    archive.before_copy = None
    await mirror.manager.incremental_sync(CRSP)
    assert mirror.rows()["prc"].min() == 99


async def test_a_cancelled_sync_gives_the_lock_back_and_goes_on_later(
    mirror: TestMirror, archive: Archive
) -> None:
    reached = asyncio.Event()

    def stop(year: int) -> None:
        if year == 2023:
            reached.set()
            raise asyncio.CancelledError

    archive.before_copy = stop
    with pytest.raises(asyncio.CancelledError):
        await mirror.manager.full_sync(CRSP, 2022)
    assert reached.is_set()
    assert await mirror.locks.states() == []
    archive.before_copy = None
    await mirror.manager.full_sync(CRSP, 2022)
    assert archive.copied == [2022, 2023, 2024]


@pytest.mark.covers("S5-82", "S5-106")
async def test_readers_never_see_a_temporary_or_half_written_file(
    mirror: TestMirror, archive: Archive
) -> None:
    await mirror.manager.full_sync(CRSP, 2024)
    stop = asyncio.Event()
    sums: set[float] = set()

    def read() -> float:
        found = list((mirror.root / "wrds").rglob("*"))
        assert not [path for path in found if path.name.endswith(".parquet.tmp")]
        return float(mirror.rows()["prc"].sum())

    async def loop() -> None:
        while not stop.is_set():
            sums.add(await asyncio.to_thread(read))

    async with asyncio.TaskGroup() as group:
        group.create_task(loop())
        for price in range(20, 30):
            archive.put(TABLE, prices(2024, price=price), modified=str(price))
            mirror.clock.advance(seconds=1)
            await mirror.manager.incremental_sync(CRSP)
        stop.set()
    assert sums <= {4.0 * price + 6 for price in range(10, 30)}
    assert len(sums) > 1


@pytest.mark.covers("S5-33", "S5-34")
async def test_a_data_set_in_other_hands_is_left_alone(mirror: TestMirror) -> None:
    lock = AtomicFileLock(mirror.root / "locks", "crsp", clock=mirror.clock)
    token = lock.acquire(0)
    loop = asyncio.get_running_loop()
    moving = loop.call_later(0.05, lambda: mirror.clock.advance(seconds=60))
    with pytest.raises(LockAcquisitionError):
        await mirror.manager.full_sync(CRSP, 2022)
    moving.cancel()
    assert mirror.files() == []
    lock.release(token)


@pytest.mark.covers("S5-69", "S5-74", "S5-106")
async def test_a_writer_that_lost_its_lock_publishes_nothing(
    mirror: TestMirror, archive: Archive
) -> None:
    await mirror.manager.full_sync(CRSP, 2024)
    archive.put(TABLE, prices(2024, price=20), modified="second")
    successor = open_mirror(mirror.root, archive, clock=mirror.clock)
    entered = asyncio.Event()

    async def take_over() -> None:
        await successor.locks.force_unlock("crsp")
        archive.put(TABLE, prices(2024, price=30), modified="third")
        await successor.manager.incremental_sync(CRSP)

    real = archive.copy

    async def copy(*arguments: Any, **options: Any) -> Any:
        result = await real(*arguments, **options)
        if not entered.is_set():
            entered.set()
            await take_over()
        return result

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(archive, "copy", copy)
        with pytest.raises(LockLostError):
            await mirror.manager.incremental_sync(CRSP)
    assert mirror.rows()["prc"].min() == 30
    manifest = await mirror.storage.read_manifest("crsp")
    assert manifest is not None
    assert (manifest.fencing, manifest.source_modified) == (3, "third")
    assert progress(mirror).status == "completed"
    assert await mirror.verifier.verify_integrity(CRSP) == []


async def test_a_vanished_year_is_kept_and_told(mirror: TestMirror, archive: Archive) -> None:
    await mirror.manager.full_sync(CRSP, 2022)
    archive.put(TABLE, prices(2023), prices(2024), modified="second")
    with pytest.raises(ValidationError, match="no rows any more for 2022"):
        await mirror.manager.incremental_sync(CRSP)
    assert len(mirror.rows()) == 12


@pytest.mark.covers("S5-22")
async def test_a_partition_that_shrinks_too_much_is_refused(
    mirror: TestMirror, archive: Archive
) -> None:
    await mirror.manager.full_sync(CRSP, 2024)
    archive.put(TABLE, prices(2024, rows=3), modified="second")
    with pytest.raises(ValidationError, match="only 3 of 4 rows are left"):
        await mirror.manager.incremental_sync(CRSP)
    assert len(mirror.rows()) == 4


async def test_a_pinned_vintage_stays_readable_while_newer_ones_come(
    mirror: TestMirror, archive: Archive
) -> None:
    pinned = (await mirror.manager.full_sync(CRSP, 2024)).manifest
    for price in (20, 30):
        mirror.clock.advance(hours=1)
        archive.put(TABLE, prices(2024, price=price), modified=str(price))
        await mirror.manager.incremental_sync(CRSP)
    old = await mirror.storage.read_manifest("crsp", pinned.vintage)
    assert old == pinned
    rows = pl.read_parquet([mirror.root / entry.object for entry in old.partitions])
    assert rows["prc"].min() == 10
    assert mirror.rows()["prc"].min() == 30


async def test_superseded_vintages_are_purged(mirror: TestMirror, archive: Archive) -> None:
    for price in range(10, 16):
        mirror.clock.advance(hours=1)
        archive.put(TABLE, prices(2023), prices(2024, price=price), modified=str(price))
        await mirror.manager.incremental_sync(CRSP)
    assert len(await mirror.storage.vintages("crsp")) == 4
    assert len(mirror.files("objects/crsp/daily/2024-*.parquet")) == 4
    assert len(mirror.files("objects/crsp/daily/2023-*.parquet")) == 1
