"""An HTTP server inside a process: on a port that was taken before, and deaf to signals."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncGenerator, Generator
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from chassis.errors import SettingsError


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        """Leave signals to the process host."""
        yield


def listen(host: str, port: int, *, settings: str) -> socket.socket:
    """Take a port.

    Args:
        host: An address of this machine.
        port: 0 takes a free one.
        settings: What both are called, up to `_HOST` and `_PORT`.

    Raises:
        SettingsError: it is taken, or there is no such address here.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        reason = str(error.strerror).partition(" (while")[0]  # the rest repeats the address
        problem = (
            f"`{settings}_HOST`={host} and `{settings}_PORT`={port} cannot be used: "
            f"{reason}; choose another port, or 0 for a free one"
        )
        raise SettingsError(problem, problems=[problem]) from error


@contextlib.asynccontextmanager
async def serving(
    app: ASGIApp, listener: socket.socket, *, close_seconds: int, **options: Any
) -> AsyncGenerator[None]:
    """Serve until the body ends; streams that are open `close_seconds` later are cut."""
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        lifespan="off",
        timeout_graceful_shutdown=close_seconds,
        **options,
    )
    server = _Server(config)
    async with asyncio.TaskGroup() as group:
        group.create_task(server.serve(sockets=[listener]))
        try:
            yield
        finally:
            server.should_exit = True
