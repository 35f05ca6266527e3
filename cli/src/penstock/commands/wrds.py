"""`penstock wrds`: sync, look at and repair the mirror of WRDS.

The verbs run on this machine, in a process of the mirror's own (`python -m wrds_sync`), under the
same locks as the service. With `--via-hub` the hub is asked: to sync, or how things stand.
"""

import subprocess
import sys
from pathlib import Path
from typing import Annotated, Literal

import orjson
import typer
from rich.console import Console

from chassis.errors import SettingsError
from contracts.commands import OverlapPolicy, WrdsSyncRequested
from contracts.topics import WRDS_SYNC_REQUESTED
from penstock.commands.examples import examples
from penstock.commands.options import CommandId
from penstock.commands.orders import ask, build, exit_unless_completed, follow
from penstock.commands.wrds_view import Live, Plain
from penstock.console_api import asking
from penstock.datasets import read_status
from penstock.settings import DatabaseAccess, read_access, service_environment

_HUB_PATIENCE_SECONDS = 6 * 3600.0

DatasetOption = Annotated[
    str, typer.Option("--dataset", help="A data set of config/datasets.yaml, or a vendor.")
]
MaybeDataset = Annotated[
    str | None, typer.Option("--dataset", help="A data set, or a vendor.", show_default=False)
]
JsonOption = Annotated[bool, typer.Option("--json", help="JSON lines, also on a terminal.")]
HubOption = Annotated[
    bool, typer.Option("--via-hub", help="Ask the service to do it, and follow its run.")
]
VintageOption = Annotated[
    str | None, typer.Option(help="A kept vintage; by default the present one.", show_default=False)
]

commands = typer.Typer(
    help="The mirror of WRDS: sync, status, verification, locks, vintages.", no_args_is_help=True
)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(commands, name="wrds", rich_help_panel="Commands to the hub")


@commands.command(
    name="full-sync",
    epilog=examples(
        "wrds full-sync --dataset crsp --start-year 2000",
        "wrds full-sync --dataset compustat_annual --via-hub",
    ),
)
def full_sync(
    *,
    dataset: DatasetOption,
    start_year: Annotated[
        int | None,
        typer.Option(min=1900, max=2200, help="Default: as configured.", show_default=False),
    ] = None,
    via_hub: HubOption = False,
    as_json: JsonOption = False,
) -> None:
    """Copy every partition, or go on where the last attempt ended.

    Exit code 0 means done, 1 failed, 2 that another writer holds the data set.
    """
    if via_hub:
        _ask(dataset, "full", start_year=start_year)
        return
    extra = () if start_year is None else ("--start-year", str(start_year))
    _run("full-sync", "--dataset", dataset, *extra, as_json=as_json)


@commands.command(
    name="incremental",
    epilog=examples(
        "wrds incremental --dataset crsp",
        "wrds incremental --all --via-hub",
        'wrds incremental --all --via-hub --detach --command-id "wrds-$(date +%F)"',
    ),
)
def incremental(
    *,
    dataset: MaybeDataset = None,
    everything: Annotated[bool, typer.Option("--all", help="Every data set.")] = False,
    via_hub: HubOption = False,
    detach: Annotated[
        bool, typer.Option("--detach", help="With --via-hub: ask, and do not follow.")
    ] = False,
    command_id: CommandId = None,
    as_json: JsonOption = False,
) -> None:
    """Copy the partitions that differ from the archive, and report what was restated."""
    if everything == (dataset is not None):
        raise typer.BadParameter("name a data set with --dataset, or take --all")
    if not via_hub and (detach or command_id):
        raise typer.BadParameter("--detach and --command-id go with --via-hub")
    if via_hub:
        _ask(dataset or "all", "incremental", command_id=command_id, detach=detach)
        return
    chosen = ("--dataset", dataset) if dataset else ("--all",)
    _run("incremental", *chosen, as_json=as_json)


