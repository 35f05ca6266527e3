"""One writer a data set, by a file on the volume that the writers share (S5-01 … S5-07).

`O_CREAT|O_EXCL` decides who holds; the file says who that is. Everything that changes a lock file
happens inside a short critical section under the kernel's lock on `<dataset>.guard`. So a judgement
("stale", "mine") still holds when it is acted upon, and a writer that is stopped past its expiry
and continued finds out before it writes. The guard also holds the counter of fencing tokens.
"""

import contextlib
import errno
import fcntl
import os
import random
import socket
import time
import uuid
from collections.abc import Callable, Generator
from datetime import timedelta
from pathlib import Path

from pydantic import ValidationError

from chassis.clock import Clock, SystemClock
from chassis.logs import get_logger
from wrds_sync.adapters.processes import is_pid_alive, namespace_mark, process_mark
from wrds_sync.domain.locks import LockToken, Observer, ProcessState, judge, must_probe
from wrds_sync.errors import (
    LockAcquisitionError,
    LockLostError,
    LockRecoveryError,
    MalformedLockFileError,
)

GUARD_SECONDS = 10.0
"""A critical section lasts milliseconds; longer waits mean that its holder was stopped."""

_FIRST_PAUSE = 0.01
_LONGEST_PAUSE = 1.0
_MODE = 0o640

_ours: set[str] = set()
"""Writer ids that this process holds: a lock with our PID and none of these is a dead writer's."""


