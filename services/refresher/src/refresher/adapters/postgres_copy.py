"""Streams a query of the source into a table of the target: binary, bounded, both ends tied.

Two connections, one bounded queue between them. When either end fails, the other is cancelled, so
no half keeps copying into the void; a stream that is silent for too long counts as failed.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from concurrent.futures import Executor
from dataclasses import dataclass

from chassis.db import Connection
from chassis.errors import UnavailableError
from refresher.adapters.copy_binary import MaskedStream
from refresher.domain.catalog import TableRef
from refresher.domain.statements import Statement

_QUEUED_BYTES = 4 * 1024 * 1024
"""What waits between the two ends at the most; a single larger row passes alone."""

Tell = Callable[[int, int], Awaitable[None]]
"""Told (rows, bytes) of a piece; may raise to cancel."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How fast and how patiently."""

    silence_seconds: float
    bytes_per_second: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Masking:
    """What masks a stream, and the thread where it does so."""

    stream: MaskedStream
    executor: Executor

    async def run(self, work: Callable[[], bytes]) -> bytes:
        """Mask beside the event loop, which goes on moving bytes."""
        return await asyncio.get_running_loop().run_in_executor(self.executor, work)


class _Pipe:
    """A queue of chunks that is bounded in bytes."""

    def __init__(self, pace: Pace) -> None:
        self._chunks: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._room = asyncio.Condition()
        self._waiting = 0
        self._pace = pace
        self._due = 0.0

    async def put(self, chunk: bytes) -> None:
        """Wait for room, then hand on a chunk."""
        async with asyncio.timeout(self._pace.silence_seconds), self._room:
            await self._room.wait_for(
                lambda: self._waiting == 0 or self._waiting + len(chunk) <= _QUEUED_BYTES
            )
            self._waiting += len(chunk)
        await self._slow_down(len(chunk))
        self._chunks.put_nowait(chunk)

    def close(self) -> None:
        """Say that nothing more comes."""
        self._chunks.put_nowait(None)

    async def chunks(self) -> AsyncGenerator[bytes]:
        """Yield chunks until the other end is done."""
        while True:
            async with asyncio.timeout(self._pace.silence_seconds):
                chunk = await self._chunks.get()
            if chunk is None:
                return
            yield chunk
            async with self._room:
                self._waiting -= len(chunk)
                self._room.notify_all()

    async def _slow_down(self, size: int) -> None:
        if self._pace.bytes_per_second is None:
            return
        now = asyncio.get_running_loop().time()
        self._due = max(self._due, now) + size / self._pace.bytes_per_second
        await asyncio.sleep(self._due - now)


async def copy_rows(
    source: Connection,
    target: Connection,
    query: Statement,
    *,
    into: TableRef,
    columns: list[str],
    masking: Masking | None,
    pace: Pace,
    tell: Tell,
    freeze: bool = False,
) -> int:
    """Copy the rows of a query and return their number.

    Raises:
        BaseExceptionGroup: what ended either half; both are closed by then.
    """
    pipe = _Pipe(pace)

    async def receive(chunk: bytes) -> None:
        await tell(0, len(chunk))
        if masking is None:
            await pipe.put(chunk)
        elif masking.stream.add(chunk):
            await pipe.put(await masking.run(masking.stream.masked))

    async def read() -> None:
        status = await source.copy_from_query(
            query.sql,
            *(value.scalar for value in query.parameters),
            output=receive,
            format="binary",
            timeout=None,
        )
        if masking is not None:
            await pipe.put(await masking.run(masking.stream.end))
            if masking.stream.rows != _count(status):
                raise UnavailableError(f"of {status} of the source some rows are missing")
        pipe.close()

    async with asyncio.TaskGroup() as halves:
        halves.create_task(read())
        written = halves.create_task(
            target.copy_to_table(
                into.name,
                schema_name=into.schema,
                columns=columns,
                source=pipe.chunks(),
                format="binary",
                freeze=freeze,
                timeout=None,
            )
        )
    return _count(written.result())


def _count(status: str) -> int:
    """Return n of `COPY n`."""
    word, _, number = status.partition(" ")
    if word != "COPY" or not number.isdigit():
        raise UnavailableError(f"the target answered {status!r} to a copy")
    return int(number)
