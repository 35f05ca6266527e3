"""The ledger `meta.runs`: queueing, claiming, reporting and ending runs, each with its
`run.changed` event.

Statements of a worker name the attempt that it holds, so one that was taken over changes nothing.
"""

import uuid
from dataclasses import dataclass
from typing import Any

from chassis.db import Connection, Transaction
from chassis.errors import LeaseLostError
from chassis.redaction import redact
from chassis.runs import statements
from contracts.commands import OverlapPolicy
from contracts.runs import RunChanged, RunCounts, RunStatus
from contracts.topics import RUN_CHANGED

HEARTBEAT_TIMEOUT_SECONDS = 20.0
"""A running run whose worker has not beaten for so long is taken over."""

MAX_ATTEMPTS = 5
"""A run that has failed its worker so often without progress is given up."""

_MESSAGE_LIMIT = 1000


@dataclass(frozen=True, slots=True)
class Run:
    """One run as its worker sees it."""

    run_id: str
    service: str
    kind: str
    target: str
    parameters: dict[str, Any]
    dry_run: bool
    requester: str
    reason: str | None
    checkpoint: dict[str, Any] | None
    attempts: int
    """1 at first; higher when a crash, an outage or a stop interrupted it."""

    command_id: str | None


async def submit(
    transaction: Transaction,
    *,
    kind: str,
    target: str,
    service: str,
    parameters: dict[str, Any] | None = None,
    command_id: str | None = None,
    requester: str = "schedule",
    reason: str | None = None,
    dry_run: bool = False,
    overlap: OverlapPolicy = OverlapPolicy.SKIP,
) -> str | None:
    """Queue a run and return its id; None when the overlap policy drops it.

    Idempotent on `command_id`: the same command never makes two runs of a target.
    """
    connection = transaction.connection
    # Admission of one target is a short critical section: two commands must see each other.
    await connection.execute(statements.LOCK, f"run/{service}/{kind}/{target}")
    if command_id is not None:
        known = await connection.fetchval(statements.FIND, service, kind, target, command_id)
        if known is not None:
            return str(known)
    if overlap is not OverlapPolicy.QUEUE:
        open_runs = await connection.fetch(statements.OPEN, service, kind, target)
        if overlap is OverlapPolicy.REPLACE:
            await cancel(transaction, [row["run_id"] for row in open_runs])
        # A run that was told to stop answers nobody any more.
        elif any(not row["cancel_requested"] for row in open_runs):
            return None
    row = await connection.fetchrow(
        statements.INSERT,
        uuid.uuid4(),
        command_id,
        service,
        kind,
        target,
        parameters or {},
        dry_run,
        requester,
        reason,
    )
    _publish(transaction, row)
    return str(row["run_id"]) if row else None


async def cancel(transaction: Transaction, run_ids: list[uuid.UUID]) -> int:
    """Stop runs: at once those that wait, at their next safe point those that run.

    Returns how many were open.
    """
    rows = await transaction.connection.fetch(statements.CANCEL, run_ids)
    for row in rows:
        if row["status"] == RunStatus.CANCELLED:
            _publish(transaction, row)
    return len(rows)


async def claim(connection: Connection, service: str, kinds: list[str]) -> Run | None:
    """Take the oldest run that waits, or one whose worker died; None when there is none.

    A target that has a running run is passed over: two workers never run the same target at once.
    """
    # Two workers that look at the same moment must not both see a free target.
    await connection.execute(statements.LOCK, f"claim/{service}")
    row = await connection.fetchrow(statements.CLAIM, service, kinds, HEARTBEAT_TIMEOUT_SECONDS)
    if row is None:
        return None
    return Run(
        run_id=str(row["run_id"]),
        service=row["service"],
        kind=row["kind"],
        target=row["target"],
        parameters=row["parameters"],
        dry_run=row["dry_run"],
        requester=row["requester"],
        reason=row["reason"],
        checkpoint=row["checkpoint"],
        attempts=row["attempts"],
        command_id=row["command_id"],
    )


