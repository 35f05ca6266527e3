"""`penstock transform`: have silver recomputed, or told what that would do."""

import asyncio
import getpass
from datetime import datetime
from typing import Annotated

import typer
from pydantic import ValidationError
from rich.console import Console

from contracts.commands import OverlapPolicy, TransformRequested
from contracts.runs import RunStatus
from contracts.topics import TRANSFORM_REQUESTED
from penstock.commands.examples import examples
from penstock.commands.run_view import RunProgress, tell_end
from penstock.messages import reading, send_command
from penstock.runs import RunState, follow_command
from penstock.settings import DatabaseAccess, HubAccess, read_access
from penstock.silver import SilverEntity, failures_of, find_entity, reading_silver

_MAX_FAILURES = 20


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
    found = resolve(entity)
    stamp = since and f"{since.isoformat()}Z"
    command = build(
        found,
        entity_ids=tuple(entity_ids or ()),
        changed_since=stamp,
        incremental=incremental,
        dry_run=dry_run,
        reason=reason,
    )
    if wait or dry_run:
        state = asyncio.run(follow(command, patience_seconds=timeout))
        asyncio.run(_tell_failures(state))
        if state.status is not RunStatus.COMPLETED:
            raise typer.Exit(1)
        return
    sent = send_command(read_access(HubAccess).kafka, TRANSFORM_REQUESTED, command)
    command_id = asyncio.run(sent)
    typer.echo(f"Asked for a transformation of {found.table} (command {command_id}).")


def resolve(name: str) -> SilverEntity:
    """Return the entity that a user named."""

    async def find() -> SilverEntity:
        async with reading_silver(read_access(DatabaseAccess).database) as connection:
            return await find_entity(connection, name)

    return asyncio.run(find())


def build(entity: SilverEntity, **fields: object) -> TransformRequested:
    """Return the command.

    Raises:
        BadParameter: something in it cannot be asked for.
    """
    document = {
        "entity_type": entity.entity_type,
        "requester": getpass.getuser(),
        "overlap": OverlapPolicy.QUEUE,
        **fields,
    }
    try:
        return TransformRequested.model_validate(document)
    except ValidationError as error:
        problems = (f"{item['loc'][0]}: {item['msg']}" for item in error.errors())
        raise typer.BadParameter("; ".join(problems)) from error


async def follow(command: TransformRequested, *, patience_seconds: float) -> RunState:
    """Send a command and return how its run ended."""
    access = read_access(HubAccess)
    console = Console(stderr=True, highlight=False)
    refused = TRANSFORM_REQUESTED.dead_letters_of("transformer")
    what = f"transformation of {command.entity_type}"
    # The reader stands at the end before the command is sent, so that no refusal is missed.
    async with reading(access.kafka, [refused], from_end=True) as dead_letters:
        command_id = await send_command(access.kafka, TRANSFORM_REQUESTED, command)
        with RunProgress(console, what) as progress:
            state = await follow_command(
                access.database,
                command_id,
                dead_letters=dead_letters,
                patience_seconds=patience_seconds,
                on_change=progress.show,
            )
    tell_end(console, what.capitalize(), state)
    if command.dry_run and not command.priority:
        counts = state.counts
        typer.echo(
            f"Would upsert {counts.new + counts.changed}, retire {counts.deleted}, "
            f"reject {counts.failed}; {counts.unchanged} are as they should be."
        )
    return state


async def _tell_failures(state: RunState) -> None:
    """List the records that validations kept out of silver."""
    if not state.counts.failed:
        return
    async with reading_silver(read_access(DatabaseAccess).database) as connection:
        failures = await failures_of(connection, state.run_id, limit=_MAX_FAILURES)
    for external_id, message in failures:
        typer.echo(f"rejected {external_id}: {message}")
    if failures and state.counts.failed > len(failures):
        typer.echo(f"… and {state.counts.failed - len(failures)} more in meta.record_errors")
