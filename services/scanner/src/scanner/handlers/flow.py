"""The job `flow`: scans one after the other; one that fails never stops the next (S3-04, C-18).

The steps are runs of their own, with their own counts, errors and retries; the flow only waits for
them. After a universe that failed, the next steps go on with the last one that was good: it is what
the inventory knows.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence

from chassis.clock import Clock
from chassis.logs import get_logger
from chassis.runs import RunCancelledError, RunContext
from contracts.runs import RunCounts, RunStatus
from scanner.errors import ScanRequestError
from scanner.ports.flows import StepRuns, StepState
from scanner.settings.flows import FlowConfig, StepConfig

LOOK_SECONDS = 1.0

_CLEAN = RunStatus.COMPLETED.value
"""A step that completed with errors is none: all that it was to bring may be missing."""

_TIMED_OUT = "timed out"

Sleep = Callable[[float], Awaitable[None]]


class FlowCatalog:
    """The flows that are active."""

    def __init__(self, flows: Mapping[str, FlowConfig]) -> None:
        self._flows = dict(flows)

    def names(self) -> Collection[str]:
        """Return the names of all flows."""
        return self._flows.keys()

    def all(self) -> Collection[FlowConfig]:
        """Return all flows."""
        return self._flows.values()

    def scheduled_sources(self) -> Collection[str]:
        """Return the sources whose scans a schedule of a flow asks for; no interval has to."""
        scheduled = (flow for flow in self._flows.values() if flow.schedule is not None)
        return {step.source for flow in scheduled for step in flow.steps}

    def steps(self, name: str, only: str | None) -> Sequence[StepConfig]:
        """Return the steps of a flow, or the one that is asked for.

        Raises:
            ScanRequestError: there is no such flow, or no such step in it.
        """
        if name not in self._flows:
            raise ScanRequestError(f"`{name}` is no active flow")
        steps = self._flows[name].steps
        if only is None:
            return steps
        found = [step for step in steps if step.name == only]
        if not found:
            known = ", ".join(step.name for step in steps)
            raise ScanRequestError(f"flow `{name}` has no step `{only}`; it has {known}")
        return found


class RunFlow:
    """Executes runs of the kind `flow`."""

    def __init__(
        self, flows: FlowCatalog, runs: StepRuns, *, clock: Clock, sleep: Sleep = asyncio.sleep
    ) -> None:
        self._flows = flows
        self._runs = runs
        self._clock = clock
        self._sleep = sleep

    async def __call__(self, context: RunContext) -> RunCounts:
        """Run the steps that have not ended before an interruption."""
        run = context.run
        steps = self._flows.steps(run.target, run.parameters.get("step"))
        ended: dict[str, str] = dict(run.checkpoint or {})
        for step in steps:
            if step.name in ended:
                continue
            state = await self._step(context, step, ended, total=len(steps))
            ended[step.name] = _TIMED_OUT if state is None else state.status.value
            self._tell(run.target, step, ended[step.name], state)
            await context.checkpoint(ended)
        return _counts(ended)

    async def _step(
        self, context: RunContext, step: StepConfig, ended: Mapping[str, str], *, total: int
    ) -> StepState | None:
        """Return how a step ended; None when it did not end in time."""
        run_id = await self._runs.start(context, step.name, source=step.source, mode=step.mode)
        deadline = self._clock.monotonic() + step.timeout_seconds
        try:
            while self._clock.monotonic() < deadline:
                await context.report(_counts(ended), total=total, message=f"step {step.name}")
                state = await self._runs.look(run_id)
                if state.status.is_final:
                    return state
                await self._sleep(LOOK_SECONDS)
        except RunCancelledError:
            await self._runs.stop(context, run_id)
            raise
        await self._runs.stop(context, run_id)
        return None

    @staticmethod
    def _tell(flow: str, step: StepConfig, outcome: str, state: StepState | None) -> None:
        log = get_logger().info if outcome == _CLEAN else get_logger().warning
        log(
            "flow_step_ended",
            flow=flow,
            step=step.name,
            source=step.source,
            status=outcome,
            message=state.message if state else None,
        )


def _counts(ended: Mapping[str, str]) -> RunCounts:
    """Count steps, a flow's own unit; one that was not clean counts as failed."""
    failed = sum(outcome != _CLEAN for outcome in ended.values())
    return RunCounts(processed=len(ended), failed=failed)
