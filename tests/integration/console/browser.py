"""A browser without a screen: the real application on a real database, spoken to over ASGI."""

import contextlib
import re
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from html import unescape
from typing import Any

import httpx

from chassis.db import Database
from console.adapters.sessions import PostgresSessions
from console.adapters.users import PostgresUsers
from console.app.context import open_context
from console.domain.credentials import digest, form_token, new_token
from console.domain.roles import Role
from console.settings import ConsoleSettings
from console.web.application import build_application
from console.web.context import Context
from console.web.site import Site

ORIGIN = "http://127.0.0.1:8000"
SITE = Site(hosts=frozenset({"127.0.0.1"}), origins=frozenset({ORIGIN}), is_secure=False)


@dataclass(slots=True)
class Browser:
    """Somebody who is logged on."""

    client: httpx.AsyncClient
    name: str
    cookie: str

    async def get(self, path: str, **options: Any) -> httpx.Response:
        return await self.client.get(path, **options)

    async def page(self, path: str) -> str:
        """Return the text of a page that must be there."""
        answer = await self.client.get(path)
        assert answer.status_code == 200, f"{path}: {answer.status_code} {answer.text[:500]}"
        return answer.text

    async def read(self, path: str) -> Any:
        """Return what the JSON API says."""
        answer = await self.client.get(f"/api/v1{path}")
        assert answer.status_code == 200, f"{path}: {answer.status_code} {answer.text[:500]}"
        return answer.json()

    async def post(
        self, path: str, fields: Mapping[str, str] | None = None, **headers: str
    ) -> httpx.Response:
        """Send a form as a page of ours does."""
        data = {"csrf": form_token(self.cookie), **(fields or {})}
        return await self.client.post(path, data=data, headers={"Origin": ORIGIN, **headers})

    async def command(self, path: str, fields: Mapping[str, str] | None = None) -> str:
        """Send a form that gives a command; return the command's id."""
        answer = await self.post(path, fields)
        assert answer.status_code == 303, f"{path}: {answer.status_code} {visible(answer.text)}"
        return answer.headers["location"].rpartition("/")[2]


@dataclass(slots=True)
class Console:
    """The application under test."""

    app: Any
    context: Context
    database: Database
    _clients: contextlib.AsyncExitStack = field(default_factory=contextlib.AsyncExitStack)

    async def anonymous(self) -> httpx.AsyncClient:
        transport = httpx.ASGITransport(app=self.app, client=("192.0.2.7", 50000))
        return await self._clients.enter_async_context(
            httpx.AsyncClient(transport=transport, base_url=ORIGIN, timeout=30)
        )

    async def login(self, role: Role | str = Role.VIEWER) -> Browser:
        """Return a browser in which somebody of that role is logged on (`viewer`, `admin`, ...)."""
        role = Role(role)
        users = PostgresUsers(self.database)
        name = f"{role}-{new_token()[:6].lower()}"
        user_id = await users.add(name, role=role, password_hash="none", must_change_password=False)
        assert user_id is not None
        cookie = new_token()
        await PostgresSessions(self.database).open(
            user_id, digest(cookie), address="192.0.2.7", agent="tests"
        )
        client = await self.anonymous()
        client.cookies.set(SITE.session_cookie, cookie, domain="127.0.0.1")
        return Browser(client, name, cookie)

    async def outbox(self) -> list[dict[str, Any]]:
        """Return the commands that wait for the relay: topic and data."""
        async with self.database.connection() as connection:
            rows = await connection.fetch(
                "select topic, convert_from(value, 'utf8')::jsonb -> 'data' as data "
                "from meta.outbox where service = 'console' order by id"
            )
        return [{"topic": row["topic"], **row["data"]} for row in rows]

    async def audit(self) -> list[dict[str, Any]]:
        """Return the audit entries, the oldest first."""
        async with self.database.connection() as connection:
            rows = await connection.fetch(
                "select actor, action, subject, details from meta.audit order by id"
            )
        return [dict(row) for row in rows]


@contextlib.asynccontextmanager
async def open_console(database: Database, **settings: str) -> AsyncGenerator[Console]:
    async with open_context(database, read_settings(**settings)) as context:
        console = Console(build_application(context, SITE), context, database)
        async with console._clients:
            yield console


def read_settings(**values: str) -> ConsoleSettings:
    """Return settings; `CONSOLE_USERS_FILE=...` and the like on top of what is needed."""
    parts = {
        "kafka": {"KAFKA_BOOTSTRAP_SERVERS": "none"},
        "database": {"DATABASE_URL": "postgresql://"},
    }
    oidc = {name: value for name, value in values.items() if name.startswith("CONSOLE_OIDC_")}
    web = {name: value for name, value in values.items() if name not in oidc}
    return ConsoleSettings.model_validate(
        {**parts, "process": {}, "web": web, "oidc": oidc or None}
    )


def visible(text: str) -> str:
    """Return what a reader sees of a page, in one line."""
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", text)).split())
