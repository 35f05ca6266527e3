"""`penstock flow`: ask for a flow of scans now, or for one of its steps; follow it on request."""

from typing import Annotated

import typer

from contracts.commands import FlowRequested, OverlapPolicy
from contracts.topics import FLOW_REQUESTED
from penstock.commands.examples import examples
from penstock.commands.options import CommandId, Patience, Reason
from penstock.commands.orders import ask, build, exit_unless_completed, follow
from penstock.console_api import asking


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
    reason: Reason = None,
    command_id: CommandId = None,
    wait: Annotated[
        bool,
        typer.Option("--wait", help="Follow the run; exit code 1 unless every step completes."),
    ] = False,
    timeout: Patience = 10800.0,
) -> None:
    """Run the scans of a flow one after the other; one that fails does not stop the next.

    Each step is a run of its own: `penstock runs --last 10` shows them.
    """
    command = build(
        FlowRequested,
        flow=name,
        command_id=command_id,
        step=step,
        dry_run=dry_run,
        reason=reason,
        overlap=OverlapPolicy.QUEUE,
    )
    what = f"step {step} of flow {name}" if step else f"flow {name}"
    if not wait:
        ask(FLOW_REQUESTED, command, what)
        return
    with asking() as api:
        state = follow(api, FLOW_REQUESTED, command, what=what, patience=timeout)
    exit_unless_completed(state)
