"""How the mirror's JSON lines look to people: bars while it works, tables when it is done.

Where nobody looks (no terminal, or `--json`), the lines pass unchanged.
"""

import sys
from collections.abc import Mapping
from typing import Any, Self

import orjson
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn
from rich.progress import TimeElapsedColumn as Elapsed
from rich.table import Table

Facts = Mapping[str, Any]

_SHOWN_LEVELS = frozenset({"warning", "error", "critical"})
_SHOWN_FILES = 3
_HIDDEN_FIELDS = frozenset({"event", "level", "timestamp", "service", "alert", "outcome"})


class Plain:
    """Passes every line on, as it is."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is open."""

    def show(self, line: bytes) -> None:
        """Pass one line on."""
        sys.stdout.buffer.write(line)
        sys.stdout.buffer.flush()


class Live:
    """Draws bars, tells warnings, and prints the result."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._tasks: dict[str, TaskID] = {}
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rows]:,} rows"),
            Elapsed(),
            console=console,
        )

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def show(self, line: bytes) -> None:
        """Show one line; what is no JSON object is shown as text."""
        try:
            facts = orjson.loads(line)
        except orjson.JSONDecodeError:
            self._console.print(line.decode("utf-8", "replace").rstrip(), markup=False)
            return
        event = facts.get("event")
        if event == "sync_progress":
            self._advance(facts)
        elif event == "result":
            self._progress.stop()
            show_result(self._console, facts)
        elif facts.get("level") in _SHOWN_LEVELS:
            self._tell(facts)

    def _advance(self, facts: Facts) -> None:
        dataset, done, total = facts["dataset"], facts["done"], facts["total"]
        if dataset not in self._tasks:
            self._tasks[dataset] = self._progress.add_task(dataset, total=total, rows=0)
        share = min(facts["rows"] / (facts["expected_rows"] or 1), 1) if done < total else 0
        self._progress.update(
            self._tasks[dataset],
            description=f"{dataset} {facts['year'] or ''}",
            completed=done + share,
            rows=facts["rows"],
        )

    def _tell(self, facts: Facts) -> None:
        told = ", ".join(
            f"{key}={value}" for key, value in facts.items() if key not in _HIDDEN_FIELDS
        )
        style = "yellow" if facts["level"] == "warning" else "red"
        self._console.print(f"{facts.get('event')}: {told}", style=style, markup=False)


def show_result(console: Console, facts: Facts) -> None:
    """Print the result of a verb."""
    verb = facts["verb"]
    if verb in _TABLES:
        console.print(_TABLES[verb](facts))
    elif verb in ("full-sync", "incremental", "verify"):
        for item in facts["datasets"]:
            _tell_dataset(console, item)
    elif verb == "diff":
        _tell_diff(console, facts["report"])
    elif verb == "read-example":
        console.print(example(facts), markup=False, highlight=False, soft_wrap=True)
    else:
        console.print_json(data={key: value for key, value in facts.items() if key != "event"})


def _tell_dataset(console: Console, item: Facts) -> None:
    name = escape(item["dataset"])
    if item["is_ok"]:
        text = "verified"
        if "vintage" in item:
            text = (
                f"{item['rows']:,} rows in {item['partitions']} partitions, "
                f"{item['partitions_copied']} copied; vintage {item['vintage']}"
            )
        console.print(f"[green]✓[/green] {name}: {text}")
        if item.get("restated"):
            _tell_diff(console, item["restated"])
        return
    for problem in item.get("problems") or [item.get("error", "failed")]:
        console.print(f"[red]✗[/red] {name}: {escape(problem)}")


def _tell_diff(console: Console, report: Facts) -> None:
    table = Table("year", "rows before", "rows after", "added", "removed", "changed", "columns")
    table.title = f"{report['dataset']}: {report['previous']} → {report['vintage']}"
    for part in report["partitions"]:
        columns = sorted(part["changed_columns"].items(), key=lambda item: -item[1])
        table.add_row(
            str(part["year"] or "all"),
            *(
                f"{part[key]:,}"
                for key in ("rows_before", "rows_after", "added", "removed", "changed")
            ),
            ", ".join(f"{name} ({count:,})" for name, count in columns[:4]),
        )
    console.print(table)


def _status(facts: Facts) -> Table:
    table = Table("data set", "vintage", "synced", "rows", "partitions", "last attempt", "lock")
    for item in facts["datasets"]:
        progress, lock = item.get("progress") or {}, item.get("lock")
        table.add_row(
            item["dataset"],
            item.get("vintage") or item.get("error") or "never synced",
            (item.get("synced_at") or "")[:19],
            f"{item['rows']:,}" if "rows" in item else "",
            str(item.get("partitions", "")),
            progress.get("status", ""),
            lock["reason"] if lock else "",
        )
    if disk := facts.get("disk"):
        table.caption = f"disk {disk['used_share']:.0%} used, {disk['free_bytes']:,} bytes free"
    return table


def _locks(facts: Facts) -> Table:
    table = Table("data set", "state", "process", "host", "refreshed", "expires", "token")
    for item in facts["locks"]:
        table.add_row(
            item["dataset"],
            item["reason"],
            str(item.get("pid", "")),
            item.get("hostname", ""),
            (item.get("refreshed_at") or "")[:19],
            (item.get("expires_at") or "")[:19],
            str(item.get("fencing", "")),
        )
    if not facts["locks"]:
        table.caption = "no data set is being written"
    return table


_TABLES = {"status": _status, "lock-status": _locks}


def example(facts: Facts) -> str:
    """Return code that reads a data set, for three libraries."""
    files = facts["files"]
    shown = ",\n    ".join(repr(name) for name in files[:_SHOWN_FILES])
    more = len(files) - _SHOWN_FILES
    rest = f",\n    # and {more} more: penstock wrds manifest" if more > 0 else ""
    return _EXAMPLE.format(
        dataset=facts["dataset"],
        vintage=facts["vintage"],
        files=shown + rest,
        glob=facts["glob"],
    )


_EXAMPLE = """\
# {dataset}, vintage {vintage}: these files never change while the
# vintage is kept, so a long analysis sees one state of the data.
files = [
    {files}
]

import polars
frame = polars.scan_parquet(files).collect()

import duckdb
duckdb.read_parquet(files, union_by_name=True).aggregate("count(*)")

import pyarrow.dataset
table = pyarrow.dataset.dataset(files).to_table()

# Or always the newest: each file is replaced in one step, never half-written.
newest = polars.scan_parquet({glob!r}).collect()
duckdb.read_parquet({glob!r}, union_by_name=True).create_view({dataset!r})
"""
