"""How the state of a stack looks in a terminal: live while it starts, a table afterwards."""

from typing import Self

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from penstock.stack import PartName, PartState, PartStatus, StackState

_STYLES = {
    PartStatus.READY: "green",
    PartStatus.GIVEN: "cyan",
    PartStatus.FAILED: "red",
    PartStatus.DEAD: "red",
}
_WORKING = {
    PartStatus.PREPARING: "preparing (the first time downloads it)",
    PartStatus.STARTING: "starting",
}


def state_table(report: StackState) -> Table:
    """Return one row per part."""
    table = Table(box=None, pad_edge=False, show_edge=False)
    for column in ("PART", "STATE", "PID", "ADDRESS"):
        table.add_column(column, no_wrap=True)
    table.add_column("")
    for name, part in sorted(report.parts.items()):
        table.add_row(
            name.value,
            Text(part.status.value, style=_STYLES.get(part.status, "")),
            str(part.process.pid) if part.process else "-",
            # Never wrapped or interpreted: people copy it.
            Text(part.address),
            Text(part.message),
        )
    return table


class StackProgress:
    """Shows parts as they come up: a live block in a terminal, one line per change elsewhere."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, transient=True) if console.is_terminal else None
        self._spinner = Spinner("dots")
        self._parts: dict[PartName, PartState] = {}

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def show(self, report: StackState) -> None:
        """Show the state, if it differs from what was shown last."""
        changed = {
            name: part
            for name, part in report.parts.items()
            if name not in self._parts or self._parts[name].status != part.status
        }
        self._parts = dict(report.parts)
        for name, part in sorted(changed.items()):
            if self._live is None or part.status.is_settled:
                self._console.print(_line(name, part), soft_wrap=True)
        if self._live is not None:
            self._live.update(self)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        table = Table.grid(padding=(0, 1))
        for name, part in sorted(self._parts.items()):
            if part.status in _WORKING:
                table.add_row(self._spinner, name.value, _WORKING[part.status])
        yield table


def _line(name: PartName, part: PartState) -> Text:
    mark = {True: "✓", False: "·"}[part.status.is_usable]
    style = _STYLES.get(part.status, "dim")
    what = _WORKING.get(part.status, part.status.value)
    address = f"  {part.address}" if part.address else ""
    return Text.assemble((f"{mark} ", style), f"{name.value:9}", (what, style), address)