async def announce(transaction: Transaction, run: Run) -> None:
    """Publish the run as it stands."""
    _publish(transaction, await transaction.connection.fetchrow(statements.READ, run.run_id))


async def beat(connection: Connection, run: Run) -> bool:
    """Record that the worker lives; return whether cancellation was requested.

    Raises:
        LeaseLostError: the run was ended or taken over.
    """
    cancelled = await connection.fetchval(statements.BEAT, run.run_id, run.attempts)
    if cancelled is None:
        raise LeaseLostError(run_id=run.run_id)
    return bool(cancelled)


async def report(
    transaction: Transaction,
    run: Run,
    counts: RunCounts,
    *,
    total: int | None = None,
    message: str | None = None,
) -> None:
    """Record progress.

    Raises:
        LeaseLostError: the run was ended or taken over.
    """
    row = await transaction.connection.fetchrow(
        statements.REPORT,
        run.run_id,
        run.attempts,
        counts.model_dump(),
        total,
        _shown(message),
    )
    if row is None:
        raise LeaseLostError(run_id=run.run_id)
    _publish(transaction, row)


async def checkpoint(transaction: Transaction, run: Run, state: dict[str, Any]) -> None:
    """Store where to resume. A state that differs from the last is progress: failures count anew.

    Raises:
        LeaseLostError: the run was ended or taken over.
    """
    stored = await transaction.connection.fetchval(
        statements.CHECKPOINT, run.run_id, run.attempts, state
    )
    if stored is None:
        raise LeaseLostError(run_id=run.run_id)


async def finish(
    transaction: Transaction,
    run: Run,
    status: RunStatus,
    *,
    counts: RunCounts,
    message: str | None = None,
) -> bool:
    """End a run.

    Does nothing, and returns False, if it was ended or taken over in the meantime.
    """
    row = await transaction.connection.fetchrow(
        statements.FINISH,
        run.run_id,
        run.attempts,
        status.value,
        counts.model_dump(),
        _shown(message),
    )
    _publish(transaction, row)
    return row is not None


async def failures(connection: Connection, run: Run) -> int:
    """Return how often the run has failed its workers since it last made progress."""
    return await connection.fetchval(statements.FAILURES, run.run_id, run.attempts) or 0


async def requeue(
    transaction: Transaction,
    run: Run,
    message: str,
    *,
    delay: float = 0.0,
    is_failure: bool = False,
) -> None:
    """Give a run back; it resumes from its checkpoint, not before `delay` seconds have passed."""
    row = await transaction.connection.fetchrow(
        statements.REQUEUE, run.run_id, run.attempts, _shown(message), delay, int(is_failure)
    )
    _publish(transaction, row)


async def reap(transaction: Transaction, service: str) -> int:
    """Abandon runs that crashed too many workers, and cancel those that nobody wants any more."""
    # Under the lock of `claim`: two that reap the same rows in another order would deadlock.
    await transaction.connection.execute(statements.LOCK, f"claim/{service}")
    rows = await transaction.connection.fetch(
        statements.REAP, service, HEARTBEAT_TIMEOUT_SECONDS, MAX_ATTEMPTS
    )
    for row in rows:
        _publish(transaction, row)
    return len(rows)


def _publish(transaction: Transaction, row: Any) -> None:
    if row is None:
        return
    transaction.publish(
        RUN_CHANGED,
        RunChanged(
            run_id=str(row["run_id"]),
            command_id=row["command_id"],
            service=row["service"],
            kind=row["kind"],
            target=row["target"],
            status=RunStatus(row["status"]),
            counts=RunCounts.model_validate(row["counts"]),
            total=row["total"],
            message=row["message"],
            started_at=row["started_at"],
            finished_at=row["finished_at"],
        ),
    )


def _shown(message: str | None) -> str | None:
    """Return a message that PostgreSQL stores, an event carries, and everybody may read."""
    if message is None:
        return None
    text = redact(message).encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")
    return text[:_MESSAGE_LIMIT]
