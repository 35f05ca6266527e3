"""`StepRuns` on the ledger of runs."""

import uuid

from chassis.db import Database
from chassis.errors import PermanentError
from chassis.runs import RunContext, submit
from chassis.runs.ledger import cancel
from contracts.commands import OverlapPolicy
from contracts.runs import RunStatus
from scanner.ports.flows import StepState

_LOOK = "select status, message from meta.runs where run_id = $1::uuid"


class LedgerStepRuns:
    """Queues runs of the kind `scan` for this service's own workers."""

    def __init__(self, database: Database, *, kind: str) -> None:
        self._database = database
        self._kind = kind

    async def start(self, context: RunContext, step: str, *, source: str, mode: str) -> str:
        """Queue the scan of a step and return its run; the same one when asked again."""
        run = context.run
        async with context.transaction() as transaction:
            run_id = await submit(
                transaction,
                service=self._database.service,
                kind=self._kind,
                target=source,
                parameters={"mode": mode},
                # The flow's own id: a flow that is taken up again finds the runs it began.
                command_id=f"flow/{run.run_id}/{step}",
                requester=run.requester,
                reason=f"step {step} of flow {run.target}",
                dry_run=run.dry_run,
                overlap=OverlapPolicy.QUEUE,
            )
        if run_id is None:
            raise PermanentError(f"the scan of `{source}` was not queued")
        return run_id

    async def look(self, run_id: str) -> StepState:
        """Return where a run stands."""
        async with self._database.connection() as connection:
            row = await connection.fetchrow(_LOOK, run_id)
        if row is None:
            return StepState(RunStatus.ABANDONED, "its run is gone from the ledger")
        return StepState(RunStatus(row["status"]), row["message"])

    async def stop(self, context: RunContext, run_id: str) -> None:
        """Have a run end at its next safe point."""
        async with context.transaction() as transaction:
            await cancel(transaction, [uuid.UUID(run_id)])
