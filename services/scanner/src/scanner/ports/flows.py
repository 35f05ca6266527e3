"""What a flow needs from outside: to start scans, and to see how they end."""

from dataclasses import dataclass
from typing import Protocol

from chassis.runs import RunContext
from contracts.runs import RunStatus


@dataclass(frozen=True, slots=True)
class StepState:
    """Where the run of a step stands."""

    status: RunStatus
    message: str | None = None


class StepRuns(Protocol):
    """The runs of a flow's steps."""

    async def start(self, context: RunContext, step: str, *, source: str, mode: str) -> str:
        """Queue the scan of a step and return its run; the same one when asked again."""
        ...

    async def look(self, run_id: str) -> StepState:
        """Return where a run stands."""
        ...

    async def stop(self, context: RunContext, run_id: str) -> None:
        """Have a run end at its next safe point."""
        ...
