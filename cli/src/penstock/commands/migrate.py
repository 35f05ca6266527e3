"""`penstock migrate`: bring the database to the state that the installed code expects."""

import asyncio
import importlib.util
import subprocess
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from chassis.errors import PermanentError
from chassis.migrations import OWNERS, Migration, Phase, migrate
from contracts.errors import ErrorCategory
from penstock.commands.examples import examples
from penstock.commands.options import AsJson, print_json
from penstock.grants import lay_grants
from penstock.settings import DatabaseAccess, read_access, service_environment

_SILVER = "transformer"
_DEADLINE_SECONDS = 120.0


class SilverTablesError(PermanentError):
    """The silver tables cannot be made."""

    default_category = ErrorCategory.CONFIG_VALIDATION


class PhaseChoice(StrEnum):
    """Which migrations to apply."""

    PRE = "pre"
    """Safe while the old version still runs: before a roll-out."""

    POST = "post"
    """Only when the old version is gone: after a roll-out."""

    ALL = "all"


_PHASES: dict[PhaseChoice, tuple[Phase, ...]] = {
    PhaseChoice.PRE: ("pre",),
    PhaseChoice.POST: ("post",),
    PhaseChoice.ALL: ("pre", "post"),
}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        name="migrate",
        rich_help_panel="Set up",
        epilog=examples("migrate", "migrate --phase pre", "migrate --json | jq length"),
    )(migrate_command)


def migrate_command(
    *,
    phase: Annotated[
        PhaseChoice, typer.Option(help="pre: before a roll-out; post: after it.")
    ] = PhaseChoice.ALL,
    config: Annotated[
        Path,
        typer.Option(
            help="Folder with the configuration files.", envvar="PENSTOCK_CONFIG_DIRECTORY"
        ),
    ] = Path("config"),
    as_json: AsJson = False,
) -> None:
    """Apply the SQL migrations, and make the silver tables, that the database still lacks.

    Silver tables follow from `config/entities`; they are only ever extended. Where the roles of
    deploy/postgres/roles.sql exist, their rights are laid anew. Repeating it changes nothing, and
    two at a time wait for each other. The database is that of `DATABASE_URL` (the owner's), else
    that of the local stack.
    """
    url = read_access(DatabaseAccess).database.url.get_secret_value()
    owners = installed_owners()
    applied = asyncio.run(migrate(url, owners=owners, phases=_PHASES[phase]))
    made = [] if phase is PhaseChoice.POST else make_tables(url, config)
    has_roles = asyncio.run(lay_grants(url))
    if as_json:
        told = [_as_json(migration) for migration in applied]
        told += [{"owner": _SILVER, "version": None, "phase": "pre", "name": name} for name in made]
        print_json(told)
        return
    for migration in applied:
        typer.echo(f"applied {_name(migration)}")
    for name in made:
        typer.echo(f"applied {name}")
    total = len(applied) + len(made)
    count = f"{total} applied" if total else "nothing to do"
    typer.echo(f"The database is up to date for {', '.join(owners)}: {count}.")
    if has_roles:
        typer.echo("Every service role may do what its service needs, and nothing else.")


def make_tables(url: str, config: Path) -> list[str]:
    """Have the transformer make the silver tables that the rules need; return what it did.

    It does so in its own process, as for `penstock doctor`: only it knows the rules.

    Raises:
        SilverTablesError: the rules and the tables do not fit; says why.
    """
    if importlib.util.find_spec(_SILVER) is None or not (config / "entities").is_dir():
        return []
    addresses = {"DATABASE_URL": url, "PENSTOCK_CONFIG_DIRECTORY": str(config)}
    done = subprocess.run(  # noqa: S603 - our own module, no shell
        [sys.executable, "-m", _SILVER, "--tables"],
        env=service_environment() | addresses,
        capture_output=True,
        text=True,
        timeout=_DEADLINE_SECONDS,
        check=False,
    )
    if done.returncode != 0:
        raise SilverTablesError(done.stderr.strip() or f"exit code {done.returncode}")
    return done.stdout.splitlines()


def installed_owners() -> tuple[str, ...]:
    """Return the owners of schemas that this machine has the code of, in their order."""
    return tuple(owner for owner in OWNERS if importlib.util.find_spec(owner) is not None)


def _name(migration: Migration) -> str:
    return f"{migration.owner}/{migration.version:04d}_{migration.phase}_{migration.name}"


def _as_json(migration: Migration) -> dict[str, object]:
    return {
        "owner": migration.owner,
        "version": migration.version,
        "phase": migration.phase,
        "name": migration.name,
    }
