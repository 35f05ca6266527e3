"""`penstock dlq`: what services have rejected; look at it, send it back, or discard it."""

import asyncio
import getpass
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import orjson
import typer
from pydantic import ValidationError
from rich.console import Console

from chassis.dead_letters.letters import LetterFilter
from contracts.commands import ReplayRequested
from contracts.runs import RunStatus
from contracts.topics import REPLAY_REQUESTED
from penstock.commands import dlq_view
from penstock.commands.dlq_options import (
    AsJson,
    Before,
    Category,
    Consumer,
    Drift,
    DryRun,
    ErrorClass,
    Event,
    Everything,
    Letters,
    OfTopic,
    Patience,
    Reason,
    Since,
    Status,
    Wait,
    build_filter,
)
from penstock.commands.examples import examples
from penstock.commands.run_view import RunProgress, tell_end
from penstock.dead_letters import (
    Chosen,
    as_json,
    choose,
    find_letter,
    list_groups,
    list_letters,
    refusals,
)
from penstock.messages import reading, send_command
from penstock.runs import RunState, follow_command
from penstock.settings import DatabaseAccess, HubAccess, read_access

_MAX_REFUSALS = 20

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


def list_command(
    *,
    consumer: Consumer = None,
    topic: OfTopic = None,
    category: Category = None,
    error_class: ErrorClass = None,
    since: Since = None,
    before: Before = None,
    event: Event = None,
    drift: Drift = None,
    status: Annotated[Status, typer.Option(help="What has become of them.")] = Status.OPEN,
    groups: Annotated[bool, typer.Option("--groups", help="Count them by reason.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="So many, newest first.")] = 50,
    as_json_: AsJson = False,
) -> None:
    """List dead letters, newest first; by default those that are open."""
    wanted = build_filter(
        consumer=consumer,
        topic=topic,
        category=category,
        error_class=error_class,
        since=since,
        before=before,
        events=event,
        drift=drift,
        status=status,
    )
    database = read_access(DatabaseAccess).database
    console = Console(highlight=False, markup=False)
    if groups:
        counted = asyncio.run(list_groups(database, wanted))
        if as_json_:
            _print_json([{n: getattr(item, n) for n in item.__slots__} for item in counted])
        else:
            console.print(dlq_view.groups_table(counted) if counted else "No dead letter.")
        return
    found = asyncio.run(list_letters(database, wanted, limit=limit))
    if as_json_:
        _print_json([as_json(letter) for letter in found])
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
    found = asyncio.run(find_letter(read_access(DatabaseAccess).database, letter))
    if raw:
        sys.stdout.buffer.write(found.value or b"")
    elif as_json_:
        _print_json(as_json(found, is_whole=True))
    else:
        dlq_view.show_letter(Console(highlight=False, markup=False), found)


def replay_command(
    letters: Letters = None,
    *,
    consumer: Consumer = None,
    topic: OfTopic = None,
    category: Category = None,
    error_class: ErrorClass = None,
    since: Since = None,
    before: Before = None,
    event: Event = None,
    drift: Drift = None,
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
    wanted = build_filter(
        consumer=consumer,
        topic=topic,
        category=category,
        error_class=error_class,
        since=since,
        before=before,
        events=event,
        drift=drift,
    )
    order = _Order("replay", dry_run, reason, wait=wait, patience=patience)
    _decide(wanted, letters or [], order, is_all=everything)


def discard_command(
    letters: Letters = None,
    *,
    reason: Annotated[str, typer.Option(help="Why; stands in the audit trail.")],
    consumer: Consumer = None,
    topic: OfTopic = None,
    category: Category = None,
    error_class: ErrorClass = None,
    since: Since = None,
    before: Before = None,
    event: Event = None,
    drift: Drift = None,
    everything: Everything = False,
    dry_run: DryRun = False,
    wait: Wait = False,
    patience: Patience = 3600.0,
) -> None:
    """Close open dead letters without sending them; they are trimmed a week later."""
    wanted = build_filter(
        consumer=consumer,
        topic=topic,
        category=category,
        error_class=error_class,
        since=since,
        before=before,
        events=event,
        drift=drift,
    )
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
    chosen = asyncio.run(choose(read_access(DatabaseAccess).database, wanted, names))
    if not chosen:
        typer.echo("No open dead letter fits: nothing to do.")
        return
    commands = [_command(item, wanted, order) for item in chosen]
    states = [asyncio.run(_send(*pair, order)) for pair in zip(chosen, commands, strict=True)]
    if any(state is not None and state.status is not RunStatus.COMPLETED for state in states):
        raise typer.Exit(1)


def _command(chosen: Chosen, wanted: LetterFilter, order: _Order) -> ReplayRequested:
    document = {
        "topic": chosen.topic,
        "action": order.action,
        "letter_ids": chosen.letter_ids,
        "event_ids": wanted.event_ids,
        "category": wanted.category,
        "error_class": wanted.error_class,
        "failed_after": wanted.failed_after,
        "failed_before": wanted.failed_before,
        "drift_id": wanted.drift_id,
        "reason": order.reason,
        "dry_run": order.dry_run,
        "requester": getpass.getuser(),
    }
    try:
        return ReplayRequested.model_validate(document)
    except ValidationError as error:
        problems = (": ".join((*map(str, item["loc"][:1]), item["msg"])) for item in error.errors())
        raise typer.BadParameter("; ".join(problems)) from error


async def _send(chosen: Chosen, command: ReplayRequested, order: _Order) -> RunState | None:
    """Send one command; return how its run ended if it was followed."""
    access = read_access(HubAccess)
    what = f"{command.action} of {chosen.count} dead letters of {chosen.topic}"
    if not (order.wait or order.dry_run):
        command_id = await send_command(access.kafka, REPLAY_REQUESTED, command)
        typer.echo(f"Asked for the {what} (command {command_id}).")
        return None
    console = Console(stderr=True, highlight=False)
    refused = REPLAY_REQUESTED.dead_letters_of(chosen.consumer)
    # The reader stands at the end before the command is sent, so that no refusal is missed.
    async with reading(access.kafka, [refused], from_end=True) as dead_letters:
        command_id = await send_command(access.kafka, REPLAY_REQUESTED, command)
        with RunProgress(console, what) as progress:
            state = await follow_command(
                access.database,
                command_id,
                dead_letters=dead_letters,
                patience_seconds=order.patience,
                on_change=progress.show,
            )
    tell_end(console, what.capitalize(), state)
    await _tell_result(access, state, order)
    return state


async def _tell_result(access: HubAccess, state: RunState, order: _Order) -> None:
    counts = state.counts
    done = counts.changed + counts.deleted
    verb = "discard" if order.action == "discard" else "replay"
    told = f"Would {verb} {done}" if order.dry_run else f"{verb.capitalize()}ed {done}"
    typer.echo(f"{told}, refused {counts.failed}.")
    if not counts.failed:
        return
    found = await refusals(access.database, state.run_id, limit=_MAX_REFUSALS)
    for letter_id, message in found:
        typer.echo(f"refused {letter_id}: {message}")
    if counts.failed > len(found):
        typer.echo(f"… and {counts.failed - len(found)} more in meta.record_errors")


def _print_json(document: object) -> None:
    # The driver has a UUID of its own.
    typer.echo(orjson.dumps(document, default=str, option=orjson.OPT_INDENT_2).decode())
