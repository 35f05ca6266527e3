import json
import os
import socket
import uuid
from datetime import timedelta
from pathlib import Path

import pytest

from tests.support.clocks import HandClock
from tests.support.wrds_mirror import NOW
from wrds_sync.adapters.file_lock import AtomicFileLock, atomic_lock
from wrds_sync.adapters.processes import process_mark
from wrds_sync.errors import (
    LockAcquisitionError,
    LockLostError,
    LockRecoveryError,
    MalformedLockFileError,
)

NOBODY = 2**22 + 1
"""Above the largest PID that Linux gives."""


def lay(folder: Path, **changes: object) -> Path:
    """Write a lock file as another writer would have."""
    token: dict[str, object] = {
        "dataset": "crsp",
        "writer_id": str(uuid.uuid4()),
        "pid": os.getppid(),
        "hostname": socket.gethostname(),
        "process_mark": None,
        "fencing": 1,
        "lease_token": None,
        "acquired_at": NOW.isoformat(),
        "refreshed_at": NOW.isoformat(),
        "expires_at": (NOW + timedelta(hours=4)).isoformat(),
    }
    path = folder / "crsp.lock"
    path.write_text(json.dumps(token | changes), "utf-8")
    return path


def open_lock(folder: Path, clock: HandClock | None = None, **more: object) -> AtomicFileLock:
    lease = more.get("lease_token")
    assert lease is None or isinstance(lease, int)
    return AtomicFileLock(
        folder, "crsp", lease_token=lease, clock=clock or HandClock(NOW), sleep=lambda _: None
    )


def _named(descriptor: int) -> str:
    return str(Path(f"/proc/self/fd/{descriptor}").readlink())


@pytest.mark.covers("S5-01", "S5-02", "S5-61")
def test_a_free_lock_is_taken(tmp_path: Path) -> None:
    token = open_lock(tmp_path).acquire(0)
    assert (tmp_path / "crsp.lock").exists()
    assert token.pid == os.getpid()
    assert token.expires_at - token.acquired_at == timedelta(hours=4)


@pytest.mark.covers("S5-62", "S5-34")
def test_a_lock_that_a_living_process_holds_is_not_taken(tmp_path: Path) -> None:
    before = lay(tmp_path).read_text("utf-8")
    clock = HandClock(NOW)
    lock = AtomicFileLock(
        tmp_path, "crsp", clock=clock, sleep=lambda seconds: clock.advance(seconds=seconds)
    )
    with pytest.raises(LockAcquisitionError, match="held by process"):
        lock.acquire()
    assert 30 <= clock.seconds < 31
    assert (tmp_path / "crsp.lock").read_text("utf-8") == before


@pytest.mark.covers("S5-63")
def test_a_released_lock_is_gone(tmp_path: Path) -> None:
    lock = open_lock(tmp_path)
    lock.release(lock.acquire(0))
    assert list(tmp_path.glob("*.lock*")) == []
    assert open_lock(tmp_path).acquire(0).fencing == 2


@pytest.mark.covers("S5-04", "S5-64")
def test_a_lock_past_its_expiry_is_stale(tmp_path: Path) -> None:
    lay(tmp_path, hostname="elsewhere")
    clock = HandClock(NOW)
    clock.advance(hours=4)
    assert open_lock(tmp_path, clock).staleness() == (True, "expired")
    assert open_lock(tmp_path, clock).acquire(0).hostname == socket.gethostname()


@pytest.mark.covers("S5-04", "S5-06")
def test_a_lock_of_another_host_is_judged_by_time_only(tmp_path: Path) -> None:
    lay(tmp_path, hostname="elsewhere", pid=NOBODY)
    clock = HandClock(NOW)
    clock.advance(hours=3, minutes=59)
    assert open_lock(tmp_path, clock).staleness() == (False, "held")


@pytest.mark.covers("S5-05", "S5-65", "S5-35")
def test_the_lock_of_a_dead_process_is_recovered(tmp_path: Path) -> None:
    lay(tmp_path, pid=NOBODY)
    lock = open_lock(tmp_path)
    assert lock.staleness() == (True, "process dead")
    assert lock.acquire(0).pid == os.getpid()
    assert list(tmp_path.glob("*.recovery.*")) == []


@pytest.mark.covers("S5-66", "C-35")
def test_our_own_number_in_a_lock_that_we_did_not_write_is_a_dead_writers(tmp_path: Path) -> None:
    lay(tmp_path, pid=os.getpid())
    assert open_lock(tmp_path).staleness() == (True, "process id re-used")


@pytest.mark.covers("S5-66", "C-35")
def test_a_number_that_another_process_has_now_is_a_dead_writers(tmp_path: Path) -> None:
    mark = process_mark(os.getppid())
    assert mark is not None
    lay(tmp_path, process_mark=f"{mark}9")
    assert open_lock(tmp_path).staleness() == (True, "process id re-used")


@pytest.mark.covers("C-35")
def test_a_process_of_another_pod_is_not_looked_for_here(tmp_path: Path) -> None:
    lay(tmp_path, pid=NOBODY, process_mark="boot/pid:[1]/77")
    assert open_lock(tmp_path).staleness() == (False, "held")


