"""A writer's time at a data set: lease, lock, refreshes, and the end of them."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Generator

from chassis.clock import Clock
from chassis.logs import get_logger
from wrds_sync import metrics
from wrds_sync.domain.alerts import Alert
from wrds_sync.domain.datasets import Dataset, slo
from wrds_sync.domain.locks import LockToken
from wrds_sync.handlers.alerts import alert
from wrds_sync.handlers.grouped import decisive
from wrds_sync.ports import Authority, Locks, Storage

REFRESH_SECONDS = 60.0
_LOOK_SECONDS = 5.0


class Writer:
    """The right to write one data set, as long as the session lasts."""

    def __init__(self, dataset: Dataset, token: LockToken) -> None:
        self.dataset = dataset
        self.token = token


class Sessions:
    """Opens writer sessions."""

    def __init__(
        self,
        locks: Locks,
        authority: Authority,
        storage: Storage,
        *,
        clock: Clock,
        timeout_seconds: float = 30.0,
        refresh_seconds: float = REFRESH_SECONDS,
    ) -> None:
        self._locks = locks
        self._authority = authority
        self._storage = storage
        self._clock = clock
        self._timeout_seconds = timeout_seconds
        self._refresh_seconds = refresh_seconds

    @contextlib.asynccontextmanager
    async def open(self, dataset: Dataset, mode: str) -> AsyncGenerator[Writer]:
        """Hold a data set for writing.

        The body is cancelled and `LockLostError` raised when another writer takes over.

        Raises:
            LockAcquisitionError: another writer holds it.
            LockLostError: another writer took over.
        """
        name = dataset.name
        async with self._authority.holding(name, timeout_seconds=self._timeout_seconds) as lease:
            manifest = await self._storage.read_manifest(name)
            token = await self._locks.acquire(
                name,
                timeout_seconds=self._timeout_seconds,
                above=manifest.fencing if manifest else 0,
                lease_token=lease,
            )
            writer = Writer(dataset, token)
            try:
                with self._measured(dataset, mode):
                    async with self._kept(writer, mode):
                        await self._storage.claim(name, token)
                        await self._storage.settle(dataset, token)
                        yield writer
            finally:
                await self._locks.release(writer.token)

    @contextlib.asynccontextmanager
    async def _kept(self, writer: Writer, mode: str) -> AsyncGenerator[None]:
        try:
            async with asyncio.TaskGroup() as group:
                keeping = group.create_task(self._keep(writer, mode))
                yield
                keeping.cancel()
        except BaseExceptionGroup as errors:
            error = decisive(errors)
            raise error from error.__cause__

    async def _keep(self, writer: Writer, mode: str) -> None:
        """Refresh the lock, and say once when the sync takes too long."""
        started = refreshed = self._clock.monotonic()
        limit = slo(mode).total_seconds()
        is_told = False
        while True:
            await asyncio.sleep(min(_LOOK_SECONDS, self._refresh_seconds))
            now = self._clock.monotonic()
            if now - refreshed >= self._refresh_seconds:
                writer.token = await self._locks.refresh(writer.token)
                refreshed = now
            if not is_told and now - started > limit:
                is_told = True
                alert(
                    Alert.SLO_BREACH,
                    dataset=writer.dataset.name,
                    mode=mode,
                    seconds=round(now - started),
                    limit_seconds=limit,
                )

    @contextlib.contextmanager
    def _measured(self, dataset: Dataset, mode: str) -> Generator[None]:
        started = self._clock.monotonic()
        running = metrics.SYNC_STARTED.labels(dataset.name, mode)
        running.set(self._clock.now().timestamp())
        outcome = "failed"
        get_logger().info("sync_started", dataset=dataset.name, mode=mode)
        try:
            yield
            outcome = "completed"
        finally:
            seconds = self._clock.monotonic() - started
            running.set(0)
            metrics.SYNC_DURATION.labels(dataset.name, mode).observe(seconds)
            metrics.SYNCS.labels(dataset.name, mode, outcome).inc()
            get_logger().info(
                "sync_ended",
                dataset=dataset.name,
                mode=mode,
                status=outcome,
                seconds=round(seconds, 3),
            )
