"""What follows from the acceptance of a changed schema: it is known from now on, and what was held
back because of it comes again.
"""

import uuid

from chassis.db import Transaction
from chassis.dead_letters.commands import submit_replays
from chassis.drift import StoredDrift, known_schemas, register
from contracts.schemas import SchemaDecisionRequested
from ingestor.domain.shapes import merged
from ingestor.handlers.admission import SERVICE


async def accept(
    transaction: Transaction, drift: StoredDrift, command: SchemaDecisionRequested
) -> str | None:
    """Extend the known schema, and queue the replay of exactly what the drift holds back.

    Returns the run that replays; None where nothing is left to replay.
    """
    dataset = drift.dataset
    present = await known_schemas(transaction.connection, SERVICE, [dataset])
    columns = present[dataset].columns if dataset in present else {}
    await register(
        transaction,
        service=SERVICE,
        dataset=dataset,
        columns=merged(columns, drift.new),
        origin="accepted",
    )
    run_ids = await submit_replays(
        transaction,
        service=SERVICE,
        drift_id=uuid.UUID(drift.drift_id),
        requester=command.requester,
        reason=command.reason,
    )
    return next(iter(run_ids), None)
