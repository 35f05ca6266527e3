"""The pipeline of a copy: rows leave the server, become Arrow batches, and those a Parquet file,
all three at the same time and in bounded memory.

Encoding, and parsing of text, run in threads of the copier's own, outside the interpreter's lock.
The event loop receives, and parses binary blocks itself: that takes 3 ms, with the lock held, and
what was received a moment ago is still in the processor's cache. Everything in flight is counted
(see `_AHEAD` and `group_bytes`), so a slow disk makes the server wait, not the memory grow.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal, Protocol

import pyarrow as pa

from chassis.db import Connection
from wrds_sync.adapters.parquet_writer import ParquetFile, RowGroups, group_bytes
from wrds_sync.adapters.postgres_copy_blocks import Blocks
from wrds_sync.errors import QueryTimeoutError, SourceUnavailableError

BLOCK_BYTES = 2 * 1024 * 1024
_AHEAD = 3
"""Blocks being parsed, or waiting to be taken when they are."""

_THREADS = 3
"""Two parse, one encodes; for a copy. Two copies at a time share them."""

_NO_TOTAL_SECONDS = 7 * 24 * 3600.0
"""A copy may take as long as rows keep coming; the pool's own limit is for short statements."""

_SHORT_READ_BYTES = 128 * 1024
_PAUSE_SECONDS = 0.001
"""The server sends 8 KiB at a time. Taken one by one they cost the loop more than all the parsing;
after a pause of a millisecond, in which the kernel collects, they come in quarters of a megabyte.
"""


class Parser(Protocol):
    """Turns the bytes of a copy into batches; safe to use from several threads."""

    schema: pa.Schema
    form: Literal["text", "binary"]
    """In which the server is asked to write."""

    null: str | None
    """What stands for a null, where that can be chosen."""

    in_threads: bool
    """Whether parsing takes long, and lets go of the interpreter's lock meanwhile: 20 to 50 ms a
    block of text, 3 ms a binary one."""

    def cut(self, data: bytes | bytearray, end: int | None = None) -> int:
        """Return up to where before the end there are whole rows; 0 if there is none yet."""
        ...

    def parse(self, block: bytes | memoryview) -> pa.RecordBatch:
        """Return the rows of a block, whose memory may be used anew afterwards.

        Raises:
            UnstorableValueError: a value does not fit its column's type.
        """
        ...


class CopyEngine:
    """Copies the rows of statements; owns the threads in which they are parsed and encoded."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="wrds-copy")

    def close(self) -> None:
        """Let the threads end after what they are doing."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def write(
        self,
        connection: Connection,
        statement: str,
        *,
        parser: Parser,
        target: Path,
        silence_seconds: float,
        on_rows: Callable[[int], None] | None = None,
    ) -> int:
        """Write the rows of a statement to a new Parquet file; return how many.

        Args:
            connection: In a transaction whose session settings fix how values are written.
            statement: Yields the columns that the parser expects, in its form.
            parser: Knows what the columns become.
            target: The new file; removed by the caller after a failure.
            silence_seconds: Longest wait for the next rows.
            on_rows: Told the number of rows written so far.

        Raises:
            UnstorableValueError: a value does not fit its column.
            DiskFullError: no room.
            QueryTimeoutError: no rows came for too long.
        """
        rows = _Rows(connection, statement, parser=parser, silence_seconds=silence_seconds)
        writing = _Writing(self._threads, ParquetFile(target, parser.schema), on_rows)
        try:
            async with contextlib.aclosing(self._batches(rows, parser)) as batches:
                async for batch in batches:
                    await writing.add(batch)
            await writing.flush()
            rows.check(writing.rows)
            await writing.finish()
        finally:
            await writing.settle()
        return writing.rows

    async def stream(
        self,
        connection: Connection,
        statement: str,
        *,
        parser: Parser,
        silence_seconds: float,
    ) -> AsyncGenerator[pa.RecordBatch]:
        """Yield the rows of a statement as Arrow batches."""
        rows = _Rows(connection, statement, parser=parser, silence_seconds=silence_seconds)
        total = 0
        async with contextlib.aclosing(self._batches(rows, parser)) as batches:
            async for batch in batches:
                total += batch.num_rows
                yield batch
        rows.check(total)

    async def _batches(self, rows: "_Rows", parser: Parser) -> AsyncGenerator[pa.RecordBatch]:
        """Parse blocks ahead of the reader, and yield them in their order."""
        loop = asyncio.get_running_loop()

        def parse(block: memoryview) -> pa.RecordBatch:
            batch = parser.parse(block)
            rows.blocks.give_back(block)
            return batch

        def begin(block: memoryview) -> asyncio.Future[pa.RecordBatch]:
            if parser.in_threads:
                return loop.run_in_executor(self._threads, parse, block)
            parsed: asyncio.Future[pa.RecordBatch] = loop.create_future()
            parsed.set_result(parse(block))
            return parsed

        ahead = _Ahead(begin)
        # No TaskGroup: it would cancel whoever iterates, outside of this generator. The task ends
        # before the generator does, in any case.
        receiving = loop.create_task(rows.receive(ahead.offer))
        receiving.add_done_callback(lambda _: ahead.end())
        try:
            while (parsing := await ahead.next()) is not None:
                if (batch := await parsing).num_rows:
                    yield batch
                ahead.taken()
            await receiving
        finally:
            receiving.cancel()
            await asyncio.wait([receiving])
            ahead.forget()


