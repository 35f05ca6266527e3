"""Serves the application on a port of its own, beside the probes."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncGenerator, Generator

import uvicorn
from starlette.types import ASGIApp

from chassis.errors import SettingsError
from console.settings import WebSettings

_CLOSE_SECONDS = 3


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        """Leave signals to the process host."""
        yield


def listen(settings: WebSettings) -> socket.socket:
    """Take the port.

    Raises:
        SettingsError: it is taken, or there is no such address here.
    """
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        return socket.create_server((settings.host, settings.port), family=family)
    except OSError as error:
        problem = (
            f"`CONSOLE_HOST`={settings.host} and `CONSOLE_PORT`={settings.port} cannot be used: "
            f"{str(error.strerror).partition(' (while')[0]}"
        )
        raise SettingsError(problem, problems=[problem]) from error


@contextlib.asynccontextmanager
async def serving(
    app: ASGIApp, listener: socket.socket, settings: WebSettings
) -> AsyncGenerator[None]:
    """Serve until the body ends; streams that are open then are cut."""
    proxies = [item.strip() for item in settings.trusted_proxies.split(",") if item.strip()]
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        lifespan="off",
        server_header=False,
        proxy_headers=bool(proxies),
        forwarded_allow_ips=proxies,
        h11_max_incomplete_event_size=32 * 1024,
        timeout_graceful_shutdown=_CLOSE_SECONDS,
    )
    server = _Server(config)
    async with asyncio.TaskGroup() as group:
        group.create_task(server.serve(sockets=[listener]))
        try:
            yield
        finally:
            server.should_exit = True
