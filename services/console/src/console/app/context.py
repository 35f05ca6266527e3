"""What pages and the API work with: here ports meet adapters."""

import contextlib
from collections.abc import AsyncGenerator
from datetime import timedelta
from typing import Protocol

from chassis.clock import Clock, SystemClock
from chassis.db import Database
from console.adapters.argon2_passwords import Argon2Passwords
from console.adapters.audit import PostgresAudit
from console.adapters.changes import PostgresChanges
from console.adapters.commands import OutboxCommands
from console.adapters.datasets import PostgresDatasets
from console.adapters.dead_letters import PostgresDeadLetters
from console.adapters.drifts import PostgresDrifts
from console.adapters.entities import PostgresEntities
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
from console.handlers.administer import Administer
from console.handlers.feed import Feed
from console.handlers.identify import Identify
from console.handlers.login import Login
from console.handlers.oidc_login import OidcLogin
from console.ports.identity import SessionLimits
from console.settings import OidcSettings, WebSettings
from console.web.access import ACCESS, AccessTable
from console.web.assets import load_assets
from console.web.context import Context
from console.web.renderer import Renderer


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
            identify=Identify(sessions, tokens, session_limits(settings.web)),
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
    # A third of a second of processor time, for what most consoles do without.
    from console.adapters.oidc import OidcProvider, PostgresPendingLogins  # noqa: PLC0415

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


def session_limits(settings: WebSettings) -> SessionLimits:
    """Return how long a session lasts."""
    return SessionLimits(
        lifetime=timedelta(hours=settings.session_hours),
        idle=timedelta(minutes=settings.idle_minutes),
    )
