"""How a run looks while it is followed: a live line in a terminal, a line per change elsewhere."""

from typing import Self

from rich.console import Console
from rich.status import Status
from rich.text import Text

from contracts.runs import RunCounts, RunStatus
from penstock.runs import RunState

_STYLES = {
    RunStatus.COMPLETED: ("✓", "green"),
    RunStatus.COMPLETED_WITH_ERRORS: ("!", "yellow"),
}
_FAILED = ("✗", "red")


class RunProgress:
    """Shows the states of one run."""

    def __init__(self, console: Console, what: str, owner: str) -> None:
        self._console = console
        self._what = what
        self._owner = owner
        self._status: Status | None = (
            Status(f"{what}: sent", console=console) if console.is_terminal else None
        )
        self._shown = ""

    def __enter__(self) -> Self:
        if self._status is not None:
            self._status.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._status is not None:
            self._status.stop()

    def show(self, state: RunState | None) -> None:
        """Show a state, or that nobody has taken the command yet."""
        text = f"{self._what}: {self._nobody() if state is None else describe(state)}"
        if text == self._shown:
            return
        self._shown = text
        if self._status is not None:
            self._status.update(text)
        else:
            self._console.print(text, soft_wrap=True, markup=False)

    def _nobody(self) -> str:
        return f"sent, and no service has taken it yet; does the {self._owner} run?"


def describe(state: RunState) -> str:
    """Return a state in words."""
    parts = [state.status.value]
    if state.status is not RunStatus.QUEUED:
        parts.append(_counts(state.counts, state.total))
    if state.message:
        parts.append(state.message)
    return ", ".join(parts)


def tell_end(console: Console, what: str, state: RunState) -> None:
    """Print how a run ended, and how long it took."""
    mark, style = _STYLES.get(state.status, _FAILED)
    took = f" in {state.seconds:.1f} s" if state.seconds is not None else ""
    line = f"{mark} {what} {describe(state)}{took} (run {state.run_id})."
    console.print(Text(line, style=style), soft_wrap=True)


def _counts(counts: RunCounts, total: int | None) -> str:
    of_total = f" of {total}" if total is not None else ""
    told = {
        "new": counts.new,
        "changed": counts.changed,
        "deleted": counts.deleted,
        "held back": counts.quarantined,
        "failed": counts.failed,
    }
    news = "".join(f", {number} {name}" for name, number in told.items() if number)
    return f"{counts.processed}{of_total} looked at{news}"
