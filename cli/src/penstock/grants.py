"""Lays who may do what in the hub's database: after the migrations, as the owner of its tables."""

from importlib.resources import files

import asyncpg

from chassis.db import connecting, translated_errors

_GRANTS = "sql/grants.sql"


async def lay_grants(database_url: str) -> bool:
    """Grant the service roles what they need and revoke everything else; return whether there are
    such roles.

    Raises:
        TransientError: the database does not answer, or this user owns not all of it.
    """
    with connecting():
        connection = await asyncpg.connect(database_url, timeout=30)
    try:
        with translated_errors():
            if await connection.fetchval("select to_regrole('penstock_service')") is None:
                return False
            async with connection.transaction():
                await connection.execute((files("penstock") / _GRANTS).read_text("utf-8"))
            return True
    finally:
        await connection.close(timeout=10)
