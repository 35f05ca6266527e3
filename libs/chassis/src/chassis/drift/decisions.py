"""Decisions about schema changes: each service obeys those about what it has seen."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias

from chassis.bus.delivery import Batch, Delivery, Handler
from chassis.clock import Clock
from chassis.commands import is_expired, is_new, settle
from chassis.db import Transaction
from chassis.drift.inbox import StoredDrift, close, find
from chassis.errors import PermanentError
from chassis.logs import get_logger
from contracts.drifts import DriftStatus
from contracts.errors import ErrorCategory
from contracts.schemas import Decision, SchemaDecisionRequested
from contracts.topics import SCHEMA_DECISION_REQUESTED

OnAccept: TypeAlias = Callable[
    [Transaction, StoredDrift, SchemaDecisionRequested], Awaitable[str | None]
]
"""Makes the new schema the known one and queues what was held back; returns the run, if any."""

OnReject: TypeAlias = Callable[[Transaction, StoredDrift, SchemaDecisionRequested], Awaitable[None]]
"""Takes back what still waited for the decision."""

_OUTCOMES = {Decision.ACCEPT: DriftStatus.ACCEPTED, Decision.REJECT: DriftStatus.REJECTED}


@dataclass(frozen=True, slots=True)
class _Effects:
    """What a service does about its own entries."""

    accept: OnAccept
    reject: OnReject | None


def decision_handler(
    on_accept: OnAccept, *, service: str, clock: Clock, on_reject: OnReject | None = None
) -> Handler:
    """Return the handler of `schema.decision-requested`.

    Every service reads these commands and obeys those about its own entries. One that names no
    entry at all is refused once, by the first consumer of the topic.
    """
    effects = _Effects(on_accept, on_reject)

    async def handle(batch: Batch[SchemaDecisionRequested]) -> None:
        told: list[dict[str, Any]] = []
        async with batch.transaction() as transaction:
            for delivery in batch.accepted:
                try:
                    facts = await _decide(
                        transaction, delivery, effects, service=service, now=clock.now()
                    )
                except DecisionRefusedError as error:
                    batch.reject(delivery, error)
                else:
                    told += [facts] if facts else []
        for facts in told:
            get_logger().info("schema_decided", **facts)

    return handle


class DecisionRefusedError(PermanentError):
    """There is nothing to decide, or it was decided otherwise."""

    default_category = ErrorCategory.CONTENT_VALIDATION


async def _decide(
    transaction: Transaction,
    delivery: Delivery[SchemaDecisionRequested],
    effects: _Effects,
    *,
    service: str,
    now: datetime,
) -> dict[str, Any] | None:
    """Obey one command; None for one that is somebody else's, or was obeyed before.

    Raises:
        DecisionRefusedError: says why; raised before anything was written.
    """
    command = delivery.data
    drift = await find(transaction, str(command.drift_id))
    if drift is None and SCHEMA_DECISION_REQUESTED.consumers[0] == service:
        raise DecisionRefusedError(f"there is no schema drift {command.drift_id}")
    if drift is None or drift.service != service:
        return None
    if await _is_known(transaction, delivery, service=service):
        return None
    wanted = _OUTCOMES[command.decision]
    if not is_expired(command, now):
        _refuse_if_decided(drift, command, wanted)
    await is_new(transaction, SCHEMA_DECISION_REQUESTED, delivery, service=service)
    outcome, run_id = "expired", None
    if not is_expired(command, now):
        outcome, run_id = await _obey(transaction, drift, command, wanted, effects=effects)
    facts = await settle(
        transaction,
        SCHEMA_DECISION_REQUESTED,
        delivery,
        service=service,
        outcome=outcome,
        run_id=run_id,
    )
    return facts | {"drift_id": drift.drift_id, "dataset": drift.dataset}


async def _is_known(
    transaction: Transaction, delivery: Delivery[SchemaDecisionRequested], *, service: str
) -> bool:
    return bool(
        await transaction.connection.fetchval(
            "select true from meta.commands where service = $1 and topic = $2 and command_id = $3",
            service,
            SCHEMA_DECISION_REQUESTED.name,
            delivery.data.command_id or delivery.event.id,
        )
    )


def _refuse_if_decided(
    drift: StoredDrift, command: SchemaDecisionRequested, wanted: DriftStatus
) -> None:
    present = drift.standing.status
    if present in (DriftStatus.WAITING, wanted):
        return
    if present is DriftStatus.NOTED:
        raise DecisionRefusedError(
            f"schema drift {drift.drift_id} of {drift.dataset} only adds fields: it was accepted "
            "when it was seen, and there is nothing to decide"
        )
    if present is DriftStatus.REJECTED and command.reconsider:
        return
    hint = "; to accept it after all, say `reconsider`" if wanted is DriftStatus.ACCEPTED else ""
    raise DecisionRefusedError(
        f"schema drift {drift.drift_id} of {drift.dataset} was {drift.standing}{hint}"
    )


async def _obey(
    transaction: Transaction,
    drift: StoredDrift,
    command: SchemaDecisionRequested,
    wanted: DriftStatus,
    *,
    effects: _Effects,
) -> tuple[str, str | None]:
    """Return the command's outcome, and the run that it led to."""
    if drift.standing.status is wanted:
        return f"{wanted.value} before", None
    if command.dry_run:
        return f"would be {wanted.value}", None
    await close(
        transaction,
        drift.drift_id,
        wanted,
        decided_by=command.requester,
        reason=command.reason,
    )
    if wanted is DriftStatus.ACCEPTED:
        return wanted.value, await effects.accept(transaction, drift, command)
    if effects.reject is not None:
        await effects.reject(transaction, drift, command)
    return wanted.value, None
