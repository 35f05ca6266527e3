"""How the demo looks: a live table in a terminal, plain lines elsewhere."""

import time
from collections.abc import Mapping, Sequence
from typing import Self

from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.live import Live
from rich.rule import Rule
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from penstock.demo.figures import Latency, Row
from penstock.demo.ledger import Figures
from penstock.demo.observe import DeadLetter, Latencies

_FLOW = (
    ("files known to the scanner", "files"),
    ("events on file.changed", "events"),
    ("bronze versions", "versions"),
    ("bronze tombstones", "tombstones"),
    ("silver rows", "calls"),
    ("silver speaker turns", "turns"),
    ("deletions held back", "held"),
)
_PLAIN_SECONDS = 1.0
_MARKS = {
    "add": ("+", "green"),
    "edit": ("~", "yellow"),
    "remove": ("-", "red"),
    "break": ("!", "red"),
}


class DemoView:
    """Speaks to the user; nothing else of the demo prints."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._started = time.monotonic()
        self._live: Live | None = None
        self._spinner = Spinner("dots")
        self._pair: tuple[Figures, Figures] | None = None
        self._doing = ""
        self._printed_at = 0.0
        self._printed: Figures | None = None

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live = Live(self, console=self._console, refresh_per_second=8, transient=True)
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    # --- while it runs -----------------------------------------------------------------------
    def chapter(self, title: str) -> None:
        """Begin a part of the demo."""
        self._doing = title
        self._console.print(Text(f"{self._elapsed():6.1f} s  {title}", style="bold"))

    def say(self, text: str, *, style: str = "") -> None:
        """Tell something in a line."""
        self._console.print(Text(f"          {text}", style=style), soft_wrap=True)

    def file(self, what: str, path: str, note: str = "") -> None:
        """Tell what was done to a file: add, edit, remove or break."""
        mark, style = _MARKS[what]
        name = path.rpartition("/")[2]
        self._console.print(
            Text.assemble(f"          {mark} ", (name, style), f"  {note}"), soft_wrap=True
        )

    def progress(self, expected: Figures, seen: Figures) -> None:
        """Show how far the hub is."""
        self._pair = (expected, seen)
        if self._live is not None:
            return
        now = time.monotonic()
        if seen != self._printed and now - self._printed_at >= _PLAIN_SECONDS:
            self._printed_at, self._printed = now, seen
            self.say(
                f"files {seen.files} · events {seen.events} · "
                f"bronze {seen.versions} + {seen.tombstones} tombstones · "
                f"silver {seen.calls} rows, {seen.turns} turns · "
                f"held {seen.held} · dead letters {len(seen.refused)}",
                style="dim",
            )

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Render the live part."""
        if self._pair is None:
            return
        expected, seen = self._pair
        table = Table(box=None, pad_edge=False, padding=(0, 2))
        for column in ("", "NOW", "TO COME"):
            table.add_column(column, justify="left" if not column else "right")
        rows = [(name, getattr(seen, field), getattr(expected, field)) for name, field in _FLOW]
        rows.append(("dead letters", len(seen.refused), len(expected.refused)))
        for name, now, then in rows:
            style = "green" if now == then else "yellow"
            table.add_row(name, Text(f"{now:,}", style=style), f"{then:,}")
        self._spinner.update(text=Text(f" {self._doing}"))
        yield Group(Text(), self._spinner, table)

    def _elapsed(self) -> float:
        return time.monotonic() - self._started

    # --- at the end --------------------------------------------------------------------------
    def results(self, rows: Sequence[Row]) -> None:
        """Show the final table."""
        self._console.print(Rule("What the inputs imply, and what the hub shows"))
        self._print_rows(rows)
        self._console.print(
            "Expected figures are counted in the files themselves, by plain text search; "
            "nothing of the hub is used for them.",
            style="dim",
        )

    def records(self, rows: Sequence[Row], disputes: Sequence[str]) -> None:
        """Show what came of records, and how the sources were judged where they disagree."""
        self._console.print(Rule("Records of APIs and lists"))
        self._print_rows(rows)
        if disputes:
            self._console.print("Where the sources disagree, silver says who won:", style="dim")
        for line in disputes:
            self._console.print(Text(f"    {line}"), soft_wrap=True)

    def copies(self, rows: Sequence[Row]) -> None:
        """Show what came of the copies."""
        self._console.print(Rule("Copies: production to UAT, archive to Parquet"))
        self._print_rows(rows)

    def _print_rows(self, rows: Sequence[Row]) -> None:
        table = Table(box=None, pad_edge=False, padding=(0, 2))
        table.add_column("FIGURE", no_wrap=True)
        for column in ("EXPECTED", "SEEN"):
            table.add_column(column, overflow="fold")
        table.add_column("", no_wrap=True)
        for row in rows:
            mark = Text("✓", style="green") if row.is_right else Text("✗", style="bold red")
            table.add_row(row.name, row.expected, row.seen, mark)
        self._console.print(table)

    def dead_letters(self, letters: Sequence[DeadLetter]) -> None:
        """Show what was refused, and why."""
        self._console.print(Rule("Dead letters"))
        for letter in sorted(letters, key=lambda item: item.path):
            name = letter.path.rpartition("/")[2]
            line = Text.assemble((name, "red"), f"  {letter.category}  on {letter.topic}")
            self._console.print(line, soft_wrap=True)
            self._console.print(Text(f"    {letter.reason}"), style="dim", soft_wrap=True)

    def latencies(self, found: Latencies, *, settle_seconds: int) -> None:
        """Show how long changes took, and what exactly was measured."""
        self._console.print(Rule("Latency to the silver row"))
        table = Table(box=None, pad_edge=False, padding=(0, 2))
        for column in ("FROM", "FILES", "P50", "P99"):
            table.add_column(column, justify="left" if column == "FROM" else "right")
        _add_latency(
            table,
            f"the file lies on the share, complete (it must rest for {settle_seconds} s)",
            found.from_share,
        )
        _add_latency(table, "the scanner announces it (the event's time)", found.from_event)
        self._console.print(table)
        self._console.print(
            "Over every bronze version with content, to the moment the next state of its call was "
            "written to silver; nearest-rank percentiles, this machine's clock.",
            style="dim",
        )

    def verdict(self, problems: Sequence[str]) -> None:
        """Tell whether the sums are right."""
        if not problems:
            text = f"Every figure is what the inputs imply ({self._elapsed():.0f} s in all)."
            self._console.print(Text(f"✓ {text}", style="bold green"))
            return
        for problem in problems:
            self._console.print(Text(f"✗ {problem}", style="bold red"), soft_wrap=True)

    def how_to_look(self, hints: Mapping[str, str]) -> None:
        """Tell where to look while it runs on, and how to stop it."""
        self._console.print(Rule("It goes on running; look at it from another terminal"))
        for what, line in hints.items():
            self._console.print(Text(f"{what:<24} {line}"), soft_wrap=True)
        self._console.print(Text("\nPress Ctrl-C to stop everything.", style="bold"))


def _add_latency(table: Table, name: str, found: Latency | None) -> None:
    if found is None:
        table.add_row(name, "0", "-", "-")
    else:
        table.add_row(name, str(found.count), f"{found.p50:.2f} s", f"{found.p99:.2f} s")
