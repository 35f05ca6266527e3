"""`penstock simulate`: what another order of sources would change."""

from typing import Annotated, Any

import orjson
import typer

from contracts.commands import OverlapPolicy, TransformRequested
from contracts.topics import TRANSFORM_REQUESTED
from penstock.commands.examples import examples
from penstock.commands.options import AsJson, print_json
from penstock.commands.orders import build, exit_unless_completed, follow
from penstock.console_api import asking
from penstock.silver import find_entity, read_samples


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
    as_json: AsJson = False,
    timeout: Annotated[
        float, typer.Option(min=1, metavar="SECONDS", help="How long to wait.")
    ] = 3600.0,
) -> None:
    """Show how many records another order of sources would change, and which; nothing is written.

    Fields that are won together take the order together. A source that is left out cannot give
    the value.
    """
    with asking() as api:
        kind = find_entity(api, entity)
        command = build(
            TransformRequested,
            entity_type=kind.entity_type,
            entity_ids=tuple(entity_ids or ()),
            priority=tuple(priority),
            dry_run=True,
            overlap=OverlapPolicy.QUEUE,
        )
        what = f"transformation of {kind.entity_type}"
        state = follow(api, TRANSFORM_REQUESTED, command, what=what, patience=timeout)
        exit_unless_completed(state)
        samples = read_samples(api, state.run_id)
    if as_json:
        told = {
            "processed": state.counts.processed,
            "changed": state.counts.changed,
            "samples": samples,
        }
        print_json(told)
        return
    typer.echo(f"{state.counts.changed} of {state.counts.processed} records would change.")
    for sample in samples:
        typer.echo(describe(sample))
    if state.counts.changed > len(samples):
        typer.echo(f"… and {state.counts.changed - len(samples)} more")


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
