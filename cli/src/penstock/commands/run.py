"""`penstock run`: the services as processes of this machine, in the foreground."""

import asyncio
import signal
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from chassis.errors import SettingsError
from chassis.retry import backoff_seconds
from penstock.commands.examples import examples
from penstock.processes import (
    ServiceProcess,
    ServiceProcessError,
    ServiceProcesses,
    known_services,
)
from penstock.settings import service_environment
from penstock.stack import Stack, StackError, read_settings

SERVICES = ("scanner", "ingestor", "transformer", "refresher", "wrds_sync", "console")
"""In the order in which changes flow; the console last, because it is told where the others are."""

_CONSOLE = "console"
_CONFIG = "PENSTOCK_CONFIG_DIRECTORY"
_FOLDER = "services"
_LOOK_SECONDS = 0.2
_STEADY_SECONDS = 60.0
"""A process that lived so long is started again at once; one that keeps ending waits longer."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        rich_help_panel="Set up", epilog=examples("run", "run scanner ingestor", "run console")
    )(run)


def run(
    services: Annotated[
        list[str] | None,
        typer.Argument(help=f"Some of {', '.join(SERVICES)} [default: all].", show_default=False),
    ] = None,
) -> None:
    """Run the services until Ctrl-C, each as a process of its own.

    They take their settings from the environment; a local stack that runs (`penstock up`) fills in
    the addresses that it leaves out. A service that you name must start; of all, those without
    their settings are left out, and the command says which. A process that ends is started again,
    later each time. Logs are in the folder of the stack. For production, see deploy/: this is one
    machine without limits or isolation.
    """
    names = _chosen(services or list(SERVICES))
    settings = read_settings()
    try:
        stack = Stack(settings=settings).env()
    except StackError:
        stack = {}
    environment = stack | service_environment() | {"PENSTOCK_HTTP_PORT": "0"}
    # A service does not stand in our folder.
    config = Path(environment.get(_CONFIG, "config")).absolute()
    environment[_CONFIG] = str(config)
    folder = settings.state_dir / _FOLDER
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    running = _Running(ServiceProcesses(environment, folder), console)
    codes = asyncio.run(running.until_interrupted(names, insists=bool(services)))
    if failed := {name: code for name, code in codes.items() if code != 0}:
        raise StackError(
            "; ".join(f"{name} ended with exit code {code}" for name, code in failed.items())
            + f"; look at {folder}."
        )


def _chosen(names: list[str]) -> list[str]:
    if unknown := [name for name in names if name not in SERVICES]:
        raise SettingsError(
            f"there is no service {unknown[0]!r}; services: {', '.join(SERVICES)}",
            problems=unknown,
        )
    return [name for name in SERVICES if name in names]


class _Running:
    """Services that run, and what is told of them."""

    def __init__(self, services: ServiceProcesses, console: Console) -> None:
        self._services = services
        self._console = console

    async def until_interrupted(self, names: list[str], *, insists: bool) -> dict[str, int]:
        """Start the services, keep them running until SIGINT or SIGTERM; return the exit codes.

        Raises:
            ServiceProcessError: one cannot start, and `insists`; or none can.
        """
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        async with self._services as services:
            for name in names:
                try:
                    await self._start(services[name])
                except ServiceProcessError as error:
                    if insists or (name == names[-1] and not services.running):
                        raise
                    self._say(f"Left out: {error}", style="yellow")
            self._say("Press Ctrl-C to stop.")
            async with asyncio.TaskGroup() as group:
                watches = [
                    group.create_task(self._keep(process)) for process in services.running.values()
                ]
                await stop.wait()
                for watch in watches:
                    watch.cancel()
            self._say("Stopping: what is in hand is finished first.")
            return await services.stop()

    async def _start(self, process: ServiceProcess) -> None:
        changes = {}
        if process.service == _CONSOLE:
            changes["CONSOLE_SERVICES"] = known_services(self._services.running)
        await process.start(**changes)
        await process.until_ready()
        self._say(f"{process.service} is ready: {_where(process)}, log {process.log}")

    async def _keep(self, process: ServiceProcess) -> None:
        """Start a process again whenever it has ended."""
        loop = asyncio.get_running_loop()
        attempt, started = 0, loop.time()
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            if process.is_running:
                continue
            attempt = 1 if loop.time() - started > _STEADY_SECONDS else attempt + 1
            pause = backoff_seconds(attempt)
            self._say(f"{process.service} has ended, and is started again in {pause:.0f} s")
            await asyncio.sleep(pause)
            started = loop.time()
            try:
                await self._start(process)
            except ServiceProcessError as error:  # it is tried again: what it needs may come back
                self._say(str(error))

    def _say(self, text: str, *, style: str | None = None) -> None:
        self._console.print(text, markup=False, style=style)


def _where(process: ServiceProcess) -> str:
    addresses = [
        str(line["address"])
        for line in process.events()
        if line.get("event") == "console_listening"
    ]
    return addresses[-1] if addresses else f"http://127.0.0.1:{process.http_port}/readyz"
