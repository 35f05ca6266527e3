"""Applies each owner's SQL migrations, once, in order, under one lock.

Files lie in the owner's package as `sql/NNNN_pre_what.sql` or `sql/NNNN_post_what.sql`: *pre* is
safe while the old version still runs, *post* waits until it is gone. An applied file never
changes: its checksum is compared at every start.
"""

import hashlib
import importlib.util
import itertools
import re
from dataclasses import dataclass
from importlib.resources import files
from typing import Literal

import asyncpg

from chassis.db import Connection, connecting, translate, translated_errors
from chassis.errors import PermanentError, UnavailableError
from contracts.errors import ErrorCategory

OWNERS = ("chassis", "scanner", "ingestor", "transformer", "refresher", "wrds_sync", "console")
"""Installed owners of schemas, in the order in which their migrations build on each other."""

_LOCK = 7_364_018_225  # any constant: all migrations of one database wait for each other

_NUMBER = re.compile(r"[0-9]{4}")

Phase = Literal["pre", "post"]


class MigrationError(PermanentError):
    """A migration cannot be applied."""

    default_category = ErrorCategory.DATABASE_LOAD


@dataclass(frozen=True, slots=True)
class Migration:
    """One SQL file of one owner."""

    owner: str
    version: int
    phase: Phase
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        """SHA-256 of the file's text."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


def load_migrations(owner: str) -> list[Migration]:
    """Return an owner's migrations in order; empty when it ships none.

    Raises:
        MigrationError: a file name has not the form `NNNN_pre_what.sql`, or a number is taken.
    """
    if importlib.util.find_spec(owner) is None:
        return []  # not installed here: an image may hold some of the services only
    folder = files(owner) / "sql"
    if not folder.is_dir():
        return []
    found = sorted(
        (
            _parse(owner, entry.name, entry.read_text("utf-8"))
            for entry in folder.iterdir()
            if entry.name.endswith(".sql")
        ),
        key=lambda migration: migration.version,
    )
    for earlier, later in itertools.pairwise(found):
        if earlier.version == later.version:
            raise MigrationError(f"`{owner}/sql` has two migrations {later.version:04d}")
    return found


def _parse(owner: str, file_name: str, sql: str) -> Migration:
    version, _, rest = file_name.removesuffix(".sql").partition("_")
    phase, _, name = rest.partition("_")
    if not _NUMBER.fullmatch(version) or not name:
        raise MigrationError(f"`{owner}/sql/{file_name}` is not named NNNN_pre_what.sql")
    if not sql.strip():
        raise MigrationError(f"`{owner}/sql/{file_name}` is empty")
    if phase == "pre":
        return Migration(owner, int(version), "pre", name, sql)
    if phase == "post":
        return Migration(owner, int(version), "post", name, sql)
    raise MigrationError(f"`{owner}/sql/{file_name}`: the phase is {phase!r}, not pre or post")


async def migrate(
    database_url: str,
    *,
    owners: tuple[str, ...] = OWNERS,
    phases: tuple[Phase, ...] = ("pre", "post"),
) -> list[Migration]:
    """Apply what is missing and return it.

    Raises:
        MigrationError: an applied file has changed, or a statement failed; nothing of it stays.
        TransientError: the database does not answer, or refuses us.
    """
    with connecting():
        connection = await asyncpg.connect(database_url, timeout=30)
    try:
        with translated_errors():
            return await _migrate(connection, owners, phases)
    finally:
        await connection.close(timeout=10)


async def _migrate(
    connection: Connection, owners: tuple[str, ...], phases: tuple[Phase, ...]
) -> list[Migration]:
    # Loaded first: a misnamed file must not leave half of the owners migrated.
    wanted = [migration for owner in owners for migration in load_migrations(owner)]
    await connection.execute("select pg_advisory_lock($1)", _LOCK)
    await connection.execute(_LEDGER)
    rows = await connection.fetch("select owner, version, checksum from meta.migrations")
    applied = {(row["owner"], row["version"]): row["checksum"] for row in rows}
    for migration in wanted:
        known = applied.get((migration.owner, migration.version))
        if known is not None and known != migration.checksum:
            raise MigrationError(
                f"migration {migration.owner}/{migration.version:04d} was changed after it was "
                "applied; add a new migration instead"
            )
    missing = [
        migration
        for migration in wanted
        if (migration.owner, migration.version) not in applied and migration.phase in phases
    ]
    for migration in missing:
        await _apply(connection, migration)
    return missing


async def _apply(connection: Connection, migration: Migration) -> None:
    try:
        async with connection.transaction():
            await connection.execute(migration.sql)
            await connection.execute(
                "insert into meta.migrations (owner, version, phase, name, checksum) "
                "values ($1, $2, $3, $4, $5)",
                migration.owner,
                migration.version,
                migration.phase,
                migration.name,
                migration.checksum,
            )
    except asyncpg.PostgresError as error:
        failure = translate(error)
        if isinstance(failure, UnavailableError):
            raise failure from error
        raise MigrationError(
            f"migration {migration.owner}/{migration.version:04d}_{migration.name} failed: "
            f"{error.args[0]}"
        ) from error


async def pending(connection: Connection, owners: tuple[str, ...] = OWNERS) -> list[Migration]:
    """Return the *pre* migrations that the database still lacks; the startup probe waits for
    none.
    """
    if await connection.fetchval("select to_regclass('meta.migrations')") is None:
        applied = set()
    else:
        rows = await connection.fetch("select owner, version from meta.migrations")
        applied = {(row["owner"], row["version"]) for row in rows}
    return [
        migration
        for owner in owners
        for migration in load_migrations(owner)
        if migration.phase == "pre" and (owner, migration.version) not in applied
    ]


_LEDGER = """
create schema if not exists meta;
create table if not exists meta.migrations (
    owner text not null,
    version integer not null,
    phase text not null,
    name text not null,
    checksum text not null,
    applied_at timestamptz not null default clock_timestamp(),
    primary key (owner, version)
)
"""
