"""Serves the application on a port of its own, beside the probes."""

import contextlib
import socket

from starlette.types import ASGIApp

from chassis import web_server
from console.settings import WebSettings

_CLOSE_SECONDS = 3


def listen(settings: WebSettings) -> socket.socket:
    """Take the port.

    Raises:
        SettingsError: it is taken, or there is no such address here.
    """
    return web_server.listen(settings.host, settings.port, settings="CONSOLE")


def serving(
    app: ASGIApp, listener: socket.socket, settings: WebSettings
) -> contextlib.AbstractAsyncContextManager[None]:
    """Serve until the body ends; streams that are open then are cut."""
    proxies = [item.strip() for item in settings.trusted_proxies.split(",") if item.strip()]
    return web_server.serving(
        app,
        listener,
        close_seconds=_CLOSE_SECONDS,
        server_header=False,
        proxy_headers=bool(proxies),
        forwarded_allow_ips=proxies,
        h11_max_incomplete_event_size=32 * 1024,
    )
