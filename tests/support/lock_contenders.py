"""Writers in processes of their own, for tests of what no single process can show."""

import contextlib
import multiprocessing
import os
import socket
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

from wrds_sync.adapters.file_lock import AtomicFileLock
from wrds_sync.domain.locks import LockToken
from wrds_sync.errors import LockAcquisitionError, LockLostError

# A fork would share our locks' memory; a new interpreter shares what other hosts share.
SPAWN = multiprocessing.get_context("spawn")
PATIENCE_SECONDS = 60.0
DEAD_PID = 2**22 + 1


def lay_stale_lock(folder: Path, fencing: int) -> None:
    """Write the lock of a process that died."""
    now = datetime.now(UTC)  # noqa: TID251 - what another process wrote
    token = LockToken(
        dataset="crsp",
        writer_id=f"dead-{fencing}",
        pid=DEAD_PID,
        hostname=socket.gethostname(),
        fencing=fencing,
        acquired_at=now,
        refreshed_at=now,
        expires_at=now + timedelta(hours=4),
    )
    draft = folder / "draft"
    draft.write_text(token.model_dump_json(), "utf-8")
    draft.rename(folder / "crsp.lock")


def race(folder: Path, rounds: int, barrier: Barrier, results: Connection) -> None:
    """Try once a round, all at the same moment; the winner holds until everybody has tried."""
    lock = AtomicFileLock(folder, "crsp")
    won: list[tuple[int, int]] = []
    for number in range(rounds):
        barrier.wait(PATIENCE_SECONDS)
        token: LockToken | None = None
        with contextlib.suppress(LockAcquisitionError):
            token = lock.acquire(0)
        barrier.wait(PATIENCE_SECONDS)
        if token is not None:
            won.append((number, token.fencing))
            lock.release(token)
            if number + 1 < rounds:
                lay_stale_lock(folder, token.fencing)
    results.send(won)


def take_turns(folder: Path, rounds: int, barrier: Barrier, results: Connection) -> None:
    """Take the lock again and again; note what is seen of others while holding it."""
    lock = AtomicFileLock(folder, "crsp")
    seen: list[tuple[int, bool]] = []
    barrier.wait(PATIENCE_SECONDS)
    for _ in range(rounds):
        token = lock.acquire(PATIENCE_SECONDS)
        busy = folder / "busy"
        is_alone = not busy.exists()
        busy.write_text(str(os.getpid()), "ascii")
        is_alone = is_alone and busy.read_text("ascii") == str(os.getpid())
        busy.unlink()
        seen.append((token.fencing, is_alone))
        lock.release(token)
    results.send(seen)


class ShortLock(AtomicFileLock):
    """A lock that expires after half a second."""

    LOCK_TIMEOUT_HOURS = 0.5 / 3600  # type: ignore[assignment]


def write_when_told(folder: Path, results: Connection) -> None:
    """Take the lock, say so, and write below it as soon as we are told, however late that is."""
    lock = ShortLock(folder, "crsp")
    token = lock.acquire(PATIENCE_SECONDS)
    results.send(token.fencing)
    results.recv()
    outcomes = {}
    for name, action in (
        ("write", lambda: _write(lock, token, folder)),
        ("refresh", lambda: lock.refresh(token)),
        ("release", lambda: lock.release(token)),
    ):
        try:
            action()
        except LockLostError:
            outcomes[name] = "lost"
        else:
            outcomes[name] = "done"
    results.send(outcomes)


def _write(lock: AtomicFileLock, token: LockToken, folder: Path) -> None:
    with lock.guarding(token):
        (folder / "written").write_text(str(token.fencing), "ascii")


def run_together(
    work: Callable[[Path, int, Barrier, Connection], None], folder: Path, *, count: int, rounds: int
) -> list[list[Any]]:
    """Run contenders and return what each reports."""
    barrier = SPAWN.Barrier(count)
    started = []
    for _ in range(count):
        here, there = SPAWN.Pipe()
        process = SPAWN.Process(target=work, args=(folder, rounds, barrier, there), daemon=True)
        process.start()
        started.append((process, here))
    reports = []
    try:
        for _, here in started:
            assert here.poll(PATIENCE_SECONDS + rounds), "a contender did not report"
            reports.append(here.recv())
    finally:
        for process, _ in started:
            process.join(5)
            process.kill()
    return reports


def wait_until_stopped(pid: int) -> None:
    """Return when the process is really stopped."""
    for _ in range(500):
        state = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()[0]
        if state == "T":
            return
        time.sleep(0.01)
    raise AssertionError("the process did not stop")
