"""Asks a PostgreSQL server who it is and what the login may do."""

# ruff: noqa: S608 - put together from constants of this module

from chassis.db import Connection
from refresher.domain.catalog import Side
from refresher.domain.guards import Identity

_SELF = """
select current_user::text as login, current_database()::text as database, d.oid::text as oid,
    current_setting('server_version') as version,
    (select system_identifier::text from pg_control_system()) as system,
    (select split_part(entry, '=', 2) from pg_db_role_setting s, unnest(s.setconfig) as entry
     where s.setdatabase = d.oid and s.setrole = 0 and entry like 'penstock.refresh_role=%'
     limit 1) as marker
from pg_database d where d.datname = current_database()
"""

# A right that is granted through a role counts like one's own: `has_*_privilege` and `MEMBER` see
# both. `case` keeps the order in which conditions are looked at. Functions that run with their
# owner's rights cannot be judged from the catalogs.
_POWERS = """
with mine as (
    select oid, rolsuper, rolcreaterole from pg_roles where rolname = current_user
),
tables as (
    select c.oid, c.relkind, c.relowner, format('%I.%I', n.nspname, c.relname) as name
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where c.relkind in ('r', 'p', 'v', 'm', 'f', 'S')
      and n.nspname not in ('pg_catalog', 'information_schema', 'pg_toast')
      and n.nspname not like 'pg_temp%' and n.nspname not like 'pg_toast_temp%'
)
select 1 as rank, 'it is a superuser' as power from mine where rolsuper
union all
select 1, 'it may create and change roles' from mine where rolcreaterole
union all
select 1, 'it is a member of ' || r.rolname from pg_roles r
where r.rolname in ('pg_write_all_data', 'pg_write_server_files', 'pg_execute_server_program')
  and pg_has_role(current_user, r.oid, 'MEMBER')
union all
select 2, 'it owns ' || name from tables where pg_has_role(current_user, relowner, 'MEMBER')
union all
select 3, 'it may write to ' || name from tables
where case when relkind <> 'S' then
    has_table_privilege(oid, 'INSERT, UPDATE, DELETE, TRUNCATE')
    or has_any_column_privilege(oid, 'INSERT, UPDATE') end
union all
select 4, 'it may advance ' || name from tables
where case when relkind = 'S' then has_sequence_privilege(oid, 'USAGE, UPDATE') end
union all
select 5, 'it may create tables in the schema ' || nspname
    || case nspname when 'public'
       then ' (revoke create on schema public from public)' else '' end
from pg_namespace
where nspname not like 'pg\\_%' and nspname <> 'information_schema'
  and has_schema_privilege(oid, 'CREATE')
union all
select 5, 'it may create schemas'
where has_database_privilege(current_database(), 'CREATE')
order by 1, 2
limit 50
"""
_SELF_AND_POWERS = f"""
select *, array(select power from ({_POWERS}) as found order by rank, power) as powers
from ({_SELF}) as self
"""


async def fingerprint(connection: Connection) -> str:
    """Return what tells this database from every other, its logical copies included.

    Raises:
        asyncpg.PostgresError: the server refuses to tell.
    """
    return _fingerprint(await connection.fetchrow(_SELF))


async def identify(connection: Connection, side: Side) -> Identity:
    """Return who the server says it is, and every way in which a source's login could write."""
    row = await connection.fetchrow(_SELF_AND_POWERS if side is Side.SOURCE else _SELF)
    assert row is not None  # noqa: S101 - a connection has a database
    return Identity(
        fingerprint=_fingerprint(row),
        database=row["database"],
        login=row["login"],
        version=row["version"].split(" ")[0],
        marker=row["marker"],
        powers=tuple(row["powers"]) if side is Side.SOURCE else (),
    )


def _fingerprint(row: object) -> str:
    return "postgresql/{system}/{oid}/{database}".format_map(dict(row))  # type: ignore[call-overload]
