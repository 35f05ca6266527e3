"""A production and a UAT database on one server, and the two logins that a refresh uses."""

import contextlib
import re
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import asyncpg

from tests.support.addresses import PostgresAddress
from tests.support.paths import shared_data

READER_PASSWORD = "reads-only"
WRITER_PASSWORD = "writes-uat"

_COPY = re.compile(r"^COPY (\S+) \(([^\n]*)\) FROM stdin;\n(.*?)^\\\.\n", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Estate:
    """Both databases; `*_url` are the server's owner's, for preparing and looking."""

    host: str
    port: int
    production: str
    uat: str
    reader: str
    writer: str
    production_url: str
    uat_url: str

    async def production_does(self, *statements: str) -> None:
        await _execute(self.production_url, *statements)

    async def uat_does(self, *statements: str) -> None:
        await _execute(self.uat_url, *statements)

    async def in_production(self, query: str, *args: object) -> Any:
        return await _value(self.production_url, query, *args)

    async def in_uat(self, query: str, *args: object) -> Any:
        return await _value(self.uat_url, query, *args)

    async def rows(self, url: str, query: str) -> list[tuple[Any, ...]]:
        connection = await asyncpg.connect(url, timeout=10)
        try:
            return [tuple(row) for row in await connection.fetch(query)]
        finally:
            await connection.close(timeout=10)

    async def checksum(self, url: str, table: str, columns: str = "t.*") -> tuple[int, str]:
        """Return the number of rows and an order-free sum, computed apart from the product."""
        found = await self.rows(
            url,
            f"select count(*), coalesce(sum(('x' || left(md5(row({columns})::text), 15))"
            f"::bit(60)::bigint::numeric), 0)::text from {table} as t",
        )
        return found[0][0], found[0][1]

    async def everything(self, url: str) -> dict[str, tuple[int, str]]:
        """Return the checksum of every table of the schema public."""
        tables = await self.rows(
            url,
            "select relname::text from pg_class where relkind in ('r', 'p') "
            "and relnamespace = 'public'::regnamespace and not relispartition order by 1",
        )
        return {name: await self.checksum(url, f'public."{name}"') for (name,) in tables}

    async def give_to_roles(self) -> None:
        """Let the reader read production, and the writer own what is in UAT."""
        await self.production_does(
            "revoke create on schema public from public",
            f"grant usage on schema public to {self.reader}",
            f"grant select on all tables in schema public to {self.reader}",
        )
        await self.uat_does(_OWN.format(role=self.writer))


_OWN = """
do $$ declare item record; begin
for item in select format('alter %s %I.%I owner to {role}',
        case relkind when 'S' then 'sequence' when 'v' then 'view'
            when 'm' then 'materialized view' else 'table' end,
        nspname, relname) as statement
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where nspname = 'public' and relkind in ('r', 'p', 'v', 'm', 'S')
      and not exists (select from pg_depend d where d.objid = c.oid and d.deptype in ('a', 'i')
        and c.relkind = 'S')
loop execute item.statement; end loop; end $$
"""


@contextlib.asynccontextmanager
async def open_estate(postgres: PostgresAddress, unique: str) -> AsyncGenerator[Estate]:
    """Make two empty databases and the roles; drop them afterwards."""
    parts = urlsplit(postgres.url)
    estate = Estate(
        host=parts.hostname or "127.0.0.1",
        port=parts.port or 5432,
        production=f"{unique}_production",
        uat=f"{unique}_uat",
        reader=f"{unique}_reader",
        writer=f"{unique}_writer",
        production_url=postgres.database(f"{unique}_production"),
        uat_url=postgres.database(f"{unique}_uat"),
    )
    await _execute(
        postgres.url,
        f"create role {estate.reader} login password '{READER_PASSWORD}'",
        f"create role {estate.writer} login password '{WRITER_PASSWORD}'",
        f"create database {estate.production}",
        f"create database {estate.uat} owner {estate.writer}",
        f"alter database {estate.uat} set penstock.refresh_role = 'target'",
    )
    await _execute(estate.production_url, "revoke create on schema public from public")
    try:
        yield estate
    finally:
        await _execute(
            postgres.url,
            f"drop database {estate.production} with (force)",
            f"drop database {estate.uat} with (force)",
            f"drop role {estate.reader}",
            f"drop role {estate.writer}",
        )


async def load_pagila(url: str, *, with_data: bool = True) -> None:
    schema = shared_data("relational", "pagila", "pagila-schema.sql").read_text("utf-8")
    # The dump's owner is a role that not every server has.
    await _execute(url, re.sub(r"^ALTER .* OWNER TO postgres;$", "", schema, flags=re.MULTILINE))
    if with_data:
        await load_dump(url, shared_data("relational", "pagila", "pagila-data.sql").read_text())


async def load_northwind(url: str) -> None:
    script = shared_data("relational", "northwind", "northwind_postgres.sql").read_text("utf-8")
    await _execute(url, script)


async def load_dump(url: str, dump: str) -> None:
    """Execute a dump as psql would: statements, and `COPY` blocks with their data."""
    connection = await asyncpg.connect(url, timeout=10)
    try:
        done = 0
        # As `pg_dump` expects it: references are not looked at, triggers do not fire.
        await connection.execute("set session_replication_role = replica")
        for block in _COPY.finditer(dump):
            # The client takes no script without a statement in it.
            await connection.execute(f"select;{dump[done : block.start()]}")
            await _copy(connection, block)
            done = block.end()
        await connection.execute(f"select;{dump[done:]}")
    finally:
        await connection.close(timeout=10)


async def _copy(connection: "asyncpg.Connection[asyncpg.Record]", block: re.Match[str]) -> None:
    schema, _, table = block[1].rpartition(".")

    async def data() -> AsyncGenerator[bytes]:
        yield block[3].encode()

    await connection.copy_to_table(
        table.strip('"'),
        schema_name=schema.strip('"') or None,
        columns=[name.strip().strip('"') for name in block[2].split(",")],
        source=data(),
        format="text",
    )


async def _execute(url: str, *statements: str) -> None:
    connection = await asyncpg.connect(url, timeout=10)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close(timeout=10)


async def _value(url: str, query: str, *args: object) -> Any:
    connection = await asyncpg.connect(url, timeout=10)
    try:
        return await connection.fetchval(query, *args)
    finally:
        await connection.close(timeout=10)


def tables_config(names: Sequence[str], **settings: Any) -> list[dict[str, Any]]:
    return [{"name": name, **settings} for name in names]
