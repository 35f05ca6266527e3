"""What follows from the acceptance of a table's changed schema: the table is refreshed again, with
that schema.
"""

from collections.abc import Awaitable, Callable

from chassis.db import Transaction
from chassis.drift import StoredDrift, register
from chassis.runs import submit
from contracts.commands import OverlapPolicy
from contracts.schemas import SchemaDecisionRequested
from refresher.ports import Ledger

_REFRESH = "refresh"


def accepting(
    ledger: Ledger,
) -> Callable[[Transaction, StoredDrift, SchemaDecisionRequested], Awaitable[str | None]]:
    """Return what obeys an acceptance."""

    async def accept(
        transaction: Transaction, drift: StoredDrift, command: SchemaDecisionRequested
    ) -> str | None:
        await register(
            transaction,
            service=drift.service,
            dataset=drift.dataset,
            columns=drift.new,
            origin="accepted",
        )
        await _forget_plan(ledger, transaction, drift)
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

    return accept


async def _forget_plan(ledger: Ledger, transaction: Transaction, drift: StoredDrift) -> None:
    """Take back the plan that waited because of the drift: it would do what is done now."""
    if drift.run_id is None:
        return
    connection = transaction.connection
    stored = await ledger.find(connection, drift.run_id)
    if stored is None or stored.status != "waiting":
        return
    if any(table.key == drift.dataset for table in stored.plan.tables):
        await ledger.mark(
            connection,
            stored.plan.plan_id,
            "stale",
            message=f"schema drift {drift.drift_id} was accepted, and the table planned anew",
        )
