"""`penstock runs`: what has run lately, and what failed."""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated

import typer
from pydantic import TypeAdapter
from rich.console import Console
from rich.table import Table

from penstock.commands.examples import examples
from penstock.commands.options import AsJson, print_json
from penstock.console_api import asking

_SPAN = re.compile(r"(\d{1,5})([mhdw])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_DEFAULT_LAST = 10


@dataclass(frozen=True, slots=True)
class EndedRun:
    """A run that has ended, as `meta.sync_logs` tells it (S3-08)."""

    task_name: str
    """Kind and target: `scan:fmp_prices`."""

    status: str
    rows_updated: int
    error_message: str | None
    started_at: datetime
    completed_at: datetime
    duration_seconds: float


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        name="runs",
        rich_help_panel="Looking at the hub",
        epilog=examples(
            "runs --latest",
            "runs --last 10",
            "runs --failed --since 7d",
            "runs --failed --since 24h --json",
        ),
    )(runs)


def runs(
    *,
    latest: Annotated[bool, typer.Option("--latest", help="The latest run of every task.")] = False,
    last: Annotated[
        int | None, typer.Option(min=1, max=1000, help="So many, newest first.", show_default=False)
    ] = None,
    failed: Annotated[bool, typer.Option("--failed", help="What failed --since.")] = False,
    since: Annotated[
        str, typer.Option(metavar="SPAN", help="For --failed: 30m, 24h, 7d, 2w.")
    ] = "7d",
    as_json: AsJson = False,
) -> None:
    """Show runs that have ended; without an option the last ten.

    The exit code of --failed is 1 when something failed.
    """
    if latest + failed + (last is not None) > 1:
        raise typer.BadParameter("choose one of --latest, --last and --failed")
    span = parse_span(since)
    question: dict[str, object] = {"last": last or _DEFAULT_LAST}
    if latest:
        question = {"latest": True}
    elif failed:
        question = {"failed_within_seconds": span.total_seconds()}
    with asking() as api:
        found = TypeAdapter(list[EndedRun]).validate_python(api.get("/run-log", **question))
    if as_json:
        print_json(found)
    else:
        _show(found)
    if failed and found:
        raise typer.Exit(1)


def parse_span(text: str) -> timedelta:
    """Return the span that `24h` or `7d` stands for.

    Raises:
        BadParameter: it stands for none.
    """
    match = _SPAN.fullmatch(text)
    if match is None:
        raise typer.BadParameter(f"{text!r} is no span; write 30m, 24h, 7d or 2w")
    return timedelta(**{_UNITS[match.group(2)]: int(match.group(1))})


def _show(found: list[EndedRun]) -> None:
    if not found:
        typer.echo("No run.")
        return
    table = Table(box=None, pad_edge=False)
    for name in ("task", "status", "rows", "ended (UTC)", "seconds", "error"):
        table.add_column(name, justify="right" if name in ("rows", "seconds") else "left")
    for run in found:
        table.add_row(
            run.task_name,
            run.status,
            str(run.rows_updated),
            f"{run.completed_at:%Y-%m-%d %H:%M:%S}",
            f"{run.duration_seconds:.1f}",
            run.error_message or "",
        )
    Console(highlight=False, markup=False).print(table)