class AtomicFileLock:
    """The lock of one data set, for one writer."""

    LOCK_TIMEOUT_HOURS = 4
    REFRESH_INTERVAL_SECONDS = 60

    def __init__(
        self,
        lock_dir: Path,
        dataset: str,
        writer_id: str | None = None,
        *,
        lease_token: int | None = None,
        clock: Clock | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.path = lock_dir / f"{dataset}.lock"
        self.dataset = dataset
        self._guard_path = lock_dir / f"{dataset}.guard"
        self._writer_id = writer_id
        self._lease_token = lease_token
        self._clock = clock or SystemClock()
        self._sleep = sleep

    def acquire(self, timeout_seconds: float = 30, *, above: int = 0) -> LockToken:
        """Take the lock, waiting with back-off while another writer holds it.

        Args:
            timeout_seconds: How long to wait.
            above: A fencing token that the new one must exceed, whatever the counter says.

        Raises:
            LockAcquisitionError: the lock stayed in other hands.
            LockRecoveryError: a stale lock could not be moved out of the way.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        deadline = self._clock.monotonic() + timeout_seconds
        pause = _FIRST_PAUSE
        while True:
            token = self._try_acquire(deadline, above)
            if token is not None:
                return token
            remaining = deadline - self._clock.monotonic()
            if remaining <= 0:
                raise self._held_error(timeout_seconds)
            self._sleep(min(remaining, pause * random.uniform(0.5, 1.0)))  # noqa: S311 - jitter
            pause = min(pause * 2, _LONGEST_PAUSE)

    def release(self, token: LockToken) -> None:
        """Give the lock back.

        Raises:
            LockLostError: the lock is not, or no longer, this token's.
        """
        with self.guarding(token):
            self.path.unlink()
            _sync_directory(self.path.parent)
        _ours.discard(token.writer_id)

    def refresh(self, token: LockToken) -> LockToken:
        """Extend the expiry and return the new token.

        Raises:
            LockLostError: the lock is not, or no longer, this token's.
        """
        with self.guarding(token):
            now = self._clock.now()
            renewed = token.model_copy(
                update={"refreshed_at": now, "expires_at": now + self._timeout()}
            )
            spare = self.path.with_name(f"{self.path.name}.refresh.{uuid.uuid4().hex}")
            _write_new(spare, renewed.model_dump_json())
            spare.rename(self.path)
            _sync_directory(self.path.parent)
        return renewed

    @contextlib.contextmanager
    def guarding(self, token: LockToken) -> Generator[None]:
        """Prove the token and keep it proven for the length of a short body.

        Nobody recovers, forces or releases the lock meanwhile. A process that is stopped inside
        the body keeps others out until it goes on or dies.

        Raises:
            LockLostError: the lock is not, or no longer, this token's.
        """
        with self._critical(self._clock.monotonic() + GUARD_SECONDS):
            present = self.read()
            if present is None or not present.is_same_holder(token):
                _ours.discard(token.writer_id)
                raise LockLostError(dataset=self.dataset, fencing=token.fencing)
            yield

    def read(self) -> LockToken | None:
        """Return who holds the lock; None while it is free.

        Raises:
            MalformedLockFileError: the file is not one of ours.
        """
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            return None
        try:
            token = LockToken.model_validate_json(content)
        except ValidationError as error:
            raise MalformedLockFileError(
                f"`{self.path.name}` is not a lock file of ours", file=self.path.name
            ) from error
        if token.dataset != self.dataset:
            raise MalformedLockFileError(
                f"`{self.path.name}` is the lock of {token.dataset!r}", file=self.path.name
            )
        return token

    def staleness(self) -> tuple[bool, str]:
        """Return whether the present lock is stale, and why or why not."""
        return self._is_lock_stale(self.path)

    def force_unlock(self) -> LockToken | None:
        """Move whatever holds the lock out of the way; for operators. Return what stood there."""
        with self._critical(self._clock.monotonic() + GUARD_SECONDS):
            try:
                token = self.read()
            except MalformedLockFileError:
                self._set_aside("malformed")
                return None
            if token is not None:
                self._set_aside(f"recovery.{os.getpid()}", then_remove=True)
            return token

    def _try_acquire(self, deadline: float, above: int) -> LockToken | None:
        """Make one attempt; None while another writer holds."""
        if self.path.exists() and not self._may_be_free():
            return None
        with self._critical(deadline) as guard:
            if self.path.exists() and not self._clear_away():
                return None
            return self._create(_next_fencing(guard, above))

    def _may_be_free(self) -> bool:
        """Look without the guard first: waiting writers must not queue up behind it."""
        try:
            return self._is_lock_stale(self.path)[0]
        except MalformedLockFileError:
            return True

    def _clear_away(self) -> bool:
        """Remove a stale or malformed lock; the caller is in the critical section."""
        try:
            is_stale, reason = self._is_lock_stale(self.path)
        except MalformedLockFileError as error:
            get_logger().warning("lock_malformed", dataset=self.dataset, error=error)
            self._set_aside("malformed")
            return True
        if not is_stale:
            return False
        get_logger().warning("lock_recovered", dataset=self.dataset, reason=reason)
        return self._recover_stale_lock(self.path)

    def _is_lock_stale(self, lock_path: Path) -> tuple[bool, str]:
        token = self.read()
        if token is None:
            return True, f"`{lock_path.name}` is gone"
        observer = Observer(
            hostname=socket.gethostname(),
            pid=os.getpid(),
            namespace=namespace_mark(),
            lease_token=self._lease_token,
        )
        process = None
        if must_probe(token, observer):
            process = ProcessState(
                is_alive=self._is_pid_alive(token.pid),
                mark=process_mark(token.pid),
                is_ours=token.writer_id in _ours,
            )
        reason = judge(token, observer, process=process, now=self._clock.now())
        return reason is not None, reason or "held"

    def _recover_stale_lock(self, lock_path: Path) -> bool:
        """Rename the stale lock; the rename has one winner, and only that one goes on."""
        try:
            self._set_aside(f"recovery.{os.getpid()}", then_remove=True)
        except FileNotFoundError:
            return not lock_path.exists()
        except OSError as error:
            raise LockRecoveryError(
                f"`{lock_path.name}` cannot be moved aside: {error.strerror}", dataset=self.dataset
            ) from error
        return True

    def _is_pid_alive(self, pid: int) -> bool:
        return is_pid_alive(pid)

    def _set_aside(self, what: str, *, then_remove: bool = False) -> None:
        aside = self.path.with_name(f"{self.path.name}.{what}.{uuid.uuid4().hex[:12]}")
        self.path.rename(aside)
        if then_remove:
            aside.unlink()
        _sync_directory(self.path.parent)

    def _create(self, fencing: int) -> LockToken | None:
        now = self._clock.now()
        token = LockToken(
            dataset=self.dataset,
            writer_id=self._writer_id or str(uuid.uuid4()),
            pid=os.getpid(),
            hostname=socket.gethostname(),
            process_mark=process_mark(os.getpid()),
            fencing=fencing,
            lease_token=self._lease_token,
            acquired_at=now,
            refreshed_at=now,
            expires_at=now + self._timeout(),
        )
        try:
            _write_new(self.path, token.model_dump_json())
        except FileExistsError:
            return None  # a writer on a volume whose kernel locks do not reach us
        try:
            _sync_directory(self.path.parent)
        except OSError:
            self.path.unlink(missing_ok=True)  # nobody would ever give it back
            raise
        _ours.add(token.writer_id)
        return token

    def _timeout(self) -> timedelta:
        return timedelta(hours=self.LOCK_TIMEOUT_HOURS)

    def _held_error(self, waited: float) -> LockAcquisitionError:
        with contextlib.suppress(MalformedLockFileError):
            holder = self.read()
            if holder is not None:
                return LockAcquisitionError(
                    f"{self.dataset}: held by process {holder.pid} on {holder.hostname} "
                    f"since {holder.acquired_at:%Y-%m-%d %H:%M:%S} UTC; waited {waited:g} s",
                    dataset=self.dataset,
                    holder_pid=holder.pid,
                    holder_host=holder.hostname,
                )
        return LockAcquisitionError(
            f"{self.dataset}: the lock stayed in other hands for {waited:g} s", dataset=self.dataset
        )

    @contextlib.contextmanager
    def _critical(self, deadline: float) -> Generator[int]:
        """Hold the kernel's lock on the guard file; yield its descriptor."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        guard = os.open(self._guard_path, os.O_CREAT | os.O_RDWR, _MODE)
        try:
            self._lock_guard(guard, deadline)
            yield guard
        finally:
            os.close(guard)

    def _lock_guard(self, guard: int, deadline: float) -> None:
        while True:
            try:
                fcntl.flock(guard, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                if error.errno not in (errno.EAGAIN, errno.EACCES):
                    raise
                if self._clock.monotonic() >= deadline:
                    raise LockAcquisitionError(
                        f"{self.dataset}: another process stands inside the lock's critical "
                        "section; is it stopped?",
                        dataset=self.dataset,
                    ) from error
                self._sleep(random.uniform(0.0005, 0.005))  # noqa: S311 - jitter
            else:
                return


@contextlib.contextmanager
def atomic_lock(
    lock_dir: Path,
    dataset: str,
    *,
    writer_id: str | None = None,
    timeout_seconds: float = 30,
    clock: Clock | None = None,
) -> Generator[LockToken]:
    """Hold a data set's lock for the length of a body that lasts less than its expiry."""
    lock = AtomicFileLock(lock_dir, dataset, writer_id, clock=clock)
    token = lock.acquire(timeout_seconds)
    try:
        yield token
    finally:
        with contextlib.suppress(LockLostError):
            lock.release(token)


def _next_fencing(guard: int, above: int) -> int:
    """Draw the next token from the guard file; synced, so that a crash draws none twice."""
    text = os.pread(guard, 32, 0).decode("ascii", "replace").strip()
    drawn = int(text) if text.isdigit() else 0
    fencing = max(drawn, above) + 1
    os.pwrite(guard, f"{fencing:<20}\n".encode("ascii"), 0)
    os.fsync(guard)
    return fencing


def _write_new(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, _MODE)
    try:
        try:
            os.write(descriptor, text.encode())
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError:
        path.unlink(missing_ok=True)
        raise


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
