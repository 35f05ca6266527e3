"""Counts round trips: a proxy that sees how often a client of PostgreSQL waits for an answer."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from dataclasses import dataclass

_WAITS_AFTER = (b"Q", b"S")
"""A simple query, and the message that ends an extended one."""

_ASKS_FOR_TLS = (80877103).to_bytes(4)


@dataclass(slots=True)
class Counted:
    """What has passed."""

    port: int = 0
    connections: int = 0
    round_trips: int = 0

    def reset(self) -> None:
        self.connections = self.round_trips = 0


@contextlib.asynccontextmanager
async def counting(host: str, port: int) -> AsyncGenerator[Counted]:
    """Listen on a free port of this machine, and forward."""
    counted = Counted()
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        counted.connections += 1
        there, back = await asyncio.open_connection(host, port)
        try:
            async with asyncio.TaskGroup() as group:
                answers = group.create_task(_forward(there, writer))
                await _count(reader, back, counted)
                answers.cancel()
        except (OSError, ExceptionGroup, asyncio.CancelledError):
            return
        finally:
            tasks.discard(task)
            writer.close()
            back.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    counted.port = server.sockets[0].getsockname()[1]
    try:
        yield counted
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()


async def _count(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, counted: Counted
) -> None:
    """Forward message by message: a kind and a length, but for the first ones without a kind."""
    kind = b""
    while True:
        try:
            size = await reader.readexactly(4)
            body = await reader.readexactly(int.from_bytes(size) - 4)
        except asyncio.IncompleteReadError:
            return
        counted.round_trips += kind in _WAITS_AFTER
        writer.write(kind + size + body)
        await writer.drain()
        kind = b"" if body == _ASKS_FOR_TLS else await reader.read(1)
