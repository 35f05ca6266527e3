"""Real causes of the ten alerts of the WRDS mirror: a small disk, an archive, a dead writer."""

import asyncio
import contextlib
import os
import subprocess
import time
from collections.abc import Generator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import yaml

from contracts.commands import WrdsSyncRequested
from contracts.topics import WRDS_SYNC_REQUESTED
from penstock.demo.own_databases import OwnDatabase
from tests.chaos.monitored import MonitoredHub
from tests.chaos.scene import Scene, Told
from tests.support.errors import MissingServerError
from tests.support.wrds_server import WrdsServer
from wrds_sync.domain.locks import LockToken

DATASET = "crsp_daily"
_DATASETS = {
    "version": 1,
    "datasets": [
        {
            "name": DATASET,
            "vendor": "crsp",
            "frequency": "daily",
            "table": "crsp.dsf",
            "date_column": "date",
            "start_year": 2023,
            "rules": {"key": ["permno", "date"], "required": ["permno", "date"]},
        }
    ],
}
_DISK_BYTES = 32 * 2**20


@contextlib.contextmanager
def small_disk(folder: Path) -> Generator[Path]:
    """Yield a file system that can be filled."""
    if os.geteuid() != 0:
        raise MissingServerError("This test mounts a small file system: run it as root.")
    folder.mkdir()
    size = f"size={_DISK_BYTES}"
    subprocess.run(["mount", "-t", "tmpfs", "-o", size, "tmpfs", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


class WrdsCauses(Scene):
    """A mirror of its own, in the place of the demo's."""

    def __init__(self, hub: MonitoredHub, told: Told, disk: Path) -> None:
        super().__init__(hub, told)
        self._disk = disk
        self._mirror = disk / "mirror"
        self._secrets = hub.folder / "wrds-secrets"
        self._archive_url = ""
        self._changes: dict[str, str | None] = {}

    def all(self) -> None:
        """Bring about everything, in about three minutes of which most are waiting for looks."""
        self.mirror_nothing_yet()
        self.slow_the_archive_down()
        self.damage_a_file()
        self.lose_a_file()
        self.leave_old_things()
        self.fill_the_disk()
        self.hub.restart("wrds_sync")

    def mirror_nothing_yet(self) -> None:
        """A data set that is due every day, and was never synced."""
        server = asyncio.run(self._make_archive())
        late = self.expect("WrdsSyncDataLate")
        self.hub.kill("wrds_sync")
        self._configure(server)
        self._start(WRDS_SYNC_BACKUP_REMOTE=str(self.hub.folder / "backup"))
        late.wait()

    def slow_the_archive_down(self) -> None:
        """Somebody locks the archive's table for a while."""
        breach = self.expect("WrdsSyncDurationSloBreach")

        def ask() -> str:
            command = self.ask(WRDS_SYNC_REQUESTED, WrdsSyncRequested, dataset=DATASET, mode="full")
            breach.wait()
            return command

        command = self.while_locked("crsp_store.dsf", ask, url=self._archive_url)
        assert self.follow(command) == "completed"
        self._verify()  # an unharmed mirror raises nothing

    def damage_a_file(self) -> None:
        """A disk that gives back other bytes than it was given."""
        mismatch = self.expect("WrdsSyncChecksumMismatch")
        victim = self._objects()[0]
        data = bytearray(victim.read_bytes())
        data[len(data) // 2] ^= 0xFF
        victim.write_bytes(data)
        self._verify()
        mismatch.wait()

    def lose_a_file(self) -> None:
        """Somebody tidies up in the mirror."""
        mismatch = self.expect("WrdsSyncManifestMismatch")
        self._objects()[-1].unlink()
        self._verify()
        mismatch.wait()

    def leave_old_things(self) -> None:
        """A writer that hung hours ago, a password of last season, a backup to nowhere."""
        old = self.expect("WrdsSyncLockStale", "WrdsSyncCredentialExpiring", "WrdsSyncBackupFailed")
        self._leave_lock(hours=5)
        written = time.time() - timedelta(days=160).total_seconds()
        os.utime(self._secrets / "WRDS_PASSWORD", (written, written))
        self.hub.kill("wrds_sync")
        self._start(WRDS_SYNC_BACKUP_REMOTE="nowhere:wrds")
        old.wait()

    def fill_the_disk(self) -> None:
        """Other files take the room, more and more of it."""
        for alert, share in (
            ("WrdsSyncDiskWarning", 0.85),
            ("WrdsSyncDiskCritical", 0.93),
            ("WrdsSyncDiskBlocked", 0.97),
        ):
            filled = self.expect(alert)
            self._fill(share)
            filled.wait()

    # --- means
    async def _make_archive(self) -> WrdsServer:
        url = self.hub.env["DATABASE_URL"]
        database = await OwnDatabase.create(url, "test_archive")
        server = await WrdsServer.create(database.url)
        await server.fill_daily(date(2023, 12, 1), date(2024, 1, 31), securities=2)
        self._archive_url = database.url
        return server

    def _configure(self, server: WrdsServer) -> None:
        config = self.hub.config
        (config / "datasets.yaml").write_text(yaml.safe_dump(_DATASETS), "utf-8")
        self._secrets.mkdir()
        secret = self._secrets / "WRDS_PASSWORD"
        secret.touch(mode=0o600)
        secret.write_text(server.env["WRDS_PASSWORD"], "utf-8")
        self._changes = {
            **server.env,
            "WRDS_PASSWORD": None,
            "PENSTOCK_SECRETS_DIR": str(self._secrets),
            "WRDS_SYNC_STORAGE_PATH": str(self._mirror),
        }

    def _start(self, **changes: str) -> None:
        self.hub.start("wrds_sync", **self._changes, **changes)

    def _verify(self) -> None:
        command = self.ask(WRDS_SYNC_REQUESTED, WrdsSyncRequested, dataset=DATASET, mode="verify")
        self.follow(command)

    def _objects(self) -> list[Path]:
        return sorted((self._mirror / "objects").rglob("*.parquet"))

    def _leave_lock(self, *, hours: float) -> None:
        written = datetime.now(UTC) - timedelta(hours=hours)  # noqa: TID251 - of a real file
        token = LockToken(
            dataset=DATASET,
            writer_id="a-writer-that-hangs",
            pid=4711,
            hostname="another-host",
            fencing=1,
            acquired_at=written,
            refreshed_at=written,
            expires_at=written + timedelta(hours=4),
        )
        (self._mirror / "locks" / f"{DATASET}.lock").write_text(token.model_dump_json(), "utf-8")

    def _fill(self, share: float) -> None:
        state = os.statvfs(self._disk)
        used = (state.f_blocks - state.f_bavail) * state.f_frsize
        missing = int(state.f_blocks * state.f_frsize * share) - used
        with (self._disk / "others").open("ab") as file:
            file.write(b"\0" * missing)
