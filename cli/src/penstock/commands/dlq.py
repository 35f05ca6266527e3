"""`penstock dlq`: what services have rejected; look at it, send it back, or discard it."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Literal

import typer
from rich.console import Console

from chassis.dead_letters.model import LetterFilter
from contracts.commands import ReplayRequested
from contracts.runs import RunStatus
from contracts.topics import REPLAY_REQUESTED
from penstock.commands import dlq_view
from penstock.commands.dlq_options import (
    STATUSES,
    DryRun,
    Everything,
    Letters,
    Status,
    Wait,
    choosing_letters,
)
from penstock.commands.examples import examples
from penstock.commands.options import AsJson, Patience, Reason, print_json
from penstock.commands.orders import build, follow, tell_errors
from penstock.console_api import ConsoleApi, asking
from penstock.dead_letters import (
    Chosen,
    as_json,
    choose,
    find_letter,
    list_groups,
    list_letters,
)
from penstock.runs import RunState

dlq_app = typer.Typer(
    help="Dead letters: what services have rejected. Look at it, send it back, or discard it.",
    no_args_is_help=True,
)


def register(app: typer.Typer) -> None:
    """Add the commands, and `replay` by itself because people look for it there."""
    dlq_app.command(
        name="list",
        epilog=examples(
            "dlq list --groups",
            "dlq list --consumer ingestor --category content_parse --since 24h",
            "dlq list --status all --json",
        ),
    )(list_command)
    dlq_app.command(
        name="show",
        epilog=examples("dlq show 3f0c12ab", "dlq show 3f0c12ab --raw > message.json"),
    )(show_command)
    dlq_app.command(
        name="replay",
        epilog=examples(
            "dlq replay 3f0c12ab --wait",
            "dlq replay --consumer ingestor --category content_parse --dry-run",
            'dlq replay --topic file.changed --since 2h --reason "the share is back" --wait',
        ),
    )(replay_command)
    dlq_app.command(
        name="discard",
        epilog=examples(
            'dlq discard 3f0c12ab --reason "a test file"',
            'dlq discard --topic scan.requested --before 7d --reason "too old" --wait',
        ),
    )(discard_command)
    app.add_typer(dlq_app, name="dlq", rich_help_panel="Looking at the hub")
    app.command(
        name="replay",
        rich_help_panel="Commands to the hub",
        epilog=examples("replay 3f0c12ab --wait", "replay --consumer ingestor --since 2h --wait"),
    )(replay_command)


@choosing_letters
def list_command(
    *,
    wanted: LetterFilter,
    status: Annotated[Status, typer.Option(help="What has become of them.")] = Status.OPEN,
    groups: Annotated[bool, typer.Option("--groups", help="Count them by reason.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="So many, newest first.")] = 50,
    as_json_: AsJson = False,
) -> None:
    """List dead letters, newest first; by default those that are open."""
    wanted = replace(wanted, status=STATUSES[status])
    console = Console(highlight=False, markup=False)
    with asking() as api:
        if groups:
            counted = list_groups(api, wanted)
        else:
            found = list_letters(api, wanted, limit=limit)
    if groups and as_json_:
        print_json([{n: getattr(item, n) for n in item.__slots__} for item in counted])
    elif groups:
        console.print(dlq_view.groups_table(counted) if counted else "No dead letter.")
    elif as_json_:
        print_json([as_json(letter) for letter in found])
    else:
        console.print(dlq_view.letters_table(found) if found else "No dead letter.")


def show_command(
    letter: Annotated[str, typer.Argument(help="A letter, by its id or the beginning of it.")],
    *,
    raw: Annotated[
        bool, typer.Option("--raw", help="Write the body's bytes, nothing else.")
    ] = False,
    as_json_: AsJson = False,
) -> None:
    """Show a dead letter: why it is one, its headers and its body."""
    with asking() as api:
        found, is_whole = find_letter(api, letter)
    if not is_whole:
        typer.echo("The message itself is for operators, and left out.", err=True)
    if raw:
        sys.stdout.buffer.write(found.value or b"")
    elif as_json_:
        print_json(as_json(found, is_whole=is_whole))
    else:
        dlq_view.show_letter(Console(highlight=False, markup=False), found)
    if raw and not is_whole:
        raise typer.Exit(1)


@choosing_letters
def replay_command(
    letters: Letters = None,
    *,
    wanted: LetterFilter,
    everything: Everything = False,
    dry_run: DryRun = False,
    reason: Reason = None,
    wait: Wait = False,
    patience: Patience = 3600.0,
) -> None:
    """Send open dead letters back to the consumer that rejected them.

    Each message goes out as it came in; other consumers of its topic pass it over. What fails
    again is a new letter, and after three replays a message is refused. A dry run is always
    followed.
    """
    order = _Order("replay", dry_run, reason, wait=wait, patience=patience)
    _decide(wanted, letters or [], order, is_all=everything)


@choosing_letters
def discard_command(
    letters: Letters = None,
    *,
    reason: Annotated[str, typer.Option(help="Why; stands in the audit trail.")],
    wanted: LetterFilter,
    everything: Everything = False,
    dry_run: DryRun = False,
    wait: Wait = False,
    patience: Patience = 3600.0,
) -> None:
    """Close open dead letters without sending them; they are trimmed a week later."""
    order = _Order("discard", dry_run, reason, wait=wait, patience=patience)
    _decide(wanted, letters or [], order, is_all=everything)


@dataclass(frozen=True, slots=True)
class _Order:
    """What is to be done with the letters that are chosen."""

    action: Literal["replay", "discard"]
    dry_run: bool
    reason: str | None
    wait: bool
    patience: float


def _decide(wanted: LetterFilter, names: Sequence[str], order: _Order, *, is_all: bool) -> None:
    is_narrowed = wanted != LetterFilter(status="open")
    if not (names or is_narrowed or is_all):
        raise typer.BadParameter("name letters, give a filter, or say --all")
    with asking() as api:
        chosen = choose(api, wanted, names)
        if not chosen:
            typer.echo("No open dead letter fits: nothing to do.")
            return
        commands = [_command(item, wanted, order) for item in chosen]
        states = [_send(api, *pair, order) for pair in zip(chosen, commands, strict=True)]
    if any(state is not None and state.status is not RunStatus.COMPLETED for state in states):
        raise typer.Exit(1)


def _command(chosen: Chosen, wanted: LetterFilter, order: _Order) -> ReplayRequested:
    return build(
        ReplayRequested,
        topic=chosen.topic,
        action=order.action,
        letter_ids=chosen.letter_ids,
        event_ids=wanted.event_ids,
        category=wanted.category,
        error_class=wanted.error_class,
        failed_after=wanted.failed_after,
        failed_before=wanted.failed_before,
        drift_id=wanted.drift_id,
        reason=order.reason,
        dry_run=order.dry_run,
    )


def _send(
    api: ConsoleApi, chosen: Chosen, command: ReplayRequested, order: _Order
) -> RunState | None:
    """Give one command; return how its run ended if it was followed."""
    what = f"{command.action} of {chosen.count} dead letters of {chosen.topic}"
    if not (order.wait or order.dry_run):
        typer.echo(f"Asked for the {what} (command {api.give(REPLAY_REQUESTED, command)}).")
        return None
    state = follow(
        api,
        REPLAY_REQUESTED,
        command,
        what=what,
        patience=order.patience,
        owner=chosen.consumer,
    )
    counts = state.counts
    done = counts.changed + counts.deleted
    told = f"Would {order.action} {done}" if order.dry_run else f"{order.action}ed {done}"
    typer.echo(f"{told[:1].upper()}{told[1:]}, refused {counts.failed}.")
    if counts.failed:
        tell_errors(api, state, "refused")
    return state
