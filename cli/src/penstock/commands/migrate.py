"""`penstock migrate`: bring the database to the state that the installed code expects."""

import asyncio
import importlib.util
import json
from enum import StrEnum
from typing import Annotated

import typer

from chassis.migrations import OWNERS, Migration, Phase, migrate
from penstock.commands.examples import examples
from penstock.settings import DatabaseAccess, read_access


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
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Apply the SQL migrations that the database still lacks.

    Repeating it changes nothing, and two at a time wait for each other. The database is that of
    `DATABASE_URL`, else that of the local stack.
    """
    url = read_access(DatabaseAccess).database.url.get_secret_value()
    owners = installed_owners()
    applied = asyncio.run(migrate(url, owners=owners, phases=_PHASES[phase]))
    if as_json:
        typer.echo(json.dumps([_as_json(migration) for migration in applied], indent=2))
        return
    for migration in applied:
        typer.echo(f"applied {_name(migration)}")
    count = f"{len(applied)} applied" if applied else "nothing to do"
    typer.echo(f"The database is up to date for {', '.join(owners)}: {count}.")


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
