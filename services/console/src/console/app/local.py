"""The console in the process of whoever asks it: no port, no sessions, no background work."""

import contextlib
from collections.abc import AsyncGenerator
from dataclasses import dataclass, replace

from starlette.types import ASGIApp

from chassis.db import Database
from console.adapters.audit import UnauditedLooks
from console.app.context import open_context
from console.domain.credentials import digest, new_api_token
from console.domain.principals import LocalUser
from console.ports.commands import Commands
from console.settings import OidcSettings, WebSettings
from console.web.application import build_application
from console.web.site import Site

_HERE = Site(frozenset({"localhost"}), frozenset({"http://localhost"}), is_secure=False)


@dataclass(frozen=True, slots=True)
class LocalConsole:
    """The console in the process of whoever asks it."""

    app: ASGIApp
    address: str
    token: str
    """Whoever shows it is the user of this machine; known to this process only."""


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