class _Ahead:
    """Blocks that are being parsed, in their order, a few at a time."""

    def __init__(self, parse: Callable[[memoryview], asyncio.Future[pa.RecordBatch]]) -> None:
        self._parse = parse
        self._room = asyncio.Semaphore(_AHEAD)
        self._queue: asyncio.Queue[asyncio.Future[pa.RecordBatch] | None] = asyncio.Queue()

    async def offer(self, block: memoryview) -> None:
        await self._room.acquire()
        self._queue.put_nowait(self._parse(block))

    def end(self) -> None:
        self._queue.put_nowait(None)

    async def next(self) -> asyncio.Future[pa.RecordBatch] | None:
        return await self._queue.get()

    def taken(self) -> None:
        self._room.release()

    def forget(self) -> None:
        """Drop what nobody will take; an error in it was not the first."""
        while not self._queue.empty():
            left = self._queue.get_nowait()
            if left is not None and not left.cancel():
                left.exception()


class _Rows:
    """Receives the rows of one statement and cuts them into blocks."""

    def __init__(
        self, connection: Connection, statement: str, *, parser: Parser, silence_seconds: float
    ) -> None:
        self._connection = connection
        self._statement = statement
        self._parser = parser
        self._silence = silence_seconds
        self.blocks = Blocks(parser.cut, BLOCK_BYTES)
        self._status = ""

    async def receive(self, offer: Callable[[memoryview], Awaitable[None]]) -> None:
        """Run the statement, offering blocks of whole rows until it ends."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._silence) as deadline:

                async def take(chunk: bytes) -> None:
                    # Our own slowness is not the server's silence.
                    deadline.reschedule(None)
                    if block := self.blocks.add(chunk):
                        await offer(block)
                    elif len(chunk) < _SHORT_READ_BYTES:
                        await asyncio.sleep(_PAUSE_SECONDS)
                    deadline.reschedule(loop.time() + self._silence)

                self._status = await self._connection.copy_from_query(
                    self._statement,
                    output=take,
                    format=self._parser.form,
                    null=self._parser.null,
                    timeout=_NO_TOTAL_SECONDS,
                )
        except TimeoutError as error:
            if not deadline.expired():
                raise  # the network's own
            raise QueryTimeoutError(
                f"no rows for {self._silence:.0f} s; the copy was cancelled"
            ) from error
        if block := self.blocks.rest():
            await offer(block)

    def check(self, rows: int) -> None:
        """Compare the number of rows with the server's own.

        Raises:
            SourceUnavailableError: some are missing.
        """
        if self._status != f"COPY {rows}":
            raise SourceUnavailableError(
                f"{rows} rows were read, but the server says {self._status!r}"
            )


class _Writing:
    """Writes groups behind the copy's back, one at a time."""

    def __init__(
        self,
        threads: ThreadPoolExecutor,
        file: ParquetFile,
        on_rows: Callable[[int], None] | None,
    ) -> None:
        self._threads = threads
        self._file = file
        self._on_rows = on_rows
        self._groups = RowGroups(size=group_bytes(len(file.schema)))
        self._current: asyncio.Future[int] | None = None
        self.rows = 0

    async def add(self, batch: pa.RecordBatch) -> None:
        """Take a batch; when a group is full, wait for the one before it and begin to write it."""
        if group := self._groups.add(batch):
            await self._begin(group)

    async def finish(self) -> None:
        """Close the file with its footer."""
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._threads, self._file.finish)

    async def flush(self) -> None:
        """Write what is left, and wait for it."""
        if group := self._groups.take():
            await self._begin(group)
        await self._written()

    async def settle(self) -> None:
        """Wait for a write that is under way, and close the file if nobody has."""
        if self._current is not None:
            await asyncio.wait([self._current])
            self._current.exception()  # seen: another error came first
        self._file.abandon()

    async def _begin(self, group: list[pa.RecordBatch]) -> None:
        await self._written()
        loop = asyncio.get_running_loop()
        self._current = loop.run_in_executor(self._threads, self._file.write, group)

    async def _written(self) -> None:
        if self._current is None:
            return
        # Shielded: a thread cannot be cancelled, and `settle` must see when it is done.
        self.rows += await asyncio.shield(self._current)
        self._current = None
        if self._on_rows is not None:
            self._on_rows(self.rows)
