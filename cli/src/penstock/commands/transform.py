"""`penstock transform`: have silver recomputed, or told what that would do."""

from datetime import datetime
from typing import Annotated

import typer

from contracts.commands import OverlapPolicy, TransformRequested
from contracts.topics import TRANSFORM_REQUESTED
from penstock.commands import shadow
from penstock.commands.examples import examples
from penstock.commands.options import Patience, Reason, Wait
from penstock.commands.orders import build, exit_unless_completed, follow, tell_errors
from penstock.console_api import ConsoleApi, asking
from penstock.silver import find_entity

transform_app = typer.Typer(
    help="Have silver recomputed, tried beside what readers see, or told what that would do.",
    invoke_without_command=True,
)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    transform_app.callback(
        epilog=examples(
            "transform --entity users --dry-run --wait",
            "transform --entity users --incremental --wait",
            "transform --entity transcripts --id RY-CA/12345",
            "transform --entity users --shadow",
            "transform --entity users --shadow --until 2026-11-01 --json",
        ),
    )(transform)
    shadow.register(transform_app)
    app.add_typer(transform_app, name="transform", rich_help_panel="Commands to the hub")


def transform(
    context: typer.Context,
    *,
    entity: Annotated[
        str, typer.Option(help="A silver table, such as users; needed.", show_default=False)
    ] = "",
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
    with_shadow: Annotated[
        bool,
        typer.Option("--shadow", help="Compute it beside silver, and say what would differ."),
    ] = False,
    until: Annotated[
        datetime | None,
        typer.Option(help="With --shadow: bronze as it was then (UTC).", show_default=False),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(min=1, help="With --shadow: so many of bronze's.", show_default=False),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="With --shadow: for programs.")] = False,
    reason: Reason = None,
    wait: Wait = False,
    timeout: Patience = 3600.0,
) -> None:
    """Recompute silver from bronze by the rules that the transformer has loaded.

    Events keep silver up to date; this is for new rules and for repair. A dry run and a shadow are
    always followed, because their result is what they say. A shadow takes the rules on disk.
    """
    if context.invoked_subcommand is not None:
        return
    if not entity:
        raise typer.BadParameter("name a silver table", param_hint="--entity")
    with asking() as api:
        found = find_entity(api, entity)
        command = build(
            TransformRequested,
            entity_type=found.entity_type,
            entity_ids=tuple(entity_ids or ()),
            changed_since=_moment(since),
            incremental=incremental,
            dry_run=dry_run,
            reason=reason,
            action="shadow" if with_shadow else "transform",
            until=_moment(until),
            limit=limit,
            overlap=OverlapPolicy.QUEUE,
        )
        if with_shadow:
            shadow.make(api, command, patience=timeout, as_json=as_json)
            return
        if wait or dry_run:
            _follow(api, command, patience=timeout)
            return
        command_id = api.give(TRANSFORM_REQUESTED, command)
    typer.echo(f"Asked for a transformation of {found.table} (command {command_id}).")


def _moment(given: datetime | None) -> str | None:
    return None if given is None else f"{given.isoformat()}Z"


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
