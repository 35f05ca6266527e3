"""What follows from decisions about a table's changed schema: accepted, the table is refreshed
again with that schema; rejected, no plan that waited is applied any more.
"""

from chassis.db import Transaction
from chassis.drift import StoredDrift, register
from chassis.runs import submit
from contracts.commands import OverlapPolicy
from contracts.schemas import SchemaDecisionRequested
from refresher.ports import Ledger

_REFRESH = "refresh"


class Decisions:
    """Obeys decisions about tables."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    async def accept(
        self, transaction: Transaction, drift: StoredDrift, command: SchemaDecisionRequested
    ) -> str | None:
        """Make the schema the known one, and queue a refresh of the table; return its run."""
        await register(
            transaction,
            service=drift.service,
            dataset=drift.dataset,
            columns=drift.new,
            origin="accepted",
        )
        # It would do what is done now.
        await self._close_plan(transaction, drift, command, status="stale")
        return await submit(
            transaction,
            service=drift.service,
            kind=_REFRESH,
            target=drift.dataset,
            parameters={"table": drift.dataset},
            requester=command.requester,
            reason=command.reason,
            # One that runs already was planned before.
            overlap=OverlapPolicy.QUEUE,
        )

    async def reject(
        self, transaction: Transaction, drift: StoredDrift, command: SchemaDecisionRequested
    ) -> None:
        """Take back the plan that waited."""
        await self._close_plan(transaction, drift, command, status="rejected")

    async def _close_plan(
        self,
        transaction: Transaction,
        drift: StoredDrift,
        command: SchemaDecisionRequested,
        *,
        status: str,
    ) -> None:
        if drift.run_id is None:
            return
        connection = transaction.connection
        stored = await self._ledger.find(connection, drift.run_id)
        if stored is None or stored.status != "waiting":
            return
        if any(table.key == drift.dataset for table in stored.plan.tables):
            await self._ledger.mark(
                connection,
                stored.plan.plan_id,
                status,
                message=f"schema drift {drift.drift_id} was {command.decision.value}ed",
                decided_by=command.requester,
            )
