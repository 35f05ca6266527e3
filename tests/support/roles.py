"""A database of which every service has only what its role may do."""

from pathlib import Path

import asyncpg

from chassis.migrations import migrate
from penstock.grants import lay_grants
from tests.support.addresses import PostgresAddress
from tests.support.databases import with_user
from tests.support.paths import PROJECT

ROLES = (
    "penstock_scanner",
    "penstock_ingestor",
    "penstock_transformer",
    "penstock_refresher",
    "penstock_wrds_sync",
    "penstock_console",
    "penstock_operator",
    "penstock_reporting",
)
_ROLES_SQL = Path(PROJECT, "deploy/postgres/roles.sql").read_text("utf-8")


async def make_guarded(postgres: PostgresAddress, name: str) -> str:
    """Make a database as an installation does: roles, then migrations and grants as the owner."""
    url = await make_with_roles(postgres, name)
    owner = role_url(url, "penstock_owner")
    await migrate(owner)
    await lay_grants(owner)
    return url


async def make_with_roles(postgres: PostgresAddress, name: str) -> str:
    """Make an empty database, and the roles that may use it."""
    server = await asyncpg.connect(postgres.url)
    try:
        await server.execute(f"create database {name}")
    finally:
        await server.close()
    administrator = await asyncpg.connect(postgres.database(name))
    try:
        await administrator.execute(_ROLES_SQL)
        await administrator.execute(_ROLES_SQL)  # it may be run again
        for role in (*ROLES, "penstock_owner"):
            await administrator.execute(f"alter role {role} password 'password-of-{role}'")
    finally:
        await administrator.close()
    return postgres.database(name)


def role_url(url: str, role: str) -> str:
    return with_user(url, role, f"password-of-{role}")
