"""Each database role can do its service's work and is refused everything else (42501)."""

import asyncio
import contextlib
import uuid
from collections.abc import AsyncGenerator

import asyncpg
import pytest

from tests.support.addresses import PostgresAddress
from tests.support.roles import ROLES, make_guarded, role_url

SCHEMAS = [
    "meta",
    "scanner",
    "bronze",
    "silver",
    "shadow",
    "quality",
    "refresher",
    "wrds_sync",
    "console",
]

OUTBOX = (
    "insert into meta.outbox (id, service, topic, key, value) "
    "values (nextval('meta.outbox_id_seq'), 's', 't', 'k', 'v')"
)
AUDIT = "insert into meta.audit (service, actor, action, subject) values ('s', 'a', 'b', 'c')"

ALLOWED = {
    "penstock_scanner": [
        "delete from scanner.poll_seen",
        "update scanner.inventory set state = 'seen' where false",
        "select scanner.lies_within('a', array['a'])",
        "select 1 from meta.runs for update skip locked",
        "select * from scanner.missing_records",
    ],
    "penstock_ingestor": [
        "select bronze.create_partitions()",
        "select nextval('bronze.raw_entities_id_seq')",
        "update bronze.heads set version = 2 where false",
        "delete from bronze.enrichments",
    ],
    "penstock_transformer": [
        "select raw_data from bronze.raw_entities",
        "delete from silver.transcripts",
        "delete from meta.entity_keys",
        "create temporary table stage (like silver.transcripts)",
        "select * from silver.provenance",
    ],
    "penstock_refresher": [
        "select nextval('refresher.fence_seq')",
        "update refresher.plans set message = '' where false",
        "delete from refresher.previews",
    ],
    "penstock_wrds_sync": ["delete from wrds_sync.states"],
    "penstock_console": [
        "delete from console.sessions",
        "lock table console.users in share row exclusive mode",
        "select * from meta.dead_letters",
        "select 1 from meta.leases for key share",
        OUTBOX,
        AUDIT,
    ],
    "penstock_operator": [
        "select * from bronze.raw_entities",
        "select * from scanner.held_deletions",
        "select * from meta.entity_sources",
    ],
    "penstock_reporting": [
        "select * from silver.transcripts",
        "select * from meta.sync_logs",
        "select * from silver.provenance",
    ],
}
for service in ROLES[:5]:
    ALLOWED[service] += [
        OUTBOX,
        AUDIT,
        "delete from meta.outbox",
        "select 1 from meta.leases for key share",
        "delete from meta.record_errors",
        "select * from meta.migrations",
    ]

FORBIDDEN = {
    "penstock_scanner": [
        "select * from bronze.heads",
        "insert into bronze.heads default values",
        "select * from silver.transcripts",
        "select * from console.users",
        "create temporary table t (a int)",
    ],
    "penstock_ingestor": [
        "delete from bronze.raw_entities",
        "update bronze.raw_entities set raw_data = null",
        "delete from bronze.heads",
        "delete from bronze.entities",
        "truncate bronze.enrichments",
        "alter table bronze.heads add column extra text",
        "select * from silver.transcripts",
        "update scanner.inventory set state = 'seen'",
        "delete from bronze.raw_entities_default",
    ],
    "penstock_transformer": [
        "insert into bronze.heads default values",
        "update bronze.heads set version = 1",
        "delete from bronze.raw_entities",
        "create table silver.other (a int)",
        "drop table silver.transcripts",
        "truncate silver.transcripts",
        "select bronze.create_partitions()",
        "select * from scanner.inventory",
    ],
    "penstock_refresher": [
        "delete from refresher.plans",
        "delete from refresher.databases",
        "select * from bronze.heads",
        "select * from wrds_sync.states",
    ],
    "penstock_wrds_sync": [
        "select * from refresher.plans",
        "insert into bronze.heads default values",
        "create table wrds_sync.other (a int)",
    ],
    "penstock_console": [
        "update meta.runs set status = 'completed'",
        "update meta.dead_letters set status = 'discarded'",
        "update meta.drifts set status = 'accepted'",
        "delete from meta.audit",
        "update meta.audit set actor = 'x'",
        "update silver.heads set version = 1",
        "delete from bronze.raw_entities",
        "truncate console.users",
    ],
    "penstock_operator": [
        "select * from console.users",
        "select * from refresher.previews",
        OUTBOX,
        "delete from meta.audit",
    ],
    "penstock_reporting": [
        "select * from bronze.raw_entities",
        "select * from meta.dead_letters",
        "select * from meta.runs",
        "select * from console.users",
        "delete from silver.transcripts",
    ],
}
for service in ROLES:
    FORBIDDEN[service] += [
        "create schema own",
        "create table public.own (a int)",
        "set role penstock_owner",
        "update meta.migrations set checksum = ''",
        "alter role penstock_owner password 'x'",
    ]


