"""`penstock flow`: ask for a flow of scans now, or for one of its steps; follow it on request."""

import asyncio
import getpass
from typing import Annotated

import typer
from pydantic import ValidationError
from rich.console import Console

from contracts.commands import FlowRequested, OverlapPolicy
from contracts.runs import RunStatus
from contracts.topics import FLOW_REQUESTED
from penstock.commands.examples import examples
from penstock.commands.identity import CommandId
from penstock.commands.run_view import RunProgress, tell_end
from penstock.messages import reading, send_command
from penstock.runs import follow_command
from penstock.settings import HubAccess, KafkaAccess, read_access


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        name="flow",
        rich_help_panel="Commands to the hub",
        epilog=examples(
            "flow daily-market",
            "flow daily-market --step prices --wait",
            'flow daily-market --command-id "daily-market-$(date +%F)"',
        ),
    )(flow)


def flow(
    name: Annotated[str, typer.Argument(help="A flow of config/flows.yaml.")],
    *,
    step: Annotated[
        str | None, typer.Option(help="Only this step; by default all.", show_default=False)
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Compare, count, and announce nothing.")
    ] = False,
    reason: Annotated[
        str | None, typer.Option(help="Why; stands in the audit trail.", show_default=False)
    ] = None,
    command_id: CommandId = None,
    wait: Annotated[
        bool,
        typer.Option("--wait", help="Follow the run; exit code 1 unless every step completes."),
    ] = False,
    timeout: Annotated[
        float, typer.Option(min=1, metavar="SECONDS", help="How long to --wait.")
    ] = 10800.0,
) -> None:
    """Run the scans of a flow one after the other; one that fails does not stop the next.

    Each step is a run of its own: `penstock runs --last 10` shows them.
    """
    try:
        command = FlowRequested(
            flow=name,
            command_id=command_id,
            step=step,
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
    sent = send_command(read_access(KafkaAccess).kafka, FLOW_REQUESTED, command)
    typer.echo(f"Asked for {_what(command)} (command {asyncio.run(sent)}).")


async def _send_and_follow(command: FlowRequested, *, patience_seconds: float) -> None:
    access = read_access(HubAccess)
    console = Console(stderr=True, highlight=False)
    refused = FLOW_REQUESTED.dead_letters_of("scanner")
    async with reading(access.kafka, [refused], from_end=True) as dead_letters:
        command_id = await send_command(access.kafka, FLOW_REQUESTED, command)
        with RunProgress(console, _what(command)) as progress:
            state = await follow_command(
                access.database,
                command_id,
                dead_letters=dead_letters,
                patience_seconds=patience_seconds,
                on_change=progress.show,
            )
    tell_end(console, _what(command).capitalize(), state)
    if state.status is not RunStatus.COMPLETED:
        raise typer.Exit(1)


def _what(command: FlowRequested) -> str:
    if command.step:
        return f"step {command.step} of flow {command.flow}"
    return f"flow {command.flow}"
