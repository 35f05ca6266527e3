"""`penstock drift`: changed schemas of sources; look at them, accept or reject them."""

from enum import StrEnum
from typing import Annotated

import typer
from rich.console import Console

from contracts.schemas import Decision, SchemaDecisionRequested
from contracts.topics import SCHEMA_DECISION_REQUESTED
from penstock.commands import drift_view
from penstock.commands.examples import examples
from penstock.commands.options import AsJson, Patience, Reason, print_json
from penstock.commands.orders import build, exit_unless_completed, watch
from penstock.console_api import ConsoleApi, asking
from penstock.drifts import DriftEntry, find_drift, list_drifts
from penstock.runs import await_outcome

drift_app = typer.Typer(
    help="Changed schemas of sources. Look at them, accept or reject them.",
    no_args_is_help=True,
)


class Status(StrEnum):
    """What has become of a change."""

    WAITING = "waiting"
    NOTED = "noted"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    ALL = "all"


Entry = Annotated[str, typer.Argument(help="A schema drift, by its id or the beginning of it.")]
Wait = Annotated[
    bool,
    typer.Option("--wait", help="Follow what is run again; exit code 1 unless it completes."),
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    drift_app.command(
        name="list",
        epilog=examples("drift list", "drift list --status all --service ingestor --json"),
    )(list_command)
    drift_app.command(
        name="show", epilog=examples("drift show 9798dee3", "drift show 9798dee3 --json")
    )(show_command)
    drift_app.command(
        name="accept",
        epilog=examples(
            'drift accept 9798dee3 --reason "they nest the name now" --wait',
            "drift accept 9798dee3 --reconsider",
        ),
    )(accept_command)
    drift_app.command(
        name="reject", epilog=examples('drift reject 9798dee3 --reason "a bug of theirs"')
    )(reject_command)
    app.add_typer(drift_app, name="drift", rich_help_panel="Looking at the hub")


def list_command(
    *,
    status: Annotated[Status, typer.Option(help="What has become of them.")] = Status.WAITING,
    service: Annotated[
        str | None, typer.Option(help="Only what this service saw.", show_default=False)
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="So many, newest first.")] = 50,
    as_json: AsJson = False,
) -> None:
    """List changed schemas; by default those that wait for a decision."""
    wanted = None if status is Status.ALL else status.value
    with asking() as api:
        found = list_drifts(api, status=wanted, service=service, limit=limit)
    if as_json:
        print_json([entry.as_json() for entry in found])
        return
    console = Console(highlight=False, markup=False)
    console.print(drift_view.table(found) if found else "No schema drift.")


def show_command(drift: Entry, *, as_json: AsJson = False) -> None:
    """Show a changed schema: the difference, a sample, the silver fields it reaches."""
    with asking() as api:
        found = find_drift(api, drift, with_sample=True)
    if as_json:
        print_json(found.as_json())
    else:
        drift_view.show(Console(highlight=False, markup=False), found)


def accept_command(
    drift: Entry,
    *,
    reason: Reason = None,
    reconsider: Annotated[
        bool, typer.Option("--reconsider", help="Accept what was rejected before.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say whether it could be decided so.")
    ] = False,
    wait: Wait = False,
    timeout: Patience = 3600.0,
) -> None:
    """Accept a changed schema: it is known from now on, and only what was held back runs again."""
    _decide(
        drift,
        {
            "decision": Decision.ACCEPT,
            "reason": reason,
            "reconsider": reconsider,
            "dry_run": dry_run,
        },
        wait=wait or dry_run,
        patience=timeout,
    )


def reject_command(
    drift: Entry,
    *,
    reason: Annotated[str, typer.Option(help="Why; stands in the audit trail.")],
    wait: Annotated[bool, typer.Option("--wait", help="Wait for the answer.")] = False,
    timeout: Patience = 60.0,
) -> None:
    """Reject a changed schema: what was held back stays where it is."""
    _decide(drift, {"decision": Decision.REJECT, "reason": reason}, wait=wait, patience=timeout)


def _decide(drift: str, fields: dict[str, object], *, wait: bool, patience: float) -> None:
    with asking() as api:
        entry = find_drift(api, drift)
        command = build(SchemaDecisionRequested, drift_id=entry.id, **fields)
        command_id = api.give(SCHEMA_DECISION_REQUESTED, command)
        if wait:
            _follow(api, entry, command_id, patience=patience)
            return
    typer.echo(
        f"Asked to {command.decision.value} schema drift {entry.id} of {entry.dataset} "
        f"(command {command_id})."
    )


def _follow(api: ConsoleApi, entry: DriftEntry, command_id: str, *, patience: float) -> None:
    outcome = await_outcome(api, command_id, patience_seconds=patience)
    typer.echo(f"Schema drift {entry.id} of {entry.dataset}: {outcome.text}.")
    if outcome.run is not None:
        what = f"{entry.service} on {entry.dataset}"
        state = watch(api, command_id, what=what, patience=patience, owner=entry.service)
        exit_unless_completed(state)
