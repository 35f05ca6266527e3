"""How changed schemas look in a terminal."""

import json
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from contracts.drifts import FieldChange
from penstock.commands.dlq_view import printable
from penstock.drifts import DriftEntry

_SHORT_ID = 8
_SHOWN_CHANGES = 3


def table(entries: Sequence[DriftEntry]) -> Table:
    """Return a line an entry."""
    shown = Table(box=None, pad_edge=False)
    for name in ("DRIFT", "SEEN (UTC)", "SERVICE", "DATA SET", "KIND", "STATUS"):
        shown.add_column(name, no_wrap=True)
    shown.add_column("HELD BACK", justify="right")
    shown.add_column("CHANGES", overflow="fold")
    for entry in entries:
        shown.add_row(
            entry.id[:_SHORT_ID],
            f"{entry.detected_at:%Y-%m-%d %H:%M:%S}",
            entry.service,
            entry.dataset,
            entry.kind,
            entry.status,
            str(entry.held),
            Text(printable(_summary(entry.changes))),
        )
    return shown


def show(console: Console, entry: DriftEntry) -> None:
    """Print one entry with all its changes."""
    for name, told in _facts(entry).items():
        console.print(Text.assemble((f"{name:<12}", "bold"), printable(told)), soft_wrap=True)
    console.print(Text("changes", style="bold"))
    for change in _ordered(entry.changes):
        style = "red" if change.is_breaking else "green"
        console.print(Text(f"  {printable(str(change))}", style=style), soft_wrap=True)
    if entry.sample is not None:
        console.print(Text("sample", style="bold"))
        sample = json.dumps(entry.sample, indent=2, ensure_ascii=False)
        console.print(Text(printable(sample)), soft_wrap=True)


def _facts(entry: DriftEntry) -> dict[str, str]:
    facts = {
        "drift": entry.id,
        "data set": f"{entry.dataset} ({entry.service})",
        "kind": entry.kind,
        "status": entry.status,
        "seen": f"{entry.detected_at:%Y-%m-%d %H:%M:%S} UTC",
        "held back": f"{entry.held} dead letters" if entry.held else "no dead letters",
        "silver": ", ".join(entry.affected) or "no field that the rules name",
    }
    if entry.run_id:
        facts["run"] = entry.run_id
    if entry.decided_at:
        why = f": {entry.reason}" if entry.reason else ""
        facts["decided"] = f"{entry.decided_at:%Y-%m-%d %H:%M:%S} UTC by {entry.decided_by}{why}"
    return facts


def _ordered(changes: Sequence[FieldChange]) -> list[FieldChange]:
    """What breaks comes first."""
    return sorted(changes, key=lambda change: (not change.is_breaking, change.field))


def _summary(changes: Sequence[FieldChange]) -> str:
    ordered = _ordered(changes)
    told = "; ".join(str(change) for change in ordered[:_SHOWN_CHANGES])
    more = len(ordered) - _SHOWN_CHANGES
    return f"{told}; and {more} more" if more > 0 else told
