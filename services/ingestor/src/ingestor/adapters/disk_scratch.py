"""Documents that wait for their transaction: in memory up to a limit, then in a temporary file.

A batch may hold hundreds of large documents; memory stays bounded whatever arrives.
"""

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import IO, TypeVar

from chassis.errors import UnavailableError
from contracts.errors import ErrorCategory
from ingestor.domain.versions import Document, InMemory

Result = TypeVar("Result")


class ScratchSpace:
    """Makes a scratch per batch, and owns the thread that writes them to disk."""

    def __init__(self, memory_bytes: int) -> None:
        self._memory_bytes = memory_bytes
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="scratch")

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncGenerator["DiskScratch"]:
        """Open a scratch; its file, if it needed one, is gone afterwards."""
        scratch = DiskScratch(self._memory_bytes, self._executor)
        try:
            yield scratch
        finally:
            await scratch.close()

    async def close(self) -> None:
        """End the thread."""
        await asyncio.to_thread(self._executor.shutdown)


class DiskScratch:
    """The documents of one batch."""

    def __init__(self, memory_bytes: int, executor: ThreadPoolExecutor) -> None:
        self._room = memory_bytes
        self._executor = executor
        self._file: IO[bytes] | None = None

    async def keep(self, data: bytes) -> Document:
        """Take a document until the scratch is closed.

        Raises:
            UnavailableError: the disk is full.
        """
        if len(data) <= self._room:
            self._room -= len(data)
            return InMemory(data)
        offset = await self._run(lambda: self._append(data))
        return _OnDisk(self, offset, len(data))

    async def read(self, offset: int, size: int) -> bytes:
        """Return a part of the file."""
        return await self._run(lambda: self._read(offset, size))

    async def close(self) -> None:
        """Remove the file."""
        if self._file is not None:
            await self._run(self._file.close)

    # One thread does all of this, so no two calls meet.

    def _append(self, data: bytes) -> int:
        if self._file is None:
            self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - until `close`
        offset = self._file.seek(0, 2)
        view = memoryview(data)
        while view:
            view = view[self._file.write(view) :]
        return offset

    def _read(self, offset: int, size: int) -> bytes:
        assert self._file is not None  # noqa: S101 - it was written before
        self._file.seek(offset)
        return self._file.read(size)

    async def _run(self, operation: Callable[[], Result]) -> Result:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._executor, operation)
        except OSError as error:
            raise UnavailableError(
                f"the temporary folder cannot be used: {error.strerror}",
                category=ErrorCategory.STORAGE,
                dependency="disk",
            ) from error


@dataclass(frozen=True, slots=True)
class _OnDisk:
    """A document in the scratch's file."""

    scratch: DiskScratch
    offset: int
    size: int

    async def load(self) -> bytes:
        """Return the text."""
        return await self.scratch.read(self.offset, self.size)
