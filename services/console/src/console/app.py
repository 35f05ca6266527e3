"""The composition root: here, and nowhere else, ports meet adapters."""

import asyncio
import contextlib
import sys
from collections.abc import AsyncGenerator
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Protocol
from urllib.parse import urlsplit

from starlette.types import ASGIApp

from chassis.clock import Clock, SystemClock
from chassis.db import Database
from chassis.doctor import Check, standard_checks
from chassis.errors import TransientError
from chassis.logs import get_logger
from chassis.process import Background, host
from console.adapters.argon2_passwords import Argon2Passwords
from console.adapters.audit import PostgresAudit, UnauditedLooks
from console.adapters.changes import PostgresChanges
from console.adapters.commands import OutboxCommands
from console.adapters.datasets import PostgresDatasets
from console.adapters.dead_letters import PostgresDeadLetters
from console.adapters.drifts import PostgresDrifts
from console.adapters.entities import PostgresEntities
from console.adapters.oidc import OidcProvider, PostgresPendingLogins
from console.adapters.overview import PostgresOverviews
from console.adapters.probes import HttpProbes
from console.adapters.run_log import PostgresRunLog
from console.adapters.runs import PostgresRuns
from console.adapters.services import PostgresServices
from console.adapters.sessions import (
    PostgresLoginAttempts,
    PostgresSessions,
    PostgresTokens,
)
from console.adapters.sources import PostgresSources
from console.adapters.tables import PostgresTables
from console.adapters.users import PostgresUsers
from console.domain.credentials import digest, new_api_token
from console.domain.principals import LocalUser
from console.handlers.administer import FIRST_USER, Administer
from console.handlers.feed import Feed
from console.handlers.identify import Identify
from console.handlers.login import Login
from console.handlers.oidc_login import OidcLogin
from console.ports.commands import Commands
from console.ports.identity import SessionLimits
from console.settings import ConsoleSettings, OidcSettings, WebSettings, read_users_file
from console.web.access import ACCESS, AccessTable
from console.web.application import build_application
from console.web.assets import load_assets
from console.web.context import Context
from console.web.renderer import Renderer
from console.web.server import listen, serving
from console.web.site import Site

_TRIM_SECONDS = 600.0
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_HERE = Site(frozenset({"localhost"}), frozenset({"http://localhost"}), is_secure=False)


class PageSettings(Protocol):
    """What pages and the API depend on."""

    @property
    def web(self) -> WebSettings:
        """Sessions, and the services' probes."""
        ...

    @property
    def oidc(self) -> OidcSettings | None:
        """The identity provider."""
        ...


@dataclass(frozen=True, slots=True)
class LocalConsole:
    """The console in the process of whoever asks it."""

    app: ASGIApp
    address: str
    token: str
    """Whoever shows it is the user of this machine; known to this process only."""


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
                process.background("tidy", keep_tidy(process.database, _limits(settings.web)))
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


@dataclass(frozen=True, slots=True)
class _LocalSettings:
    web: WebSettings
    oidc: OidcSettings | None = None


@contextlib.asynccontextmanager
async def open_local(
    database: Database, commands: Commands, user: str
) -> AsyncGenerator[LocalConsole]:
    """Lend the console to one user in this process: no port, no sessions, every right.

    Its commands go the way that is given: the outbox is for those whom every relay trusts. Looks
    at values are not audited, since whoever holds the database's password looks without us.
    """
    settings = _LocalSettings(WebSettings.model_validate({}))
    token = new_api_token()
    async with open_context(database, settings) as context:
        known = LocalUser(user, digest(token))
        local = replace(
            context,
            commands=commands,
            audit=UnauditedLooks(context.audit),
            identify=replace(context.identify, tokens=known),
        )
        app = build_application(local, _HERE, hides_failures=False)
        yield LocalConsole(app, _HERE.address, token)


@contextlib.asynccontextmanager
async def open_context(
    database: Database, settings: PageSettings, clock: Clock | None = None
) -> AsyncGenerator[Context]:
    """Join ports and adapters, and close what they used."""
    clock = clock or SystemClock()
    assets = load_assets()
    sessions, tokens = PostgresSessions(database), PostgresTokens(database)
    users, audit = PostgresUsers(database), PostgresAudit(database)
    async with contextlib.AsyncExitStack() as until:
        passwords = Argon2Passwords()
        until.callback(passwords.close)
        probes = HttpProbes(settings.web.probe_addresses)
        until.push_async_callback(probes.close)
        login = Login(
            users=users,
            sessions=sessions,
            attempts=PostgresLoginAttempts(database),
            passwords=passwords,
            audit=audit,
        )
        yield Context(
            renderer=Renderer(assets, access=AccessTable(ACCESS), clock=clock),
            assets=assets,
            identify=Identify(sessions, tokens, _limits(settings.web)),
            users=users,
            tokens=tokens,
            audit=audit,
            commands=OutboxCommands(database),
            runs=PostgresRuns(database),
            run_log=PostgresRunLog(database),
            sources=PostgresSources(database),
            tables=PostgresTables(database),
            datasets=PostgresDatasets(database),
            entities=PostgresEntities(database),
            dead_letters=PostgresDeadLetters(database),
            drifts=PostgresDrifts(database),
            feed=Feed(PostgresChanges(database)),
            overviews=PostgresOverviews(database),
            services=PostgresServices(database),
            probes=probes,
            login=login,
            administer=Administer(
                users=users,
                sessions=sessions,
                tokens=tokens,
                passwords=passwords,
                audit=audit,
                clock=clock,
            ),
            oidc=await until.enter_async_context(_open_oidc(database, settings, login, clock)),
        )


@contextlib.asynccontextmanager
async def _open_oidc(
    database: Database, settings: PageSettings, login: Login, clock: Clock
) -> AsyncGenerator[OidcLogin | None]:
    if settings.oidc is None:
        yield None
        return
    provider = OidcProvider(settings.oidc, clock)
    try:
        yield OidcLogin(
            provider=provider,
            pending=PostgresPendingLogins(database),
            login=login,
            roles=settings.oidc.roles,
        )
    finally:
        await provider.close()


def keep_tidy(database: Database, limits: SessionLimits) -> Background:
    """Return the background task that deletes what is over."""
    sessions = PostgresSessions(database)

    async def keep() -> None:
        while True:
            try:
                await sessions.trim(limits)
            except TransientError as error:
                get_logger().warning("sessions_not_trimmed", error=error)
            await asyncio.sleep(_TRIM_SECONDS)

    return keep


def _limits(settings: WebSettings) -> SessionLimits:
    return SessionLimits(
        lifetime=timedelta(hours=settings.session_hours),
        idle=timedelta(minutes=settings.idle_minutes),
    )
