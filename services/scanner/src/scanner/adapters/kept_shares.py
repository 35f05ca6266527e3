"""Shares that stay open from one scan to the next.

A fast pass takes less time than the log-ons of its connections would, and a source that is scanned
every minute would fill the directory server's log with them.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from chassis.errors import PermanentError
from chassis.shares.port import Entry, FileContent, Share, ShareDescription, ShareUnavailableError
from chassis.sources import ShareConfig

T = TypeVar("T")


class KeptShares:
    """Opens shares, and takes back those that come back sound."""

    def __init__(self, open_share: Callable[[ShareConfig], Share]) -> None:
        self._open_share = open_share
        self._idle: dict[ShareConfig, Share] = {}
        self._is_closed = False

    def open(self, config: ShareConfig) -> "LentShare":
        """Return a share for one scan: the one that was kept, unless another scan has it."""
        share = self._idle.pop(config, None) or self._open_share(config)
        return LentShare(share, lambda: self._keep(config, share))

    async def close(self) -> None:
        """Close what is kept; what is lent closes when it comes back."""
        self._is_closed = True
        idle, self._idle = self._idle, {}
        await asyncio.gather(*(share.close() for share in idle.values()))

    def _keep(self, config: ShareConfig, share: Share) -> bool:
        if self._is_closed or config in self._idle:
            return False
        self._idle[config] = share
        return True


class LentShare:
    """A share until `close`, which keeps it open if every call got its answer.

    A refusal is an answer. A call that was cancelled may still be under way, and a connection that
    was lost may not be the only one.
    """

    def __init__(self, share: Share, keep: Callable[[], bool]) -> None:
        self._share = share
        self._keep = keep
        self._unanswered = 0
        self._is_closed = False

    async def list_directory(self, path: str) -> Sequence[Entry]:
        """Return every entry of a directory, without `.` and `..`; complete, or an error."""
        return await self._call(lambda: self._share.list_directory(path))

    async def stat(self, path: str) -> Entry:
        """Return one entry; used to prove that a file is gone (`ShareNotFoundError`)."""
        return await self._call(lambda: self._share.stat(path))

    async def read_file(self, path: str, *, max_bytes: int) -> FileContent:
        """Read a whole file; see the port for what it raises."""
        return await self._call(lambda: self._share.read_file(path, max_bytes=max_bytes))

    async def write_file(self, path: str, data: bytes) -> None:
        """Write a file so that readers see the old or the new one; parents are created."""
        await self._call(lambda: self._share.write_file(path, data))

    async def make_directories(self, path: str) -> None:
        """Create a directory and its parents; existing ones are fine."""
        await self._call(lambda: self._share.make_directories(path))

    async def describe(self) -> ShareDescription:
        """Connect if need be, and tell what was negotiated."""
        return await self._call(self._share.describe)

    async def close(self) -> None:
        """Give the share back, or close its connections."""
        if self._is_closed:
            return
        self._is_closed = True
        if self._unanswered or not self._keep():
            await self._share.close()

    async def _call(self, operation: Callable[[], Awaitable[T]]) -> T:
        if self._is_closed:
            raise ShareUnavailableError("The share was closed.")
        self._unanswered += 1
        try:
            result = await operation()
        except PermanentError:
            self._unanswered -= 1
            raise
        self._unanswered -= 1
        return result
