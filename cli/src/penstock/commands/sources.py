"""`penstock sources`: when each source was looked at last, and what that brought."""

from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from penstock.commands.dlq_view import printable
from penstock.commands.examples import examples
from penstock.commands.options import AsJson, print_json
from penstock.console_api import asking
from penstock.sources import (
    Look,
    Source,
    SourceDetail,
    ask_source,
    ask_sources,
)

sources_app = typer.Typer(
    help="Sources: when each was looked at, what that brought, what waits.",
    no_args_is_help=True,
)

_NUMBERS = ("seen", "added", "modified", "deleted", "failed")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    sources_app.command(name="list", epilog=examples("sources list", "sources list --json"))(
        list_command
    )
    sources_app.command(
        name="show", epilog=examples("sources show transcripts", "sources show transcripts --json")
    )(show_command)
    app.add_typer(sources_app, name="sources", rich_help_panel="Looking at the hub")


def list_command(*, as_json: AsJson = False) -> None:
    """List every source that was ever looked at."""
    with asking() as api:
        found = ask_sources(api)
    if as_json:
        print_json(found)
    else:
        Console(highlight=False, markup=False).print(_table(found) if found else "No source.")


def show_command(
    name: Annotated[str, typer.Argument(help="A source of config/sources.yaml.")],
    *,
    as_json: AsJson = False,
) -> None:
    """Show a source with its last looks, and what could not be read in the last week."""
    with asking() as api:
        found = ask_source(api, name)
    if as_json:
        print_json(found)
    else:
        _show(found)


def _table(sources: list[Source]) -> Table:
    table = _columns("SOURCE", "KIND", "RUN", "LAST LOOK (UTC)", "OUTCOME")
    table.add_column("HELD", justify="right")
    for source in sources:
        table.add_row(
            source.name,
            source.kind,
            source.run_status or "-",
            *(_look(source.last) if source.last else ("-",) * (len(_NUMBERS) + 2)),
            str(source.held),
        )
    return table


def _show(found: SourceDetail) -> None:
    console = Console(highlight=False, markup=False)
    source = found.source
    console.print(f"{source.name}: {source.kind}, last run {source.run_status or 'none'}")
    if source.held:
        console.print(f"{source.held} deletions wait for a person")
    table = _columns("MODE", "STARTED (UTC)", "OUTCOME")
    for look in found.looks:
        table.add_row(look.mode, *_look(look))
    console.print(table)
    for error in found.errors:
        text = f"{error.at:%Y-%m-%d %H:%M:%S} {error.category} {error.external_id or '-'}"
        console.print(Text(printable(f"{text}: {error.message}")), soft_wrap=True)


def _columns(*names: str) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in names:
        table.add_column(name, no_wrap=True)
    for name in _NUMBERS:
        table.add_column(name.upper(), justify="right")
    return table


def _look(look: Look) -> tuple[str, ...]:
    outcome = look.outcome or ("goes on" if look.finished_at is None else "-")
    numbers = (str(getattr(look, name)) for name in _NUMBERS)
    return (f"{look.started_at:%Y-%m-%d %H:%M:%S}", outcome, *numbers)
