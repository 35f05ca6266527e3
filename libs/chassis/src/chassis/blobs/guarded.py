"""The one layer that repeats calls to the object store, and counts them.

A throttled or dropped request is repeated a few times in place; an outage goes on to the delivery
loop, which pauses. The client libraries' own retries are off: two layers multiply.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from prometheus_client import Histogram

from chassis.blobs.port import BlobNotFoundError, BlobStore
from chassis.clock import Clock, SystemClock
from chassis.errors import UnavailableError
from chassis.retry import backoff_seconds

ATTEMPTS = 3
"""With jitter, about a second; longer disturbances are outages."""

BLOB_DURATION = Histogram(
    "penstock_blob_duration_seconds",
    "Calls to the object store, repetitions included, by outcome.",
    ("operation", "outcome"),
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
)

Result = TypeVar("Result")
Sleep = Callable[[float], Awaitable[None]]


class GuardedBlobs:
    """A bucket that forgives short disturbances; every call here is safe to repeat."""

    def __init__(
        self, store: BlobStore, *, clock: Clock | None = None, sleep: Sleep = asyncio.sleep
    ) -> None:
        self._store = store
        self._clock = clock or SystemClock()
        self._sleep = sleep

    async def put(self, key: str, data: bytes) -> None:
        """Store `data`."""
        await self._call("put", lambda: self._store.put(key, data))

    async def put_if_absent(self, key: str, data: bytes) -> bool:
        """Store `data` unless the key exists; return whether it was stored.

        After a lost answer the repetition finds what the first attempt stored, and says False.
        """
        return await self._call("put", lambda: self._store.put_if_absent(key, data))

    async def get(self, key: str) -> bytes:
        """Return the object's bytes.

        Raises:
            BlobNotFoundError: there is none.
        """
        return await self._call("get", lambda: self._store.get(key))

    async def exists(self, key: str) -> bool:
        """Return whether the key exists."""
        return await self._call("head", lambda: self._store.exists(key))

    async def list_keys(self, prefix: str) -> list[str]:
        """Return the keys below a prefix, sorted."""
        return await self._call("list", lambda: self._store.list_keys(prefix))

    async def delete(self, key: str) -> None:
        """Remove the object; removing nothing is fine."""
        await self._call("delete", lambda: self._store.delete(key))

    async def close(self) -> None:
        """Give back connections."""
        await self._store.close()

    async def _call(self, operation: str, call: Callable[[], Awaitable[Result]]) -> Result:
        started = self._clock.monotonic()
        outcome = "error"
        try:
            result = await self._repeat(call)
        except BlobNotFoundError:
            outcome = "not-found"
            raise
        else:
            outcome = "ok"
            return result
        finally:
            elapsed = self._clock.monotonic() - started
            BLOB_DURATION.labels(operation, outcome).observe(elapsed)

    async def _repeat(self, call: Callable[[], Awaitable[Result]]) -> Result:
        for attempt in range(1, ATTEMPTS):
            try:
                return await call()
            except UnavailableError as error:
                await self._sleep(backoff_seconds(attempt, retry_after=error.retry_after))
        return await call()
