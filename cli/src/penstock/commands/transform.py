"""`penstock transform`: have silver recomputed, or told what that would do."""

from datetime import datetime
from typing import Annotated

import typer

from contracts.commands import OverlapPolicy, TransformRequested
from contracts.topics import TRANSFORM_REQUESTED
from penstock.commands.examples import examples
from penstock.commands.orders import build, exit_unless_completed, follow, tell_errors
from penstock.console_api import ConsoleApi, asking
from penstock.silver import find_entity


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        name="transform",
        rich_help_panel="Commands to the hub",
        epilog=examples(
            "transform --entity users --dry-run --wait",
            "transform --entity users --incremental --wait",
            "transform --entity transcripts --id RY-CA/12345",
        ),
    )(transform)


def transform(
    *,
    entity: Annotated[str, typer.Option(help="A silver table, such as users.")],
    entity_ids: Annotated[
        list[str] | None, typer.Option("--id", help="Only this record; repeatable.")
    ] = None,
    since: Annotated[
        datetime | None,
        typer.Option(help="Only what bronze stored since (UTC).", show_default=False),
    ] = None,
    incremental: Annotated[
        bool, typer.Option("--incremental", help="Only what bronze stored since the last run.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what it would do, and write nothing.")
    ] = False,
    reason: Annotated[
        str | None, typer.Option(help="Why; stands in the audit trail.", show_default=False)
    ] = None,
    wait: Annotated[
        bool, typer.Option("--wait", help="Follow the run; exit code 1 unless it completes.")
    ] = False,
    timeout: Annotated[
        float, typer.Option(min=1, metavar="SECONDS", help="How long to --wait.")
    ] = 3600.0,
) -> None:
    """Recompute silver from bronze by the rules that the transformer has loaded.

    Events keep silver up to date; this is for new rules and for repair. A dry run is always
    followed, because its result is what it says.
    """
    stamp = since and f"{since.isoformat()}Z"
    with asking() as api:
        found = find_entity(api, entity)
        command = build(
            TransformRequested,
            entity_type=found.entity_type,
            entity_ids=tuple(entity_ids or ()),
            changed_since=stamp,
            incremental=incremental,
            dry_run=dry_run,
            reason=reason,
            overlap=OverlapPolicy.QUEUE,
        )
        if wait or dry_run:
            _follow(api, command, patience=timeout)
            return
        command_id = api.give(TRANSFORM_REQUESTED, command)
    typer.echo(f"Asked for a transformation of {found.table} (command {command_id}).")


def _follow(api: ConsoleApi, command: TransformRequested, *, patience: float) -> None:
    what = f"transformation of {command.entity_type}"
    state = follow(api, TRANSFORM_REQUESTED, command, what=what, patience=patience)
    if command.dry_run:
        counts = state.counts
        typer.echo(
            f"Would upsert {counts.new + counts.changed}, retire {counts.deleted}, "
            f"reject {counts.failed}; {counts.unchanged} are as they should be."
        )
    if state.counts.failed:
        tell_errors(api, state, "rejected")
    exit_unless_completed(state)
