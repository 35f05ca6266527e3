"""The ledger `meta.runs`: queueing, claiming, reporting and ending runs, each with its
`run.changed` event.
"""

import uuid
from dataclasses import dataclass
from typing import Any

from chassis.db import Connection, Transaction
from contracts.commands import OverlapPolicy
from contracts.runs import RunChanged, RunCounts, RunStatus
from contracts.topics import RUN_CHANGED

HEARTBEAT_TIMEOUT_SECONDS = 20.0
"""A running run whose worker has not beaten for so long is taken over."""

MAX_ATTEMPTS = 5
"""A run that has crashed its worker so often is abandoned."""


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
    """1 at first; higher when a crash or an outage interrupted it."""

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

    Idempotent on `command_id`: the same command never makes two runs.
    """
    connection = transaction.connection
    # Admission of one target is a short critical section: two commands must see each other.
    await connection.execute(
        "select pg_advisory_xact_lock(hashtextextended($1, 0))", f"run/{service}/{kind}/{target}"
    )
    if command_id is not None:
        known = await connection.fetchval(
            "select run_id from meta.runs where service = $1 and command_id = $2",
            service,
            command_id,
        )
        if known is not None:
            return str(known)
    if not await _admit(connection, service, kind, target=target, overlap=overlap):
        return None
    run_id = uuid.uuid4()
    await connection.execute(
        "insert into meta.runs (run_id, command_id, service, kind, target, status, parameters, "
        "dry_run, requester, reason) values ($1, $2, $3, $4, $5, 'queued', $6, $7, $8, $9)",
        run_id,
        command_id,
        service,
        kind,
        target,
        parameters or {},
        dry_run,
        requester,
        reason,
    )
    transaction.publish(
        RUN_CHANGED,
        RunChanged(
            run_id=str(run_id),
            command_id=command_id,
            service=service,
            kind=kind,
            target=target,
            status=RunStatus.QUEUED,
        ),
    )
    await connection.execute("select pg_notify('penstock_runs', $1)", service)
    return str(run_id)


async def _admit(
    connection: Connection, service: str, kind: str, *, target: str, overlap: OverlapPolicy
) -> bool:
    open_runs = await connection.fetchval(
        "select count(*) from meta.runs where service = $1 and kind = $2 and target = $3 "
        "and status in ('queued', 'running')",
        service,
        kind,
        target,
    )
    if not open_runs or overlap is OverlapPolicy.QUEUE:
        return True
    if overlap is OverlapPolicy.REPLACE:
        await connection.execute(
            "update meta.runs set cancel_requested = true where service = $1 and kind = $2 "
            "and target = $3 and status in ('queued', 'running')",
            service,
            kind,
            target,
        )
        return True
    return False


async def claim(connection: Connection, service: str, kinds: list[str]) -> Run | None:
    """Take the oldest run that waits, or one whose worker died; None when there is none.

    A target that has a running run is passed over: two workers never run the same target at once.
    """
    # Two workers that look at the same moment must not both see a free target.
    await connection.execute(
        "select pg_advisory_xact_lock(hashtextextended($1, 0))", f"claim/{service}"
    )
    row = await connection.fetchrow(_CLAIM, service, kinds, HEARTBEAT_TIMEOUT_SECONDS)
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


async def beat(connection: Connection, run: Run) -> bool:
    """Record that the worker lives; return whether cancellation was requested."""
    cancelled = await connection.fetchval(
        "update meta.runs set heartbeat_at = clock_timestamp() "
        "where run_id = $1::uuid and attempts = $2 and status = 'running' "
        "returning cancel_requested",
        run.run_id,
        run.attempts,
    )
    return bool(cancelled)


async def report(
    transaction: Transaction,
    run: Run,
    counts: RunCounts,
    *,
    total: int | None = None,
    message: str | None = None,
) -> None:
    """Record progress."""
    row = await transaction.connection.fetchrow(
        "update meta.runs set counts = $3, total = coalesce($4, total), message = $5, "
        "heartbeat_at = clock_timestamp() "
        "where run_id = $1::uuid and attempts = $2 and status = 'running' returning started_at",
        run.run_id,
        run.attempts,
        counts.model_dump(),
        total,
        message,
    )
    if row is not None:
        transaction.publish(
            RUN_CHANGED,
            _changed(run, RunStatus.RUNNING, counts, total=total, message=message, row=row),
        )


async def finish(
    transaction: Transaction,
    run: Run,
    status: RunStatus,
    *,
    counts: RunCounts,
    message: str | None = None,
) -> None:
    """End a run.

    Does nothing if it was ended or taken over in the meantime.
    """
    row = await transaction.connection.fetchrow(
        "update meta.runs set status = $3, counts = $4, message = $5, "
        "finished_at = clock_timestamp() "
        "where run_id = $1::uuid and attempts = $2 and status = 'running' "
        "returning started_at, finished_at",
        run.run_id,
        run.attempts,
        status.value,
        counts.model_dump(),
        message,
    )
    if row is not None:
        transaction.publish(
            RUN_CHANGED, _changed(run, status, counts, total=None, message=message, row=row)
        )


async def requeue(transaction: Transaction, run: Run, message: str) -> None:
    """Give a run back after an outage; it resumes from its checkpoint."""
    await transaction.connection.execute(
        "update meta.runs set status = 'queued', message = $3, heartbeat_at = null "
        "where run_id = $1::uuid and attempts = $2 and status = 'running'",
        run.run_id,
        run.attempts,
        message,
    )


async def reap(transaction: Transaction, service: str) -> int:
    """Abandon runs that crashed too many workers, and cancel queued ones that nobody wants any
    more.
    """
    rows = await transaction.connection.fetch(
        _REAP, service, HEARTBEAT_TIMEOUT_SECONDS, MAX_ATTEMPTS
    )
    for row in rows:
        transaction.publish(
            RUN_CHANGED,
            RunChanged(
                run_id=str(row["run_id"]),
                command_id=row["command_id"],
                service=service,
                kind=row["kind"],
                target=row["target"],
                status=RunStatus(row["status"]),
                message=row["message"],
                started_at=row["started_at"],
                finished_at=row["finished_at"],
            ),
        )
    return len(rows)


def _changed(
    run: Run,
    status: RunStatus,
    counts: RunCounts,
    *,
    total: int | None,
    message: str | None,
    row: Any,
) -> RunChanged:
    return RunChanged(
        run_id=run.run_id,
        command_id=run.command_id,
        service=run.service,
        kind=run.kind,
        target=run.target,
        status=status,
        counts=counts,
        total=total,
        message=message[:1000] if message else None,
        started_at=row["started_at"],
        finished_at=row.get("finished_at"),
    )


_CLAIM = """
update meta.runs r
set status = 'running',
    attempts = r.attempts + 1,
    started_at = coalesce(r.started_at, clock_timestamp()),
    heartbeat_at = clock_timestamp()
where r.run_id = (
    select candidate.run_id
    from meta.runs candidate
    where candidate.service = $1
      and candidate.kind = any($2::text[])
      and not candidate.cancel_requested
      and (
          (candidate.status = 'queued' and not exists (
              select 1 from meta.runs busy
              where busy.service = candidate.service and busy.kind = candidate.kind
                and busy.target = candidate.target and busy.status = 'running'))
          or (candidate.status = 'running'
              and candidate.heartbeat_at < clock_timestamp() - make_interval(secs => $3))
      )
    order by candidate.queued_at
    limit 1
    for update skip locked
)
returning r.*
"""

_REAP = """
update meta.runs
set status = case when cancel_requested then 'cancelled' else 'abandoned' end,
    message = case when cancel_requested then 'cancelled before it ran'
                   else 'its worker stopped beating ' || attempts || ' times' end,
    finished_at = clock_timestamp()
where service = $1
  and (
      (status = 'queued' and cancel_requested)
      or (status = 'running' and heartbeat_at < clock_timestamp() - make_interval(secs => $2)
          and (attempts >= $3 or cancel_requested))
  )
returning run_id, command_id, kind, target, status, message, started_at, finished_at
"""
