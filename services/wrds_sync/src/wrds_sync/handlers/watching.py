"""Looks after the mirror between syncs: disk, locks, log-on, freshness, backup, quarantine."""

from collections.abc import Callable
from datetime import datetime, timedelta

from chassis.clock import Clock
from chassis.logs import get_logger
from wrds_sync import metrics
from wrds_sync.domain.alerts import Alert
from wrds_sync.domain.datasets import Dataset, is_frozen
from wrds_sync.domain.disk import DiskLevel, assess
from wrds_sync.domain.lateness import is_late
from wrds_sync.domain.locks import LOCK_TIMEOUT
from wrds_sync.errors import ManifestError
from wrds_sync.handlers.alerts import alert, alert_disk
from wrds_sync.ports import Backup, Credentials, Locks, SessionCalendar, Storage

CREDENTIAL_WARNING = timedelta(days=30)
REPEAT_AFTER = timedelta(hours=1)
"""An alert that lasts is told again that often; the metrics say it all the time."""


class Repeats:
    """Keeps what lasts from being told at every look."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._told: dict[str, datetime] = {}

    def is_due(self, key: str, *, lasts: bool = True) -> bool:
        """Return whether to tell; something that has ended will be told at once the next time."""
        if not lasts:
            self._told.pop(key, None)
            return False
        now = self._clock.now()
        if key in self._told and now - self._told[key] < REPEAT_AFTER:
            return False
        self._told[key] = now
        return True


class Watch:
    """One look at everything."""

    def __init__(
        self,
        datasets: Callable[[], list[Dataset]],
        storage: Storage,
        locks: Locks,
        *,
        calendar: SessionCalendar,
        credentials: Credentials | None,
        clock: Clock,
        quarantine_days: int,
    ) -> None:
        self._datasets = datasets
        self._storage = storage
        self._locks = locks
        self._calendar = calendar
        self._credentials = credentials
        self._clock = clock
        self._quarantine_days = quarantine_days
        self._repeats = Repeats(clock)

    async def look(self) -> None:
        """Measure everything, and raise the alerts that are due."""
        await self.look_at_disk()
        await self.look_at_locks()
        self.look_at_credentials()
        await self.look_at_freshness()
        before = self._clock.now() - timedelta(days=self._quarantine_days)
        if removed := await self._storage.purge_quarantine(before=before):
            get_logger().info("quarantine_purged", folders=removed)

    async def look_at_disk(self) -> None:
        """Measure the disk (S5-42 … S5-44)."""
        status = assess(await self._storage.disk(), 0)
        for level in DiskLevel:
            lasts = level is status.level and level is not DiskLevel.OK
            if self._repeats.is_due(f"disk/{level.value}", lasts=lasts):
                alert_disk(status)
        metrics.DISK_USED.set(status.usage.used_share)
        metrics.DISK_FREE.set(status.usage.free_bytes)

    async def look_at_locks(self) -> None:
        """Find locks whose writer has not refreshed them for four hours (S5-45, C-36)."""
        now = self._clock.now()
        states = {state.dataset: state for state in await self._locks.states()}
        for name in {item.name for item in self._datasets()} | set(states):
            state = states.get(name)
            age = now - state.token.refreshed_at if state and state.token else timedelta()
            metrics.LOCK_AGE.labels(name).set(max(age.total_seconds(), 0))
            is_old = age > LOCK_TIMEOUT or (state is not None and state.token is None)
            if state and self._repeats.is_due(f"lock/{name}", lasts=is_old):
                alert(
                    Alert.LOCK_STALE,
                    dataset=name,
                    age_seconds=round(age.total_seconds()),
                    reason=state.reason,
                )

    def look_at_credentials(self) -> None:
        """Say when the log-on ends soon (S5-48)."""
        expires_at = self._credentials.read().expires_at if self._credentials else None
        if expires_at is None:
            return
        metrics.CREDENTIAL_EXPIRES.set(expires_at.timestamp())
        remaining = expires_at - self._clock.now()
        if self._repeats.is_due("credential", lasts=remaining < CREDENTIAL_WARNING):
            alert(Alert.CREDENTIAL_EXPIRING, days=remaining.days, expires_at=expires_at)

    async def look_at_freshness(self) -> None:
        """Find what is late at 8 AM ET (S5-51), and feeds that have stopped to move."""
        now = self._clock.now()
        session = await self._calendar.last_session_due(now)
        for dataset in self._datasets():
            metrics.begin_dataset(dataset.name)
            synced_at, seen_at = await self._synced_at(dataset.name)
            late = (
                dataset.is_daily and session is not None and is_late(session, synced_at=synced_at)
            )
            metrics.DATA_LATE.labels(dataset.name).set(late)
            if synced_at:
                metrics.SYNCED_AT.labels(dataset.name).set(synced_at.timestamp())
            if self._repeats.is_due(f"late/{dataset.name}", lasts=late):
                alert(Alert.DATA_LATE, dataset=dataset.name, session=session, synced_at=synced_at)
            frozen = is_frozen(dataset, seen_at=seen_at, now=now)
            metrics.FROZEN.labels(dataset.name).set(frozen)
            if self._repeats.is_due(f"frozen/{dataset.name}", lasts=frozen):
                get_logger().warning(
                    "feed_frozen", outcome="warning", dataset=dataset.name, since=seen_at
                )

    async def _synced_at(self, dataset: str) -> tuple[datetime | None, datetime | None]:
        try:
            manifest = await self._storage.read_manifest(dataset)
        except ManifestError as error:
            if self._repeats.is_due(f"manifest/{dataset}"):
                alert(Alert.MANIFEST_MISMATCH, dataset=dataset, problems=[error.message])
            return None, None
        if manifest is None or not manifest.is_complete:
            return None, None
        return manifest.synced_at, manifest.source_modified_seen_at


async def back_up(backup: Backup, clock: Clock) -> int:
    """Copy the mirror elsewhere; return rclone's exit code (S5-47)."""
    code = await backup.run()
    metrics.BACKUP_EXIT.set(code)
    if code != 0:
        alert(Alert.BACKUP_FAILED, exit_code=code)
    else:
        metrics.BACKUP_AT.set(clock.now().timestamp())
        get_logger().info("backup_completed")
    return code
