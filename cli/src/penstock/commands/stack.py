"""`penstock up | down | status | env | logs`: the local stack on the command line."""

import shlex
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from penstock.commands.options import AsJson, print_json
from penstock.commands.stack_logs import follow_logs, show_logs
from penstock.commands.stack_view import StackProgress, state_table
from penstock.stack import (
    ALL_PARTS,
    PartName,
    RunningStack,
    Stack,
    StackError,
    StackSettings,
    StackState,
    read_settings,
)
from penstock.stack.errors import NotRunningError
from penstock.stack.settings import PORT_NAMES, parse_port

_PANEL = "Local stack"
_WATCH_SECONDS = 0.5

StateDirOption = Annotated[
    Path | None,
    typer.Option(
        "--state-dir",
        help="Folder of the stack [default: PENSTOCK_STATE_DIR, else .penstock].",
        show_default=False,
    ),
]


def register(app: typer.Typer) -> None:
    """Add the commands of the local stack."""
    for command, examples in (
        (up, ("up", "up --only kafka,postgres --port kafka=9092")),
        (down, ("down", "down && rm -r .penstock")),
        (status, ("status", "status --json | jq -r .parts.kafka.status")),
        (env, ("env", "env | sed 's/^export //' > .env")),
        (logs, ("logs kafka", "logs -f")),
    ):
        app.command(rich_help_panel=_PANEL, epilog=_examples(*examples))(command)


def _examples(*arguments: str) -> str:
    return "\n\n".join(("Examples:", *(f"    penstock {line}" for line in arguments)))


def up(
    *,
    state_dir: StateDirOption = None,
    only: Annotated[
        str | None,
        typer.Option(help="Start only these parts, separated by commas.", show_default=False),
    ] = None,
    port: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PART=NUMBER",
            help=f"Insist on a port; repeatable. Parts: {', '.join(PORT_NAMES)}.",
            show_default=False,
        ),
    ] = None,
    foreground: Annotated[
        bool, typer.Option("--foreground", help="Stay, and stop the stack at Ctrl-C.")
    ] = False,
) -> None:
    """Start Kafka, PostgreSQL, S3 and Samba as processes of this machine.

    Joins a stack that runs already, and starts again what has died in it. A part whose address is
    in the environment (`KAFKA_BOOTSTRAP_SERVERS`, `DATABASE_URL`, `S3_ENDPOINT_URL`,
    `NAS_SERVER_IP`) is used and not started.
    """
    settings = _settings(state_dir, ports=_parse_ports(port or []))
    with StackProgress(Console(stderr=True)) as progress:
        running = Stack(settings=settings).up(
            _parse_parts(only), tied=foreground, on_progress=progress.show
        )
    _say_hello(running)
    if foreground:
        _stay(running)


def down(state_dir: StateDirOption = None) -> None:
    """Stop the stack; its data stays in the state folder."""
    settings = _settings(state_dir)
    was_running = Stack(settings=settings).down()
    what = "The stack is stopped" if was_running else "No stack was running"
    typer.echo(f"{what} in {settings.state_dir}.")


def status(
    *,
    state_dir: StateDirOption = None,
    as_json: AsJson = False,
) -> None:
    """Show every part; the exit code is 0 only when all of them can be used."""
    settings = _settings(state_dir)
    report = Stack(settings=settings).status()
    usable = report is not None and all(part.status.is_usable for part in report.parts.values())
    if as_json:
        print_json(_as_json(report))
    elif report is None:
        raise _nothing_in(settings)
    else:
        Console().print(state_table(report))
    if not usable:
        raise typer.Exit(1)


def env(state_dir: StateDirOption = None) -> None:
    """Print export lines with which any client reaches the running parts.

    Contains the passwords of the stack: they are drawn at random for every state folder.
    """
    for name, value in Stack(settings=_settings(state_dir)).env().items():
        typer.echo(f"export {name}={shlex.quote(value)}")


def logs(
    part: Annotated[
        PartName | None, typer.Argument(help="One part; all of them when left out.")
    ] = None,
    *,
    state_dir: StateDirOption = None,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="How many last lines.")] = 50,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until Ctrl-C.")] = False,
) -> None:
    """Show what the servers wrote."""
    stack = Stack(settings=_settings(state_dir))
    folder = stack.state_dir
    names = [part.value] if part else [*(name.value for name in ALL_PARTS), "supervisor"]
    files = {name: folder.log(name) for name in names if folder.log(name).exists()}
    if not files:
        raise _nothing_in(stack.settings)
    positions = show_logs(files, lines=lines)
    if follow:
        follow_logs(files, positions)


# --- reading the command line ----------------------------------------------------------------
def _settings(state_dir: Path | None, *, ports: dict[str, int] | None = None) -> StackSettings:
    settings = read_settings()
    if state_dir is not None:
        settings = settings.in_folder(state_dir)
    return settings.on_ports(ports or {})


def _parse_parts(only: str | None) -> list[PartName]:
    if only is None:
        return list(ALL_PARTS)
    names = [name.strip() for name in only.split(",")]
    for name in names:
        if name not in ALL_PARTS:
            known = ", ".join(ALL_PARTS)
            raise StackError(f"--only takes some of {known}, separated by commas, not {name!r}.")
    return [PartName(name) for name in names]


def _parse_ports(options: list[str]) -> dict[str, int]:
    ports = {}
    for option in options:
        name, _, number = option.partition("=")
        if name not in PORT_NAMES:
            raise StackError(f"--port takes PART=NUMBER with a part of {', '.join(PORT_NAMES)}.")
        ports[name] = parse_port(f"--port {name}", number)
    return ports


# --- speaking --------------------------------------------------------------------------------
def _say_hello(running: RunningStack) -> None:
    folder = running.stack.settings.state_dir
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    if not running.has_real_share:
        console.print(
            "Samba is not installed, so the share is a plain folder; "
            "run scripts/install-system.sh for a real one.",
            style="yellow",
        )
    joined = "Joined the stack that runs" if running.is_joined else "The stack is up"
    console.print(f'{joined} in {folder}. Reach it with: eval "$(penstock env)"', markup=False)


def _stay(running: RunningStack) -> None:
    """Wait for Ctrl-C, then stop; end with an error when the supervisor ends first."""
    Console(stderr=True).print("Press Ctrl-C to stop it.")
    try:
        while running.is_supervised():
            time.sleep(_WATCH_SECONDS)
    except KeyboardInterrupt:
        running.stop()
        return
    raise NotRunningError("The stack was stopped by somebody else.")


def _as_json(report: StackState | None) -> dict[str, object]:
    parts = report.parts if report is not None else {}
    return {
        "running": any(part.status.is_usable for part in parts.values()),
        "parts": {
            name.value: {
                "status": part.status.value,
                "address": part.address,
                "pid": part.process.pid if part.process else None,
                "message": part.message,
            }
            for name, part in parts.items()
        },
    }


def _nothing_in(settings: StackSettings) -> NotRunningError:
    return NotRunningError(
        f"There was never a stack in {settings.state_dir}; start one with `penstock up`."
    )
