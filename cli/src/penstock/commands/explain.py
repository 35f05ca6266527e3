"""`penstock explain`: why a silver record is what it is."""

from datetime import datetime, timedelta
from typing import Annotated, Any

import orjson
import typer
from rich.console import Console
from rich.table import Table

from chassis.clock import SystemClock
from penstock.commands.examples import examples
from penstock.commands.options import AsJson, print_json
from penstock.console_api import asking
from penstock.silver import Explanation, Step, explain, find_entity, find_record


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        name="explain",
        rich_help_panel="Looking at the hub",
        epilog=examples(
            "explain users jdoe", "explain transcripts RY-CA/12345", "explain companies SFM --json"
        ),
    )(explain_command)


def explain_command(
    entity: Annotated[str, typer.Argument(help="A silver table, such as users.")],
    key: Annotated[
        str, typer.Argument(help="The record's id, a natural key, or its id at a source.")
    ],
    *,
    shows_rules: Annotated[
        bool, typer.Option("--rules", help="Show the rule that computed each value as well.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show where each value of a silver record comes from.

    Per field: the value, the source that won, those that lost, the order of sources, the age. Then
    the way of every record: what the source has, the event, the version in bronze.
    """
    with asking() as api:
        kind = find_entity(api, entity)
        found = explain(api, kind, find_record(api, kind, key))
    if as_json:
        print_json(found)
    else:
        _show(found, now=SystemClock().now(), shows_rules=shows_rules)


def _show(found: Explanation, *, now: datetime, shows_rules: bool) -> None:
    console = Console(highlight=False, markup=False, soft_wrap=True)
    title = f"silver.{found.table} {found.entity_id}: {found.status}, version {found.version}"
    if found.score is not None:
        title += f", quality {found.score}"
    if found.flags:
        title += f" ({', '.join(found.flags)})"
    console.print(title)
    if found.rejected_because is not None:
        console.print(f"rejected: {found.rejected_because}")
    if found.values:
        table = Table(box=None, pad_edge=False)
        for name in ("field", "value", "from", "age", "instead of", "won"):
            table.add_column(name, overflow="fold")
        for value in found.values:
            age = "" if value.as_of is None else describe_age(now - value.as_of)
            losers = "\n".join(f"{item['source']}: {_text(item['value'])}" for item in value.losers)
            expression, _, order = value.rule.rpartition("; ")
            table.add_row(
                *(value.field, _text(value.value), value.source or "-", age, losers, order)
            )
            if shows_rules and expression:
                table.add_row("", "", "", "", "", expression)
        Console(highlight=False, markup=False).print(table)
    for step in found.chain:
        console.print(describe_step(step))


def describe_step(step: Step) -> str:
    """Return the way of a record in one line."""
    at_source = f"{step.source_system} {step.external_id}"
    if step.source_modified_at is not None:
        at_source += f" ({step.source_modified_at:%Y-%m-%d %H:%M:%S})"
    if step.blob_key is not None:
        at_source += f" [{step.blob_key}]"
    event = f"event {step.event_id}" if step.event_id else "no event noted"
    bronze = f"bronze version {step.bronze_version} ({step.stored_at:%Y-%m-%d %H:%M:%S})"
    link = f", linked by {step.linked_by}" if step.linked_by else ""
    return f"{at_source} → {event} → {bronze} → silver as {step.source}{link}"


def describe_age(age: timedelta) -> str:
    """Return an age in its largest unit."""
    seconds = max(0, int(age.total_seconds()))
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def _text(value: Any) -> str:
    if value is None:
        return "-"
    return value if isinstance(value, str) else orjson.dumps(value).decode()
