"""`penstock simulate`: what another order of sources would change."""

import asyncio
from typing import Annotated, Any

import orjson
import typer

from contracts.runs import RunStatus
from penstock.commands.examples import examples
from penstock.commands.transform import build, follow, resolve
from penstock.runs import RunState
from penstock.settings import DatabaseAccess, read_access
from penstock.silver import reading_silver, samples_of


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        name="simulate",
        rich_help_panel="Looking at the hub",
        epilog=examples(
            "simulate --entity users --priority 'email=umich_api>tdx'",
            "simulate --entity users --priority 'email=tdx' --priority 'name=tdx' --json",
        ),
    )(simulate)


def simulate(
    *,
    entity: Annotated[str, typer.Option(help="A silver table, such as users.")],
    priority: Annotated[
        list[str],
        typer.Option(
            metavar="FIELD=SOURCE>SOURCE",
            help="Who may give a field, strongest first, as `priority` in the rules; repeatable.",
        ),
    ],
    entity_ids: Annotated[
        list[str] | None, typer.Option("--id", help="Only this record; repeatable.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
    timeout: Annotated[
        float, typer.Option(min=1, metavar="SECONDS", help="How long to wait.")
    ] = 3600.0,
) -> None:
    """Show how many records another order of sources would change, and which; nothing is written.

    Fields that are won together take the order together. A source that is left out cannot give
    the value.
    """
    found = resolve(entity)
    command = build(
        found, entity_ids=tuple(entity_ids or ()), priority=tuple(priority), dry_run=True
    )
    state = asyncio.run(follow(command, patience_seconds=timeout))
    if state.status is not RunStatus.COMPLETED:
        raise typer.Exit(1)
    samples = asyncio.run(_samples(state))
    if as_json:
        told = {
            "processed": state.counts.processed,
            "changed": state.counts.changed,
            "samples": samples,
        }
        typer.echo(orjson.dumps(told, option=orjson.OPT_INDENT_2).decode())
        return
    typer.echo(f"{state.counts.changed} of {state.counts.processed} records would change.")
    for sample in samples:
        typer.echo(describe(sample))
    if state.counts.changed > len(samples):
        typer.echo(f"… and {state.counts.changed - len(samples)} more")


async def _samples(state: RunState) -> list[dict[str, Any]]:
    async with reading_silver(read_access(DatabaseAccess).database) as connection:
        return await samples_of(connection, state.run_id)


def describe(sample: dict[str, Any]) -> str:
    """Return a difference in one line."""
    before, after = sample["before"], sample["after"]
    if not after:
        return f"{sample['entity_id']}: would leave silver"
    if not before:
        return f"{sample['entity_id']}: would enter silver"
    changes = (f"{name} {_text(before[name])} → {_text(after[name])}" for name in after)
    return f"{sample['entity_id']}: {', '.join(changes)}"


def _text(value: Any) -> str:
    return orjson.dumps(value).decode()
