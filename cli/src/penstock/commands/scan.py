"""`penstock scan`: ask for a look at a source now, and follow it on request."""

import asyncio
import getpass
from enum import StrEnum
from typing import Annotated

import typer
from pydantic import ValidationError
from rich.console import Console

from contracts.commands import OverlapPolicy, ScanRequested
from contracts.runs import RunStatus
from contracts.topics import SCAN_REQUESTED
from penstock.commands.examples import examples
from penstock.commands.run_view import RunProgress, tell_end
from penstock.messages import reading, send_command
from penstock.runs import RunState, follow_command
from penstock.settings import HubAccess, KafkaAccess, read_access


class Mode(StrEnum):
    """How thoroughly to look."""

    AUTO = "auto"
    FAST = "fast"
    FULL = "full"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        name="scan",
        rich_help_panel="Commands to the hub",
        epilog=examples(
            "scan transcripts --mode full --wait",
            "scan transcripts --prefix Data/2024/Q1",
            "scan transcripts --mode full --dry-run --wait",
            'scan transcripts --release-held-deletions --reason "the 2019 archive was moved"',
        ),
    )(scan)


def scan(
    source: Annotated[str, typer.Argument(help="A source of config/sources.yaml.")],
    *,
    mode: Annotated[
        Mode,
        typer.Option(
            help="fast trusts directory times; full lists everything; auto: the schedule."
        ),
    ] = Mode.AUTO,
    prefix: Annotated[
        str | None, typer.Option(help="Only this folder and what is below.", show_default=False)
    ] = None,
    release_held_deletions: Annotated[
        bool,
        typer.Option(
            "--release-held-deletions", help="Publish the deletions that the guard holds back."
        ),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Look, count, and announce nothing.")
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
    """Ask the scanner to look for changes at a source now.

    The command is recorded and audited under your name. A scan that runs already is not disturbed:
    this one comes after it.
    """
    try:
        command = ScanRequested(
            source=source,
            mode=mode.value,
            prefix=prefix,
            release_held_deletions=release_held_deletions,
            dry_run=dry_run,
            reason=reason,
            requester=getpass.getuser(),
            overlap=OverlapPolicy.QUEUE,
        )
    except ValidationError as error:
        problems = (f"{item['loc'][0]}: {item['msg']}" for item in error.errors())
        raise typer.BadParameter("; ".join(problems)) from error
    if wait:
        asyncio.run(_send_and_follow(command, patience_seconds=timeout))
        return
    command_id = asyncio.run(_send(command))
    typer.echo(f"Asked for a scan of {source} (command {command_id}).")


async def _send(command: ScanRequested) -> str:
    return await send_command(read_access(KafkaAccess).kafka, SCAN_REQUESTED, command)


async def _send_and_follow(command: ScanRequested, *, patience_seconds: float) -> None:
    access = read_access(HubAccess)
    console = Console(stderr=True, highlight=False)
    refused = SCAN_REQUESTED.dead_letters_of("scanner")
    # The reader stands at the end before the command is sent, so that no refusal is missed.
    async with reading(access.kafka, [refused], from_end=True) as dead_letters:
        command_id = await send_command(access.kafka, SCAN_REQUESTED, command)
        with RunProgress(console, f"scan of {command.source}") as progress:
            state = await follow_command(
                access.database,
                command_id,
                dead_letters=dead_letters,
                patience_seconds=patience_seconds,
                on_change=progress.show,
            )
    tell_end(console, f"Scan of {command.source}", state)
    if not _is_done(state):
        raise typer.Exit(1)


def _is_done(state: RunState) -> bool:
    return state.status is RunStatus.COMPLETED
