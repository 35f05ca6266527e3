"""Who may write, between hosts that share no volume: a lease in PostgreSQL, where there is one."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator

from chassis import leases
from chassis.db import Database
from chassis.errors import LeaseLostError
from wrds_sync.errors import LockAcquisitionError, LockLostError

TTL_SECONDS = 15.0
"""As long as a run's: a killed writer's data set is free when its run is taken up again."""


class PostgresAuthority:
    """The lease `wrds_sync/<data set>`; its token orders writers across volumes."""

    def __init__(self, database: Database, *, ttl_seconds: float = TTL_SECONDS) -> None:
        self._database = database
        self._ttl_seconds = ttl_seconds

    @contextlib.asynccontextmanager
    async def holding(self, dataset: str, *, timeout_seconds: float) -> AsyncGenerator[int | None]:
        """Hold the data set's lease.

        Raises:
            LockAcquisitionError: another writer held it all the time.
            LockLostError: another writer has taken it.
        """
        name = f"wrds_sync/{dataset}"
        try:
            async with contextlib.AsyncExitStack() as held:
                async with _patience(timeout_seconds, dataset):
                    lease = await held.enter_async_context(
                        leases.held(
                            self._database,
                            name,
                            kind="wrds_sync",
                            ttl_seconds=self._ttl_seconds,
                            poll_seconds=0.2,
                        )
                    )
                yield lease.token
        except LeaseLostError as error:
            raise LockLostError(dataset=dataset) from error


@contextlib.asynccontextmanager
async def _patience(seconds: float, dataset: str) -> AsyncGenerator[None]:
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError as error:
        raise LockAcquisitionError(
            f"{dataset}: another writer holds the lease; waited {seconds:g} s",
            retry_after=TTL_SECONDS,
            dataset=dataset,
        ) from error


class NoAuthority:
    """Without a database, the lock on the volume decides alone."""

    @contextlib.asynccontextmanager
    async def holding(self, dataset: str, *, timeout_seconds: float) -> AsyncGenerator[int | None]:
        """Hold nothing."""
        del dataset, timeout_seconds
        yield None
