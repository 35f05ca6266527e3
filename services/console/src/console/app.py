"""The composition root: here, and nowhere else, ports meet adapters."""

from datetime import timedelta
from urllib.parse import urlsplit

from chassis.clock import SystemClock
from chassis.db import Database
from chassis.doctor import Check, standard_checks
from chassis.logs import get_logger
from chassis.process import host
from console.adapters.audit import PostgresAudit
from console.adapters.changes import PostgresChanges
from console.adapters.commands import OutboxCommands
from console.adapters.runs import PostgresRuns
from console.adapters.sessions import PostgresSessions, PostgresTokens
from console.adapters.users import PostgresUsers
from console.handlers.feed import Feed
from console.handlers.identify import Identify
from console.ports.identity import SessionLimits
from console.settings import ConsoleSettings, WebSettings
from console.web.access import ACCESS, AccessTable
from console.web.application import build_application
from console.web.assets import load_assets
from console.web.context import Context
from console.web.guard import Site
from console.web.renderer import Renderer
from console.web.server import listen, serving

_LOOPBACK = ("127.0.0.1", "localhost", "::1")


async def run(settings: ConsoleSettings) -> None:
    """Run the console until it is told to stop.

    Raises:
        SettingsError: the port is taken.
    """
    async with host("console", settings) as process:
        with listen(settings.web) as listener:
            site = read_site(settings.web, listener.getsockname()[1])
            context = build_context(process.database, settings)
            process.background("changes", context.feed.run)
            app = build_application(context, site)
            async with serving(app, listener, settings.web):
                get_logger().info("console_listening", address=min(site.origins))
                await process.run()


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


def build_context(database: Database, settings: ConsoleSettings) -> Context:
    """Join ports and adapters."""
    assets = load_assets()
    renderer = Renderer(assets, access=AccessTable(ACCESS), clock=SystemClock())
    limits = _limits(settings.web)
    return Context(
        renderer=renderer,
        assets=assets,
        identify=Identify(PostgresSessions(database), PostgresTokens(database), limits),
        users=PostgresUsers(database),
        audit=PostgresAudit(database),
        commands=OutboxCommands(database),
        runs=PostgresRuns(database),
        feed=Feed(PostgresChanges(database)),
    )


def _limits(settings: WebSettings) -> SessionLimits:
    return SessionLimits(
        lifetime=timedelta(hours=settings.session_hours),
        idle=timedelta(minutes=settings.idle_minutes),
    )
