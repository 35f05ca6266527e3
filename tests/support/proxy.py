"""A TCP proxy that misbehaves on demand: slow, silent, cut, reset, refused.

It runs in a thread with an event loop of its own, so that blocking clients (pysmb) and asynchronous
ones can be tested alike. A server that tells clients its own address (Kafka) is left by the client
after the first request: only its bootstrap goes through here.
"""

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Self

_CHUNK_BYTES = 64 * 1024
_QUEUED_CHUNKS = 64
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
_COMMAND_SECONDS = 10.0


@dataclass(slots=True)
class _Faults:
    """What is wrong at present; read before every chunk."""

    delay_seconds: float = 0.0
    answer_budget: int | None = None
    """Bytes of answers that may still pass before the connection is closed."""
    flowing: asyncio.Event = field(default_factory=asyncio.Event)

    def take(self, data: bytes) -> tuple[bytes, bool]:
        """Return what of an answer may pass, and whether the connection goes on."""
        if self.answer_budget is None:
            return data, True
        passed = data[: self.answer_budget]
        self.answer_budget -= len(passed)
        return passed, self.answer_budget > 0


class _Link:
    """One client's connection and the one to the server behind it."""

    def __init__(
        self, faults: _Faults, client: asyncio.StreamWriter, server: asyncio.StreamWriter
    ) -> None:
        self._faults = faults
        self._writers = (client, server)

    async def run(self, client: asyncio.StreamReader, server: asyncio.StreamReader) -> None:
        """Forward until one side closes, then close the other."""
        to_client, to_server = self._writers
        with contextlib.suppress(_LinkClosedError, ExceptionGroup):
            async with asyncio.TaskGroup() as directions:
                directions.create_task(self._forward(client, to_server, is_answer=False))
                directions.create_task(self._forward(server, to_client, is_answer=True))

    def close(self) -> None:
        """End both connections with a FIN."""
        for writer in self._writers:
            writer.close()

    def abort(self) -> None:
        """End both connections with a RST."""
        for writer in self._writers:
            connection: socket.socket = writer.get_extra_info("socket")
            with contextlib.suppress(OSError):
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            writer.transport.abort()

    async def _forward(
        self, source: asyncio.StreamReader, target: asyncio.StreamWriter, *, is_answer: bool
    ) -> None:
        queue: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_QUEUED_CHUNKS)
        async with asyncio.TaskGroup() as ends:
            ends.create_task(self._deliver(queue, target, is_answer=is_answer))
            while data := await _read(source):
                due = asyncio.get_running_loop().time() + self._faults.delay_seconds
                await queue.put((due, data))
            await queue.put((0.0, b""))

    async def _deliver(
        self,
        queue: asyncio.Queue[tuple[float, bytes]],
        target: asyncio.StreamWriter,
        *,
        is_answer: bool,
    ) -> None:
        goes_on = True
        while goes_on:
            due, data = await queue.get()
            # Chunks wait side by side, not one after the other: a delay is not a bandwidth limit.
            await asyncio.sleep(max(0.0, due - asyncio.get_running_loop().time()))
            await self._faults.flowing.wait()
            if not data:
                break
            if is_answer:
                data, goes_on = self._faults.take(data)
            with contextlib.suppress(OSError):
                target.write(data)
                await target.drain()
        raise _LinkClosedError


class _LinkClosedError(Exception):
    """One side is done, so both are."""


async def _read(source: asyncio.StreamReader) -> bytes:
    try:
        return await source.read(_CHUNK_BYTES)
    except OSError:
        return b""


class FaultProxy:
    """Stands between a client and `host:port`; use it as a context manager."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="fault-proxy")
        self._faults = _Faults()
        self._listener: asyncio.Server | None = None
        self._links: set[_Link] = set()
        self._serving: set[asyncio.Task[None]] = set()
        self.host = "127.0.0.1"
        self.port = 0
        self.accepted = 0
        """Connections taken so far."""

    def __enter__(self) -> Self:
        self._thread.start()
        self.restore()
        return self

    def __exit__(self, *_: object) -> None:
        self._command(self._close)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def connections(self) -> int:
        """How many connections are open now."""
        return len(self._links)

    # --- faults ------------------------------------------------------------------------------
    def slow_down(self, one_way_seconds: float) -> None:
        """Delay everything by so much in each direction; throughput stays."""
        self._faults.delay_seconds = one_way_seconds

    def black_hole(self) -> None:
        """Deliver nothing in either direction until restored, like a dropped route."""

        async def stop_flow() -> None:
            self._faults.flowing.clear()

        self._command(stop_flow)

    def cut_after(self, answer_bytes: int) -> None:
        """Close the connection over which the server's next `answer_bytes` bytes have gone."""
        self._faults.answer_budget = answer_bytes

    def reset(self) -> None:
        """Reset every open connection; new ones are taken."""

        async def abort_all() -> None:
            for link in list(self._links):
                link.abort()

        self._command(abort_all)

    def refuse(self) -> None:
        """Take no new connections until restored."""
        self._command(self._stop_listening)

    def restore(self) -> None:
        """Behave again, on the same port."""
        self._faults.delay_seconds = 0.0
        self._faults.answer_budget = None

        async def flow() -> None:
            self._faults.flowing.set()
            await self._listen()

        self._command(flow)

    # --- inside the loop ---------------------------------------------------------------------
    def _command(self, action: Callable[[], Coroutine[Any, Any, None]]) -> None:
        asyncio.run_coroutine_threadsafe(action(), self._loop).result(_COMMAND_SECONDS)

    async def _listen(self) -> None:
        if self._listener is None:
            self._listener = await asyncio.start_server(self._serve, self.host, self.port)
            self.port = self._listener.sockets[0].getsockname()[1]

    async def _stop_listening(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    async def _close(self) -> None:
        await self._stop_listening()
        self._faults.flowing.set()
        for task in list(self._serving):
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        self.accepted += 1
        try:
            await self._connect_through(reader, writer)
        except asyncio.CancelledError:
            return
        finally:
            self._serving.discard(task)
            writer.close()

    async def _connect_through(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await self._faults.flowing.wait()
        try:
            server_reader, server_writer = await asyncio.open_connection(*self._target)
        except OSError:
            writer.transport.abort()
            return
        link = _Link(self._faults, writer, server_writer)
        self._links.add(link)
        try:
            await link.run(reader, server_reader)
        finally:
            self._links.discard(link)
            link.close()
