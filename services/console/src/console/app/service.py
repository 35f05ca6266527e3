"""The service: a web server, its feed of changes, and tidying up."""

import sys
from functools import partial
from urllib.parse import urlsplit

from chassis.db import Database
from chassis.doctor import Check, standard_checks
from chassis.logs import get_logger
from chassis.periodic import repeat
from chassis.process import Background, host
from console.adapters.sessions import PostgresSessions
from console.app.context import open_context, session_limits
from console.handlers.administer import FIRST_USER
from console.ports.identity import SessionLimits
from console.settings import ConsoleSettings, WebSettings, read_users_file
from console.web.application import build_application
from console.web.server import listen, serving
from console.web.site import Site

_TRIM_SECONDS = 600.0
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


async def run(settings: ConsoleSettings) -> None:
    """Run the console until it is told to stop.

    Raises:
        SettingsError: the port is taken, or the users file is wrong.
    """
    async with host("console", settings) as process:
        with listen(settings.web) as listener:
            site = read_site(settings.web, listener.getsockname()[1])
            async with open_context(process.database, settings) as context:
                _welcome(await context.administer.prepare(read_users_file(settings.web)))
                process.background("changes", context.feed.run)
                process.background(
                    "tidy", keep_tidy(process.database, session_limits(settings.web))
                )
                async with serving(build_application(context, site), listener, settings.web):
                    get_logger().info("console_listening", address=site.address)
                    await process.run()


def _welcome(password: str | None) -> None:
    """Print the first user's password: not a log line, since nothing else may keep it."""
    if password is not None:
        sys.stdout.write(
            f"First start: log on as `{FIRST_USER}` with the one-time password {password}\n"
        )
        sys.stdout.flush()


def read_site(settings: WebSettings, port: int) -> Site:
    """Return where browsers find the console: where the settings say, else this machine."""
    if settings.public_url is not None:
        parts = urlsplit(settings.public_url)
        names = [parts.hostname or ""]
        return Site(frozenset(names), frozenset({settings.public_url}), parts.scheme == "https")
    names = [f"[{name}]" if ":" in name else name for name in _LOOPBACK]
    origins = frozenset(f"http://{name}:{port}" for name in names)
    return Site(frozenset(_LOOPBACK), origins, is_secure=False)


def checks(settings: ConsoleSettings) -> dict[str, Check]:
    """Return what `--check` looks at."""
    return standard_checks(settings, "console")


def keep_tidy(database: Database, limits: SessionLimits) -> Background:
    """Return the background task that deletes what is over."""
    sessions = PostgresSessions(database)

    return partial(
        repeat,
        partial(sessions.trim, limits),
        every_seconds=_TRIM_SECONDS,
        event="sessions_not_trimmed",
    )
