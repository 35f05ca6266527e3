"""Memory as a resource: files are taken up only while there is room for them."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator

from ingestor.metrics import IN_FLIGHT_BYTES


class ByteBudget:
    """A number of bytes lent out in the order of asking, so that large files get their turn."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._used = 0
        self._turn = asyncio.Lock()
        self._returned = asyncio.Condition()

    @contextlib.asynccontextmanager
    async def reserve(self, size: int) -> AsyncGenerator[None]:
        """Wait for room and hold it; what is larger than the whole budget waits to be alone."""
        share = min(size, self._total)
        async with self._turn, self._returned:
            await self._returned.wait_for(lambda: self._used + share <= self._total)
            self._take(share)
        try:
            yield
        finally:
            self._take(-share)
            async with self._returned:
                self._returned.notify()

    def _take(self, share: int) -> None:
        self._used += share
        IN_FLIGHT_BYTES.set(self._used)
