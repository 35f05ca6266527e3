"""How plans and histories of refreshes look in a terminal."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from penstock.refreshes import StoredPlan

_PHASES = ("read", "build", "verify", "wait", "lock")


def show_plan(console: Console, stored: StoredPlan, *, with_sql: bool) -> None:
    """Print a plan: per table what, why, how many, how, and on request every statement."""
    plan = stored.plan
    _line(console, f"Plan {stored.plan_id}: {stored.status}", style="bold")
    for text in plan["refusals"]:
        _line(console, f"✗ {text}", style="red")
    for text in plan["destructive"]:
        _line(console, f"! {text}", style="yellow")
    for text in plan["warnings"]:
        _line(console, f"· {text}")
    for component in plan["components"]:
        for table in component["tables"]:
            _show_table(console, table)
        if with_sql:
            _show_sql(console, component)
    if stored.status == "waiting":
        _line(console, f"Approve it with: penstock refresh approve {stored.plan_id}")


def _show_table(console: Console, table: Mapping[str, Any]) -> None:
    estimate = table["estimate"]
    seconds = estimate["seconds"]
    about = f"{estimate['rows']} rows, {estimate['bytes'] / 1e6:.1f} MB" + (
        f", {seconds:.0f} s" if seconds is not None else ""
    )
    _line(console, f"{table['key']}: {table['mode']} ({table['mode_reason']})", style="bold")
    _line(console, f"  {table['swap']}: {table['swap_reason']}")
    _line(console, f"  about {about}; the target has {table['target_rows']} rows")
    if (window := table["window"]) is not None:
        high = window["high"]["text"] if window["high"] else "the end"
        _line(console, f"  {window['column']} from {window['low']['text']} to {high}")
    if table["masks"]:
        masks = (f"{mask['column']} ({mask['mask_class']})" for mask in table["masks"])
        _line(console, f"  masked: {', '.join(masks)}")
    for name, why in table["not_carried"]:
        _line(console, f"  not carried: {name}: {why}")
    for text in (*table["drift"], *table["notes"]):
        _line(console, f"  {text}")


def _show_sql(console: Console, component: Mapping[str, Any]) -> None:
    for table in component["tables"]:
        for phase in ("schema", "stage", "reads", "build"):
            _show_statements(console, f"{table['key']}, {phase}", table[phase])
    _show_statements(console, "swap, one transaction", component["swap"])
    _show_statements(console, "after the swap", component["after"])
    _show_statements(console, "undo, one transaction", component["undo"])


def _show_statements(console: Console, title: str, statements: Sequence[Mapping[str, Any]]) -> None:
    if statements:
        _line(console, f"-- {title}", style="cyan")
    for statement in statements:
        values = ", ".join(value["text"] for value in statement["parameters"])
        _line(console, f"{statement['sql']};{f'  -- {values}' if values else ''}")


def show_history(console: Console, rows: Sequence[Mapping[str, Any]]) -> None:
    """Print refreshes, newest first."""
    table = Table("finished", "table", "mode", "swap", "read", "+", "~", "-", *_PHASES, "run")
    for row in rows:
        undone = " (undone)" if row["undone_at"] else ""
        table.add_row(
            f"{row['finished_at']:%Y-%m-%d %H:%M:%S}",
            row["table_key"],
            f"{row['mode']}{undone}",
            row["swap"],
            *(
                str(row[name])
                for name in ("rows_read", "rows_inserted", "rows_updated", "rows_deleted")
            ),
            *(_seconds(row["phases"].get(phase)) for phase in _PHASES),
            row["run_id"],
        )
    console.print(table)


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{value:.2f} s"


def show_overview(console: Console, found: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    """Print what waits, each table's last refresh, and the databases that were seen."""
    for row in found["waiting"]:
        _line(
            console,
            f"waits for approval: {row['plan_id']} ({row['target']}), asked for by "
            f"{row['requester']}",
            style="yellow",
        )
        for why in row["why"] or ():
            _line(console, f"  {why}")
    table = Table("table", "last refresh", "mode", "rows", "run")
    for row in found["tables"]:
        table.add_row(
            row["table_key"],
            f"{row['finished_at']:%Y-%m-%d %H:%M:%S}{' (undone)' if row['undone_at'] else ''}",
            row["mode"],
            str(row["rows_read"]),
            row["run_id"],
        )
    console.print(table)
    for row in found["databases"]:
        _line(console, f"{row['role']}: {row['fingerprint']}")


def _line(console: Console, text: str, *, style: str | None = None) -> None:
    console.print(text, style=style, markup=False, highlight=False, soft_wrap=True)