@pytest.mark.covers("C-35")
def test_a_higher_lease_ends_the_lock_of_a_lower_one(tmp_path: Path) -> None:
    lay(tmp_path, hostname="elsewhere", lease_token=6)
    assert open_lock(tmp_path, lease_token=6).staleness() == (False, "held")
    assert open_lock(tmp_path, lease_token=7).staleness() == (True, "lease taken over")


@pytest.mark.covers("S5-07", "S5-67")
@pytest.mark.parametrize("text", ["", "{", "[]", '{"dataset": "crsp"}'])
def test_a_file_that_is_no_lock_is_refused_by_the_reader(tmp_path: Path, text: str) -> None:
    (tmp_path / "crsp.lock").write_text(text, "utf-8")
    with pytest.raises(MalformedLockFileError):
        open_lock(tmp_path).read()


@pytest.mark.covers("S5-68")
def test_a_lock_with_unknown_fields_is_refused(tmp_path: Path) -> None:
    lay(tmp_path, comment="mine")
    with pytest.raises(MalformedLockFileError):
        open_lock(tmp_path).read()


def test_a_lock_of_another_data_set_is_refused(tmp_path: Path) -> None:
    lay(tmp_path, dataset="compustat")
    with pytest.raises(MalformedLockFileError, match="compustat"):
        open_lock(tmp_path).read()


@pytest.mark.covers("S5-36", "C-34")
def test_a_malformed_lock_is_moved_aside_and_the_lock_taken(tmp_path: Path) -> None:
    (tmp_path / "crsp.lock").write_text("not ours", "utf-8")
    token = open_lock(tmp_path).acquire(0)
    assert open_lock(tmp_path).read() == token
    [aside] = tmp_path.glob("crsp.lock.malformed.*")
    assert aside.read_text("utf-8") == "not ours"


@pytest.mark.covers("S5-69")
def test_a_foreign_token_releases_nothing(tmp_path: Path) -> None:
    lock = open_lock(tmp_path)
    token = lock.acquire(0)
    with pytest.raises(LockLostError):
        lock.release(token.model_copy(update={"writer_id": "somebody else"}))
    with pytest.raises(LockLostError):
        lock.release(token.model_copy(update={"fencing": token.fencing - 1}))
    assert lock.read() == token


@pytest.mark.covers("S5-02", "S5-70")
def test_a_refresh_moves_the_expiry(tmp_path: Path) -> None:
    clock = HandClock(NOW)
    lock = open_lock(tmp_path, clock)
    token = lock.acquire(0)
    clock.advance(seconds=AtomicFileLock.REFRESH_INTERVAL_SECONDS)
    renewed = lock.refresh(token)
    assert renewed.expires_at == token.expires_at + timedelta(seconds=60)
    assert renewed.acquired_at == token.acquired_at
    assert lock.read() == renewed
    lock.release(token)  # the acquisition is what counts, not the refresh


def test_a_lost_lock_is_not_refreshed(tmp_path: Path) -> None:
    lock = open_lock(tmp_path)
    token = lock.acquire(0)
    assert open_lock(tmp_path).force_unlock() == token
    with pytest.raises(LockLostError):
        lock.refresh(token)


@pytest.mark.covers("S5-03", "S5-71")
def test_the_lock_is_on_stable_storage_before_it_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        synced.append(_named(descriptor))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    open_lock(tmp_path).acquire(0)
    assert synced == [str(tmp_path / "crsp.guard"), str(tmp_path / "crsp.lock"), str(tmp_path)]


def test_a_lock_that_cannot_be_synced_is_not_left_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.fsync

    def fsync(descriptor: int) -> None:
        if _named(descriptor).endswith(".lock"):
            raise OSError(5, "Input/output error")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(OSError, match="Input/output"):
        open_lock(tmp_path).acquire(0)
    assert not (tmp_path / "crsp.lock").exists()


def test_fencing_tokens_grow_and_exceed_what_a_manifest_has_seen(tmp_path: Path) -> None:
    lock = open_lock(tmp_path)
    first = lock.acquire(0)
    lock.release(first)
    second = lock.acquire(0, above=41)
    lock.release(second)
    assert [first.fencing, second.fencing, lock.acquire(0).fencing] == [1, 42, 43]


@pytest.mark.covers("S5-07")
def test_a_stale_lock_that_cannot_be_moved_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lay(tmp_path, pid=NOBODY)

    def rename(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "rename", rename)
    with pytest.raises(LockRecoveryError, match="Permission denied"):
        open_lock(tmp_path).acquire(0)


@pytest.mark.covers("S5-02")
def test_the_context_manager_gives_the_lock_back(tmp_path: Path) -> None:
    with atomic_lock(tmp_path, "crsp", writer_id="me", timeout_seconds=0) as token:
        assert token.writer_id == "me"
        assert (tmp_path / "crsp.lock").exists()
    assert not (tmp_path / "crsp.lock").exists()


def test_the_context_manager_survives_a_lost_lock(tmp_path: Path) -> None:
    with atomic_lock(tmp_path, "crsp", timeout_seconds=0):
        open_lock(tmp_path).force_unlock()
    assert not (tmp_path / "crsp.lock").exists()


def test_forcing_a_malformed_lock_moves_it_aside(tmp_path: Path) -> None:
    (tmp_path / "crsp.lock").write_text("?", "utf-8")
    assert open_lock(tmp_path).force_unlock() is None
    assert open_lock(tmp_path).acquire(0).fencing == 1
