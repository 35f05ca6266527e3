"""The file locks of a volume, for asynchronous callers."""

import asyncio
import contextlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from chassis.clock import Clock, SystemClock
from wrds_sync.adapters.durable import with_room
from wrds_sync.adapters.file_lock import AtomicFileLock
from wrds_sync.domain.locks import LockToken
from wrds_sync.errors import LockAcquisitionError, LockLostError, MalformedLockFileError
from wrds_sync.ports import LockState

Result = TypeVar("Result")


class VolumeLocks:
    """Every data set's lock in one folder."""

    def __init__(self, lock_dir: Path, *, clock: Clock | None = None) -> None:
        self._lock_dir = lock_dir
        self._clock = clock or SystemClock()
        # Waiting for a lock blocks a thread; a refresh must never queue up behind one.
        self._waiting = ThreadPoolExecutor(max_workers=8, thread_name_prefix="lock-wait")
        self._prompt = ThreadPoolExecutor(max_workers=2, thread_name_prefix="lock")

    async def acquire(
        self, dataset: str, *, timeout_seconds: float, above: int, lease_token: int | None
    ) -> LockToken:
        """Take the lock; given back if nobody waits for it any more when it comes."""
        lock = AtomicFileLock(self._lock_dir, dataset, lease_token=lease_token, clock=self._clock)
        loop = asyncio.get_running_loop()
        taking = loop.run_in_executor(
            self._waiting,
            lambda: with_room(lambda: lock.acquire(timeout_seconds, above=above), dataset),
        )
        try:
            return await asyncio.shield(taking)
        except asyncio.CancelledError:
            taking.add_done_callback(lambda done: _give_back(lock, done))
            raise

    async def refresh(self, token: LockToken) -> LockToken:
        """Extend the expiry."""
        return await self._run(lambda: self._lock(token.dataset).refresh(token))

    async def release(self, token: LockToken) -> None:
        """Give the lock back; harmless when it was lost."""
        with contextlib.suppress(LockLostError):
            await asyncio.shield(self._run(lambda: self._lock(token.dataset).release(token)))

    async def states(self) -> list[LockState]:
        """Return every lock that stands."""
        return await self._run(self._states)

    def _states(self) -> list[LockState]:
        return [
            state
            for path in sorted(self._lock_dir.glob("*.lock"))
            if (state := self._state(path.name.removesuffix(".lock"))) is not None
        ]

    def _state(self, dataset: str) -> LockState | None:
        lock = self._lock(dataset)
        try:
            token = lock.read()
            if token is None:
                return None
            is_stale, reason = lock.staleness()
        except MalformedLockFileError as error:
            return LockState(dataset=dataset, token=None, is_stale=True, reason=error.message)
        return LockState(dataset=dataset, token=token, is_stale=is_stale, reason=reason)

    async def force_unlock(self, dataset: str) -> LockToken | None:
        """Remove the lock whoever holds it."""
        return await self._run(lambda: self._lock(dataset).force_unlock())

    def _lock(self, dataset: str) -> AtomicFileLock:
        return AtomicFileLock(self._lock_dir, dataset, clock=self._clock)

    async def _run(self, action: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(
            self._prompt, lambda: with_room(action, "lock")
        )


def _give_back(lock: AtomicFileLock, done: "asyncio.Future[LockToken]") -> None:
    if done.cancelled() or done.exception() is not None:
        return
    with contextlib.suppress(LockLostError, LockAcquisitionError):
        lock.release(done.result())