@pytest.fixture(scope="module")
def guarded(postgres: PostgresAddress) -> str:
    return asyncio.run(make_guarded(postgres, f"guarded_{uuid.uuid4().hex[:10]}"))


@contextlib.asynccontextmanager
async def logged_on(url: str, role: str) -> "AsyncGenerator[asyncpg.Connection[asyncpg.Record]]":
    connection = await asyncpg.connect(role_url(url, role))
    try:
        yield connection
    finally:
        await connection.close()


@pytest.mark.parametrize("role", ROLES)
async def test_a_role_may_do_its_work_and_is_refused_the_rest(guarded: str, role: str) -> None:
    refused, let_in = [], []
    async with logged_on(guarded, role) as connection:
        await connection.execute("set default_transaction_read_only = off")  # only a seat belt
        for statement in ALLOWED[role]:
            try:
                await _tried(connection, statement)
            except asyncpg.InsufficientPrivilegeError:
                refused.append(statement)
        for statement in FORBIDDEN[role]:
            with contextlib.suppress(asyncpg.InsufficientPrivilegeError):  # 42501
                await _tried(connection, statement)
                let_in.append(statement)

    assert refused == []
    assert let_in == []


async def _tried(connection: "asyncpg.Connection[asyncpg.Record]", statement: str) -> None:
    transaction = connection.transaction()
    await transaction.start()
    try:
        await connection.execute(statement)
    finally:
        await transaction.rollback()


async def test_nobody_but_the_owner_truncates_creates_or_rewrites_bronze(guarded: str) -> None:
    async with logged_on(guarded, "penstock_owner") as connection:
        able = await connection.fetch(
            "select r.rolname, c.oid::regclass::text from pg_roles r, pg_class c "
            "where r.rolname = any($1) and c.relnamespace::regnamespace::text = any($2) "
            "and c.relkind in ('r', 'p', 'v') and ("
            "  has_table_privilege(r.oid, c.oid, 'TRUNCATE, REFERENCES, TRIGGER') or "
            "  c.relname like 'raw_entities%' "
            "  and has_table_privilege(r.oid, c.oid, 'UPDATE, DELETE'))",
            ROLES,
            SCHEMAS,
        )
        creators = await connection.fetch(
            "select r.rolname, n.nspname from pg_roles r, pg_namespace n "
            "where r.rolname = any($1) and n.nspname = any($2) "
            "and has_schema_privilege(r.oid, n.oid, 'CREATE')",
            ROLES,
            [*SCHEMAS, "public"],
        )
        foreign = await connection.fetch(
            "select oid::regclass::text from pg_class where relowner <> 'penstock_owner'::regrole "
            "and relnamespace::regnamespace::text = any($1)",
            SCHEMAS,
        )

    assert able == []
    assert creators == []
    assert foreign == []


async def test_the_audit_can_be_trimmed_when_it_is_old_and_never_rewritten(guarded: str) -> None:
    async with logged_on(guarded, "penstock_scanner") as connection:
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute(
            "insert into meta.audit (service, actor, action, subject, at) values "
            "('s', 'a', 'old', 'x', now() - interval '31 days'), ('s', 'a', 'new', 'x', now())"
        )
        assert await connection.execute(
            "update meta.audit set actor = 'b' where action = 'new'"
        ) == ("UPDATE 0")
        assert (
            await connection.execute(
                "delete from meta.audit where id in (select id from meta.audit where subject = 'x' "
                "for update skip locked)"
            )
            == "DELETE 1"
        )
        left = await connection.fetch("select action from meta.audit where subject = 'x'")
        assert [row["action"] for row in left] == ["new"]
        await transaction.rollback()


async def test_each_role_has_its_limits(guarded: str) -> None:
    async with logged_on(guarded, "penstock_ingestor") as connection:
        limits = await connection.fetchrow(
            "select current_setting('search_path') as path, "
            "current_setting('statement_timeout') as statement, "
            "current_setting('lock_timeout') as lock, "
            "current_setting('idle_in_transaction_session_timeout') as idle"
        )
        connections = await connection.fetch(
            "select rolname from pg_roles where rolname like 'penstock\\_%' and rolcanlogin "
            "and rolconnlimit = -1"
        )
    async with logged_on(guarded, "penstock_reporting") as connection:
        with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
            await connection.execute("delete from silver.transcripts")

    assert limits is not None
    assert dict(limits) == {"path": '""', "statement": "10min", "lock": "30s", "idle": "1min"}
    assert connections == []
