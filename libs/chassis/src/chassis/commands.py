"""Commands become runs: recorded once, acknowledged at once, executed by a worker.

A command handler only writes rows, so no long work is tied to a Kafka partition. Targets are names
that the service's configuration knows.
"""

import uuid
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from chassis.bus.delivery import Batch, Delivery, Handler
from chassis.clock import Clock, SystemClock
from chassis.db import Transaction
from chassis.errors import PermanentError
from chassis.logs import get_logger
from chassis.runs.ledger import cancel, submit
from contracts.commands import Command, RunCancelRequested
from contracts.errors import ErrorCategory
from contracts.topics import RUN_CANCEL_REQUESTED, Topic

_CONTROL_FIELDS = frozenset(Command.model_fields)


@dataclass(frozen=True, slots=True)
class CommandSpec:
    """How one topic's commands become runs."""

    topic: Topic
    kind: str
    targets: Callable[[], Collection[str]]
    """The names that configuration knows; anything else is a dead letter."""

    concerns: Callable[[str], bool] = lambda _: True
    """Whether a target is this service's business at all, where a topic has several owners."""


def command_handler(spec: CommandSpec, *, service: str, clock: Clock) -> Handler:
    """Return the handler that records commands of one topic and queues their runs."""

    async def handle(batch: Batch[Any]) -> None:
        known = spec.targets()
        for delivery in batch.deliveries:
            target = spec.topic.key(delivery.data)
            if spec.concerns(target) and target not in known:
                batch.reject(delivery, _unknown_target(spec, target, known))
        async with batch.transaction() as transaction:
            outcomes = [
                await _record(transaction, spec, delivery, service=service, now=clock.now())
                for delivery in batch.accepted
                if spec.concerns(spec.topic.key(delivery.data))
            ]
        # Logged when it is true: the transaction may have failed.
        for outcome in outcomes:
            get_logger().info("command_recorded", topic=spec.topic.name, **outcome)

    return handle


def cancel_handler(*, service: str, clock: Clock | None = None) -> Handler:
    """Return the handler of `run.cancel-requested`: a run that waits ends at once, one that runs
    at its next safe point.

    Every service reads these commands and acts on its own runs; the rest is none of its business.
    """
    clock = clock or SystemClock()

    async def handle(batch: Batch[RunCancelRequested]) -> None:
        async with batch.transaction() as transaction:
            for delivery in batch.accepted:
                await _cancel(transaction, delivery, service=service, now=clock.now())

    return handle


def _unknown_target(spec: CommandSpec, target: str, known: Collection[str]) -> PermanentError:
    return PermanentError(
        f"`{spec.topic.name}`: {target!r} is not configured; "
        f"known: {', '.join(sorted(known)) or 'none'}",
        category=ErrorCategory.CONFIG_VALIDATION,
    )


async def _cancel(
    transaction: Transaction,
    delivery: Delivery[RunCancelRequested],
    *,
    service: str,
    now: datetime,
) -> None:
    command = delivery.data
    run_id = await transaction.connection.fetchval(
        "select run_id from meta.runs where service = $1 and run_id = $2",
        service,
        _uuid(command.run_id),
    )
    if run_id is None:
        return
    outcome = "expired"
    if not is_expired(command, now):
        outcome = "accepted" if await cancel(transaction, [run_id]) else "ended before"
    await _audit(
        transaction,
        delivery,
        topic=RUN_CANCEL_REQUESTED,
        service=service,
        details={"outcome": outcome, "run_id": str(run_id)},
    )


def _uuid(text: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(text)
    except ValueError:
        return None


def is_expired(command: Command, now: datetime) -> bool:
    """Return whether a command was read too late to be obeyed."""
    return command.expires_at is not None and command.expires_at <= now


def _id_of(delivery: Delivery[Any]) -> str:
    command_id: str = delivery.data.command_id or delivery.event.id
    return command_id


async def _record(
    transaction: Transaction,
    spec: CommandSpec,
    delivery: Delivery[Command],
    *,
    service: str,
    now: datetime,
) -> dict[str, Any]:
    if not await is_new(transaction, spec.topic, delivery, service=service):
        return {"command_id": _id_of(delivery), "outcome": "duplicate", "run_id": None}
    run_id: str | None = None
    outcome = "expired"
    if not is_expired(delivery.data, now):
        run_id = await _submit(transaction, spec, delivery, service=service)
        outcome = "accepted" if run_id else "skipped"
    return await settle(
        transaction, spec.topic, delivery, service=service, outcome=outcome, run_id=run_id
    )


async def is_new(
    transaction: Transaction, topic: Topic, delivery: Delivery[Any], *, service: str
) -> bool:
    """Record a command; return False for one that was recorded before, which is not obeyed."""
    command: Command = delivery.data
    inserted = await transaction.connection.fetchval(
        "insert into meta.commands "
        "(service, topic, command_id, target, requester, reason, dry_run, body, outcome) "
        "values ($1, $2, $3, $4, $5, $6, $7, $8, 'accepted') on conflict do nothing returning true",
        service,
        topic.name,
        _id_of(delivery),
        topic.key(command),
        command.requester,
        command.reason,
        command.dry_run,
        command.model_dump(mode="json"),
    )
    return bool(inserted)


async def settle(
    transaction: Transaction,
    topic: Topic,
    delivery: Delivery[Any],
    *,
    service: str,
    outcome: str,
    run_id: str | None = None,
) -> dict[str, Any]:
    """Record and audit what became of a command; return that for the log."""
    await transaction.connection.execute(
        "update meta.commands set outcome = $4, run_id = $5::uuid "
        "where service = $1 and topic = $2 and command_id = $3",
        service,
        topic.name,
        _id_of(delivery),
        outcome,
        run_id,
    )
    facts = {"command_id": _id_of(delivery), "outcome": outcome, "run_id": run_id}
    await _audit(transaction, delivery, topic=topic, service=service, details=facts)
    return facts


async def _submit(
    transaction: Transaction, spec: CommandSpec, delivery: Delivery[Command], *, service: str
) -> str | None:
    command = delivery.data
    return await submit(
        transaction,
        service=service,
        kind=spec.kind,
        target=spec.topic.key(command),
        parameters=command.model_dump(mode="json", exclude=set(_CONTROL_FIELDS)),
        command_id=_id_of(delivery),
        requester=command.requester,
        reason=command.reason,
        dry_run=command.dry_run,
        overlap=command.overlap,
    )


async def _audit(
    transaction: Transaction,
    delivery: Delivery[Any],
    *,
    topic: Topic,
    service: str,
    details: dict[str, Any],
) -> None:
    await transaction.connection.execute(
        "insert into meta.audit (service, actor, action, subject, details) "
        "values ($1, $2, $3, $4, $5)",
        service,
        delivery.data.requester,
        topic.name,
        topic.key(delivery.data),
        {"command_id": _id_of(delivery), "reason": delivery.data.reason} | details,
    )
