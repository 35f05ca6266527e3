"""Databases of the demo's own beside the hub's: production, UAT, and an archive."""

import contextlib
import csv
import secrets
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit, urlunsplit

import asyncpg

_CONNECT_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Login:
    """A role of the demo's server, with a password for this run."""

    name: str
    password: str

    @classmethod
    def new(cls, name: str) -> Self:
        """Think of a password."""
        return cls(name, secrets.token_urlsafe(18))

    @property
    def create(self) -> str:
        """The statement that makes the role."""
        return f"create role {self.name} login password '{self.password}'"


@dataclass(frozen=True, slots=True)
class OwnDatabase:
    """One database, as the owner of the server sees it."""

    url: str

    @classmethod
    async def create(cls, server_url: str, name: str, *, owner: str | None = None) -> Self:
        """Make an empty database on the server of another."""
        owned = f" owner {owner}" if owner else ""
        async with cls(server_url).connection() as connection:
            await connection.execute(f"create database {name}{owned}")
        return cls(urlunsplit(urlsplit(server_url)._replace(path=f"/{name}")))

    @property
    def host(self) -> str:
        """Where it is."""
        return urlsplit(self.url).hostname or "127.0.0.1"

    @property
    def port(self) -> int:
        """Where it is."""
        return urlsplit(self.url).port or 5432

    @property
    def name(self) -> str:
        """What it is called."""
        return urlsplit(self.url).path.lstrip("/")

    @contextlib.asynccontextmanager
    async def connection(self) -> AsyncGenerator["asyncpg.Connection[asyncpg.Record]"]:
        """Connect."""
        connection = await asyncpg.connect(self.url, timeout=_CONNECT_SECONDS)
        try:
            yield connection
        finally:
            await connection.close(timeout=_CONNECT_SECONDS)

    async def run(self, *statements: str) -> None:
        """Execute statements, one after the other."""
        async with self.connection() as connection:
            for statement in statements:
                await connection.execute(statement)

    async def value(self, query: str, *arguments: object) -> Any:
        """Return a query's only value."""
        async with self.connection() as connection:
            return await connection.fetchval(query, *arguments)

    async def row(self, query: str) -> Sequence[Any]:
        """Return a query's only row."""
        async with self.connection() as connection:
            found = await connection.fetchrow(query)
        return tuple(found) if found else ()

    async def load(self, tables: Mapping[str, Path]) -> None:
        """Copy CSV files with a header into tables, in this order."""
        async with self.connection() as connection:
            for table, path in tables.items():
                with path.open("rb") as source:
                    await connection.copy_to_table(
                        table, source=source, format="csv", header=True, columns=_header(path)
                    )


def _header(path: Path) -> list[str]:
    with path.open(encoding="utf-8", newline="") as file:
        return next(csv.reader(file))
