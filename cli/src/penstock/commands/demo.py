"""`penstock demo`: see the whole hub at work, on real parts and real transcripts."""

import asyncio
import dataclasses
import shutil
import signal
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from penstock.commands.examples import examples
from penstock.commands.stack_view import StackProgress
from penstock.stack import Stack, StackSettings, read_settings
from penstock.stack.errors import StackError

_FOLDER = "demo"
_INTERRUPTED = 130
_LOG_COLUMNS = 120


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        rich_help_panel="Set up", epilog=examples("demo", "demo --exit", "demo --exit --files 10")
    )(demo)


def demo(
    *,
    exits: Annotated[
        bool,
        typer.Option(
            "--exit", help="Stop everything at the end; exit code 1 if a figure is wrong."
        ),
    ] = False,
    files: Annotated[
        int | None,
        typer.Option(help="How many example transcripts [default: all].", show_default=False),
    ] = None,
) -> None:
    """Run the whole hub and show what becomes of real transcripts.

    Starts Kafka, PostgreSQL, S3, Samba and the services as processes of this machine, in a state
    folder of their own that every run begins anew. Addresses in the environment are left alone: the
    demo never touches a system that exists. Then it lays, edits, breaks and deletes files, and
    holds every figure against what the files themselves imply.
    """
    # The other commands do not wait a second for what only this one needs.
    from penstock.demo.project import find_project  # noqa: PLC0415
    from penstock.demo.scenario import plan  # noqa: PLC0415
    from penstock.demo.session import DemoSession  # noqa: PLC0415
    from penstock.demo.view import DemoView  # noqa: PLC0415

    project = find_project(Path.cwd())
    found = project.read_examples()
    scenario = plan(found, count=len(found) if files is None else files)
    settings = _clean_settings()
    console = Console(highlight=False)
    if not console.is_terminal:
        # A log has no width; tables folded to that of a terminal would only be harder to read.
        console = Console(highlight=False, width=_LOG_COLUMNS)
    view = DemoView(console)
    view.chapter(f"Starting Kafka, PostgreSQL, S3 and Samba in {settings.state_dir}")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with StackProgress(console) as progress:
            running = Stack(settings=settings).up(tied=True, on_progress=progress.show)
        with running:
            if not running.has_real_share:
                view.say("Samba is not installed: the share is a plain folder.", style="yellow")
            session = DemoSession(project, scenario, running, view)
            is_right = asyncio.run(session.run(stays=not exits))
    except KeyboardInterrupt:
        console.print("Stopped.")
        raise typer.Exit(_INTERRUPTED) from None
    if not is_right:
        raise typer.Exit(1)


def _clean_settings() -> StackSettings:
    """Return settings for a new stack in the demo's own folder."""
    configured = read_settings()
    folder = configured.state_dir / _FOLDER
    settings = dataclasses.replace(configured.in_folder(folder), given={}, ports={})
    if folder.exists():
        if Stack(settings=settings).state_dir.is_supervised():
            raise StackError(
                f"A demo runs already in {folder}; press Ctrl-C there, "
                f"or stop it with `penstock down --state-dir {folder}`."
            )
        shutil.rmtree(folder)
    return settings