@commands.command(
    name="status", epilog=examples("wrds status", "wrds status --dataset crsp --via-hub")
)
def status(
    *,
    dataset: MaybeDataset = None,
    via_hub: Annotated[
        bool, typer.Option("--via-hub", help="As the service has last told the hub.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Show every data set: vintage, last attempt, lock; and the disk."""
    if not via_hub:
        _run("status", *_dataset(dataset), as_json=as_json)
        return
    with asking() as api:
        found = read_status(api, dataset)
    console = Console(highlight=False)
    view = Live(console) if console.is_terminal and not as_json else Plain()
    with view:
        view.show(orjson.dumps(found) + b"\n")


@commands.command(name="verify")
def verify(*, dataset: MaybeDataset = None, as_json: JsonOption = False) -> None:
    """Read every file and compare checksums; downloads nothing, changes nothing."""
    _run("verify", *_dataset(dataset), as_json=as_json)


@commands.command(name="lock-status")
def lock_status(*, as_json: JsonOption = False) -> None:
    """Show who writes what."""
    _run("lock-status", as_json=as_json)


@commands.command(name="force-unlock")
def force_unlock(
    *,
    dataset: DatasetOption,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Remove a lock whoever holds it; its writer, if it lives, can write nothing more."""
    if not yes:
        typer.confirm(f"Take the lock of {dataset} from its holder?", abort=True)
    _run("force-unlock", "--dataset", dataset, "--yes", as_json=as_json)


@commands.command(name="manifest")
def manifest(
    *, dataset: DatasetOption, vintage: VintageOption = None, as_json: JsonOption = False
) -> None:
    """Print a vintage's manifest, and the names of those that are kept."""
    _run("manifest", "--dataset", dataset, *_vintage(vintage), as_json=as_json)


@commands.command(name="diff")
def diff(
    *,
    dataset: DatasetOption,
    vintage: Annotated[
        str | None, typer.Option(help="The earlier; default: the one before.", show_default=False)
    ] = None,
    to: Annotated[
        str | None, typer.Option(help="The later; default: the present one.", show_default=False)
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Compare two kept vintages row by row: added, removed, changed, and in which columns."""
    later = () if to is None else ("--to", to)
    _run("diff", "--dataset", dataset, *_vintage(vintage), *later, as_json=as_json)


@commands.command(name="read-example")
def read_example(
    *, dataset: DatasetOption, vintage: VintageOption = None, as_json: JsonOption = False
) -> None:
    """Print code that reads a data set with polars, DuckDB and pyarrow, also while a sync runs."""
    _run("read-example", "--dataset", dataset, *_vintage(vintage), as_json=as_json)


@commands.command(name="backup")
def backup(*, as_json: JsonOption = False) -> None:
    """Copy the mirror to WRDS_SYNC_BACKUP_REMOTE with rclone."""
    _run("backup", as_json=as_json)


@commands.command(name="restore")
def restore(
    *,
    target: Annotated[Path, typer.Option(help="A folder; for the drill, an empty one.")],
    as_json: JsonOption = False,
) -> None:
    """Copy the backup into a folder; `verify` there proves it whole."""
    _run("restore", "--target", str(target), as_json=as_json)


def _dataset(name: str | None) -> tuple[str, ...]:
    return ("--dataset", name) if name else ()


def _vintage(name: str | None) -> tuple[str, ...]:
    return ("--vintage", name) if name else ()


def _run(verb: str, *arguments: str, as_json: bool) -> None:
    """Run a verb in a process of the mirror, show what it says, and end with its exit code."""
    console = Console(highlight=False)
    view = Live(console) if console.is_terminal and not as_json else Plain()
    with (
        subprocess.Popen(  # noqa: S603 - our own module, no shell
            [sys.executable, "-m", "wrds_sync", verb, *arguments],
            stdout=subprocess.PIPE,
            env=_environment(),
        ) as process,
        view,
    ):
        if process.stdout is not None:
            for line in process.stdout:
                view.show(line)
    if process.returncode:
        # Killed by a signal is a failure too, and not exit code 2.
        raise typer.Exit(process.returncode if process.returncode > 0 else 1)


def _environment() -> dict[str, str]:
    """Return our environment, with the database of a local stack where one runs."""
    values = service_environment()
    try:
        url = read_access(DatabaseAccess).database.url.get_secret_value()
    except SettingsError:
        return values
    return {"DATABASE_URL": url} | values


def _ask(
    target: str,
    mode: Literal["full", "incremental"],
    *,
    start_year: int | None = None,
    command_id: str | None = None,
    detach: bool = False,
) -> None:
    command = build(
        WrdsSyncRequested,
        dataset=target,
        command_id=command_id,
        mode=mode,
        start_year=start_year,
        overlap=OverlapPolicy.QUEUE,
    )
    if detach:
        ask(WRDS_SYNC_REQUESTED, command, f"a sync of {target}")
        return
    what = f"{mode} sync of {target}"
    with asking() as api:
        state = follow(api, WRDS_SYNC_REQUESTED, command, what=what, patience=_HUB_PATIENCE_SECONDS)
    exit_unless_completed(state)
