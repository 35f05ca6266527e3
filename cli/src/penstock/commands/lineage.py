"""`penstock lineage`: export runs as OpenLineage events, to a server or a file."""

import asyncio
import contextlib
from pathlib import Path
from typing import Annotated

import typer

from chassis.errors import SettingsError
from chassis.settings import KafkaSettings
from penstock.commands.examples import examples
from penstock.lineage import LineageSettings, export, to_file, to_server
from penstock.lineage_events import LineageEvents
from penstock.settings import ConsoleAccess, read_access


class LineageAccess(ConsoleAccess):
    """What the export needs."""

    kafka: KafkaSettings
    lineage: LineageSettings


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        name="lineage",
        rich_help_panel="Looking at the hub",
        epilog=examples("lineage", "lineage --file runs.jsonl --until-end"),
    )(lineage)


def lineage(
    *,
    file: Annotated[
        Path | None,
        typer.Option(help="Append to this file instead of sending.", show_default=False),
    ] = None,
    until_end: Annotated[
        bool, typer.Option("--until-end", help="Export what there is now, and end.")
    ] = False,
) -> None:
    """Export runs as OpenLineage events, from where the last export ended.

    The server is that of `OPENLINEAGE_URL` (with `OPENLINEAGE_API_KEY`, `OPENLINEAGE_NAMESPACE`).
    What could not be delivered is tried again; nothing of it is lost while Kafka keeps it.
    """
    access = read_access(LineageAccess)
    if file is None and access.lineage.url is None:
        problem = "`OPENLINEAGE_URL` is missing; or give a file with --file"
        raise SettingsError(problem, problems=[problem])
    with contextlib.suppress(KeyboardInterrupt):
        count = asyncio.run(_export(access, file, until_end=until_end))
        typer.echo(f"{count} events were delivered.")


async def _export(access: LineageAccess, file: Path | None, *, until_end: bool) -> int:
    events = LineageEvents(access.lineage.namespace)
    if file is not None:
        return await export(access.kafka, events, to_file(file), until_end=until_end)
    async with to_server(access.lineage) as deliver:
        return await export(access.kafka, events, deliver, until_end=until_end)
