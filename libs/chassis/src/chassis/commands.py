"""Commands become runs: recorded once, acknowledged at once, executed by a worker.

A command handler only writes rows, so no long work is tied to a Kafka partition. Targets are names
that the service's configuration knows.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from chassis.bus.delivery import Batch, Delivery, Handler
from chassis.clock import Clock
from chassis.db import Transaction
from chassis.errors import PermanentError
from chassis.logs import get_logger
from chassis.runs.ledger import submit
from contracts.commands import Command, RunCancelRequested
from contracts.errors import ErrorCategory
from contracts.topics import Topic

_CONTROL_FIELDS = frozenset(Command.model_fields)


@dataclass(frozen=True, slots=True)
class CommandSpec:
    """How one topic's commands become runs."""

    topic: Topic
    kind: str
    targets: Callable[[], Collection[str]]
    """The names that configuration knows; anything else is a dead letter."""


def command_handler(spec: CommandSpec, *, service: str, clock: Clock) -> Handler:
    """Return the handler that records commands of one topic and queues their runs."""

    async def handle(batch: Batch[Any]) -> None:
        known = spec.targets()
        for delivery in batch.deliveries:
            if (target := spec.topic.key(delivery.data)) not in known:
                batch.reject(delivery, _unknown_target(spec, target, known))
        async with batch.transaction() as transaction:
            for delivery in batch.accepted:
                await _record(transaction, spec, delivery, service=service, now=clock.now())

    return handle


def cancel_handler(*, service: str) -> Handler:
    """Return the handler of `run.cancel-requested`: marks the run, whose worker stops at a safe
    point.
    """

    async def handle(batch: Batch[RunCancelRequested]) -> None:
        async with batch.transaction() as transaction:
            for delivery in batch.accepted:
                await transaction.connection.execute(
                    "update meta.runs set cancel_requested = true "
                    "where service = $1 and run_id::text = $2 and status in ('queued', 'running')",
                    service,
                    delivery.data.run_id,
                )

    return handle


def _unknown_target(spec: CommandSpec, target: str, known: Collection[str]) -> PermanentError:
    return PermanentError(
        f"`{spec.topic.name}`: {target!r} is not configured; "
        f"known: {', '.join(sorted(known)) or 'none'}",
        category=ErrorCategory.CONFIG_VALIDATION,
    )


async def _record(
    transaction: Transaction,
    spec: CommandSpec,
    delivery: Delivery[Command],
    *,
    service: str,
    now: datetime,
) -> None:
    command = delivery.data
    command_id = command.command_id or delivery.event.id
    inserted = await transaction.connection.fetchval(
        "insert into meta.commands "
        "(command_id, topic, target, requester, reason, dry_run, body, outcome) "
        "values ($1, $2, $3, $4, $5, $6, $7, 'accepted') on conflict do nothing returning true",
        command_id,
        spec.topic.name,
        spec.topic.key(command),
        command.requester,
        command.reason,
        command.dry_run,
        command.model_dump(mode="json"),
    )
    if not inserted:
        return
    run_id: str | None = None
    outcome = "expired"
    if command.expires_at is None or command.expires_at > now:
        run_id = await submit(
            transaction,
            service=service,
            kind=spec.kind,
            target=spec.topic.key(command),
            parameters=command.model_dump(mode="json", exclude=set(_CONTROL_FIELDS)),
            command_id=command_id,
            requester=command.requester,
            reason=command.reason,
            dry_run=command.dry_run,
            overlap=command.overlap,
        )
        outcome = "accepted" if run_id else "skipped"
    await transaction.connection.execute(
        "update meta.commands set outcome = $2, run_id = $3::uuid where command_id = $1",
        command_id,
        outcome,
        run_id,
    )
    await transaction.connection.execute(
        "insert into meta.audit (service, actor, action, subject, details) "
        "values ($1, $2, $3, $4, $5)",
        service,
        command.requester,
        spec.topic.name,
        spec.topic.key(command),
        {"command_id": command_id, "outcome": outcome, "run_id": run_id, "reason": command.reason},
    )
    get_logger().info(
        "command_recorded",
        topic=spec.topic.name,
        command_id=command_id,
        outcome=outcome,
        run_id=run_id,
    )
