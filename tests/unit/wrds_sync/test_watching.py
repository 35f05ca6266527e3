import asyncio
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
import structlog

from tests.support.wrds_archive import Archive, prices
from tests.support.wrds_mirror import CRSP, NOW, TestMirror, open_mirror
from wrds_sync import metrics
from wrds_sync.adapters.authority import NoAuthority
from wrds_sync.adapters.file_lock import AtomicFileLock
from wrds_sync.domain.disk import DiskUsage
from wrds_sync.domain.tables import Credential
from wrds_sync.handlers.sessions import Sessions
from wrds_sync.handlers.watching import Watch, back_up

TABLE = "crsp.dsf"


@dataclass
class FixedCalendar:
    session: date | None = None

    async def last_session_due(self, now: datetime) -> date | None:
        del now
        return self.session


@dataclass
class FixedCredentials:
    expires_at: datetime | None = None

    def read(self) -> Credential:
        return Credential("somebody", "secret", self.expires_at)


@dataclass
class FixedBackup:
    code: int

    async def run(self) -> int:
        return self.code

    async def restore(self, target: Path) -> int:
        del target
        return self.code


@pytest.fixture
def mirror(tmp_path: Path) -> TestMirror:
    archive = Archive()
    archive.put(TABLE, prices(2024), modified="first")
    return open_mirror(tmp_path, archive)


def watch(
    mirror: TestMirror,
    *,
    session: date | None = None,
    expires_at: datetime | None = None,
    frozen_after_days: int | None = None,
) -> Watch:
    dataset = replace(CRSP, frozen_after_days=frozen_after_days)
    return Watch(
        lambda: [dataset],
        mirror.storage,
        mirror.locks,
        calendar=FixedCalendar(session),
        credentials=FixedCredentials(expires_at),
        clock=mirror.clock,
        quarantine_days=7,
    )


async def told(looking: Watch) -> list[str]:
    with structlog.testing.capture_logs() as logs:
        await looking.look()
    return [line["event"] for line in logs]


async def test_a_mirror_in_order_raises_nothing(mirror: TestMirror) -> None:
    await mirror.manager.full_sync(CRSP, 2024)
    assert await told(watch(mirror, session=date(2024, 2, 29))) == []


@pytest.mark.covers("S5-45", "C-36")
async def test_a_lock_that_is_refreshed_is_never_old_and_one_that_is_not_becomes_stale(
    mirror: TestMirror,
) -> None:
    lock = AtomicFileLock(mirror.root / "locks", "crsp", clock=mirror.clock)
    token = lock.acquire(0)
    looking = watch(mirror)
    for _ in range(5):
        mirror.clock.advance(hours=1)
        token = lock.refresh(token)
    assert await told(looking) == []
    mirror.clock.advance(hours=4, seconds=1)
    assert await told(looking) == ["sync.lock.stale"]
    assert metrics.LOCK_AGE.labels("crsp")._value.get() == 4 * 3600 + 1
    lock.force_unlock()
    assert await told(looking) == []
    assert metrics.LOCK_AGE.labels("crsp")._value.get() == 0


@pytest.mark.covers("S5-48")
async def test_a_log_on_that_ends_within_thirty_days_is_told(mirror: TestMirror) -> None:
    assert await told(watch(mirror, expires_at=NOW + timedelta(days=30))) == []
    assert await told(watch(mirror, expires_at=NOW + timedelta(days=29))) == [
        "sync.credential.expiring"
    ]


@pytest.mark.covers("S5-51")
async def test_a_mirror_that_nobody_synced_since_the_session_is_late(mirror: TestMirror) -> None:
    await mirror.manager.full_sync(CRSP, 2024)
    mirror.clock.advance_to(datetime(2024, 3, 5, 14, tzinfo=UTC))
    looking = watch(mirror, session=date(2024, 3, 4))
    assert await told(looking) == ["sync.data.late"]
    assert metrics.DATA_LATE.labels("crsp")._value.get() == 1
    await mirror.manager.incremental_sync(CRSP)
    assert await told(looking) == []
    assert metrics.DATA_LATE.labels("crsp")._value.get() == 0


async def test_an_alert_that_lasts_is_repeated_after_an_hour(mirror: TestMirror) -> None:
    looking = watch(mirror, session=date(2024, 2, 29))
    assert await told(looking) == ["sync.data.late"]
    mirror.clock.advance(minutes=59)
    assert await told(looking) == []
    mirror.clock.advance(minutes=1)
    assert await told(looking) == ["sync.data.late"]


