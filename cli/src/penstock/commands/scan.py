"""`penstock scan`: ask for a look at a source now, and follow it on request."""

from enum import StrEnum
from typing import Annotated

import typer

from contracts.commands import OverlapPolicy, ScanRequested
from contracts.topics import SCAN_REQUESTED
from penstock.commands.examples import examples
from penstock.commands.options import Patience, Reason, Wait
from penstock.commands.orders import ask, build, exit_unless_completed, follow
from penstock.console_api import asking


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
    reason: Reason = None,
    wait: Wait = False,
    timeout: Patience = 3600.0,
) -> None:
    """Ask the scanner to look for changes at a source now.

    The command is recorded and audited under your name. A scan that runs already is not disturbed:
    this one comes after it.
    """
    command = build(
        ScanRequested,
        source=source,
        mode=mode.value,
        prefix=prefix,
        release_held_deletions=release_held_deletions,
        dry_run=dry_run,
        reason=reason,
        overlap=OverlapPolicy.QUEUE,
    )
    what = f"scan of {source}"
    if not wait:
        ask(SCAN_REQUESTED, command, f"a {what}")
        return
    with asking() as api:
        state = follow(api, SCAN_REQUESTED, command, what=what, patience=timeout)
    exit_unless_completed(state)