async def test_a_feed_that_does_not_move_is_told(mirror: TestMirror) -> None:
    await mirror.manager.full_sync(CRSP, 2024)
    looking = watch(mirror, frozen_after_days=90)
    mirror.clock.advance(hours=24 * 90)
    await mirror.manager.incremental_sync(CRSP)
    assert await told(looking) == []
    mirror.clock.advance(hours=1)
    assert await told(looking) == ["feed_frozen"]


async def test_a_table_without_a_date_of_its_own_is_not_frozen_while_it_changes(
    tmp_path: Path,
) -> None:
    archive = Archive()
    mirror = open_mirror(tmp_path, archive)
    for price in (10, 20):
        archive.put(TABLE, prices(2024, price=price))
        await mirror.manager.incremental_sync(CRSP)
        mirror.clock.advance(hours=24 * 60)
    looking = watch(mirror, frozen_after_days=90)
    assert await told(looking) == []
    mirror.clock.advance(hours=24 * 31)
    assert await told(looking) == ["feed_frozen"]


@pytest.mark.covers("S5-42")
async def test_a_full_disk_is_told_between_syncs_too(mirror: TestMirror) -> None:
    looking = watch(mirror)
    mirror.storage.usage = DiskUsage(total_bytes=1000, free_bytes=150)
    assert await told(looking) == ["sync.disk.warning"]
    mirror.storage.usage = DiskUsage(total_bytes=1000, free_bytes=90)
    assert await told(looking) == ["sync.disk.critical"]


@pytest.mark.covers("S5-21")
async def test_quarantined_files_are_purged_after_a_week(mirror: TestMirror) -> None:
    bad = mirror.root / "bad.parquet"
    bad.write_bytes(b"?")
    place = await mirror.storage.quarantine(bad, operation="crsp_sync", reason="for a test")
    assert place == mirror.root / "quarantine/2024-03-01T12-00-00_crsp_sync"
    mirror.clock.advance(hours=24 * 7)
    assert await told(watch(mirror)) == []
    assert place.exists()
    mirror.clock.advance(seconds=1)
    assert await told(watch(mirror)) == ["quarantine_purged"]
    assert not place.exists()


@pytest.mark.covers("S5-47")
async def test_a_backup_that_fails_is_told(mirror: TestMirror) -> None:
    with structlog.testing.capture_logs() as logs:
        assert await back_up(FixedBackup(0), mirror.clock) == 0
        assert await back_up(FixedBackup(3), mirror.clock) == 3
    assert [line["event"] for line in logs] == ["backup_completed", "sync.backup.failed"]
    assert metrics.BACKUP_AT._value.get() == NOW.timestamp()


@pytest.mark.covers("S5-49")
async def test_a_manifest_that_cannot_be_read_is_told(mirror: TestMirror) -> None:
    await mirror.manager.full_sync(CRSP, 2024)
    (mirror.root / "manifests/crsp.json").write_text("{", "utf-8")
    assert "sync.manifest.mismatch" in await told(watch(mirror))


@pytest.mark.covers("S5-50")
@pytest.mark.parametrize(("mode", "hours"), [("full", 4), ("incremental", 1)])
async def test_a_sync_that_takes_too_long_is_told_once(
    mirror: TestMirror, monkeypatch: pytest.MonkeyPatch, mode: str, hours: int
) -> None:
    naps = 0

    is_open = asyncio.Event()

    async def nap(_: float) -> None:
        nonlocal naps
        await is_open.wait()  # waiting for the lock must not see hours go by
        naps += 1
        mirror.clock.advance(hours=hours / 2)
        if naps > 4:
            await asyncio.Event().wait()

    monkeypatch.setattr(asyncio, "sleep", nap)
    opened = Sessions(
        mirror.locks, NoAuthority(), mirror.storage, clock=mirror.clock, refresh_seconds=1e9
    )
    with structlog.testing.capture_logs() as logs:
        async with opened.open(CRSP, mode):
            is_open.set()
            while naps < 4:
                await asyncio.to_thread(lambda: None)
    breaches = [line for line in logs if line["event"] == "sync.duration.slo_breach"]
    assert len(breaches) == 1
    assert breaches[0]["limit_seconds"] == hours * 3600
