"""A service with runs, for tests: what queues, executes and reads them."""

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from chassis.clock import SystemClock
from chassis.db import Database
from chassis.runs import Job, RunContext, RunWorker, context, ledger, worker
from chassis.runs.ledger import submit
from contracts.runs import RunCounts


def shorten_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten every wait; the order between them stays."""
    monkeypatch.setattr(ledger, "HEARTBEAT_TIMEOUT_SECONDS", 0.8)
    monkeypatch.setattr(worker, "LEASE_SECONDS", 0.6)
    monkeypatch.setattr(worker, "BEAT_SECONDS", 0.1)
    monkeypatch.setattr(worker, "POLL_SECONDS", 0.02)
    monkeypatch.setattr(worker, "backoff_seconds", lambda _, retry_after=None: retry_after or 0.01)
    monkeypatch.setattr(context, "REPORT_EVERY_SECONDS", 0.0)


async def queue(database: Database, target: str = "nas", **options: Any) -> str | None:
    async with database.transaction() as transaction:
        return await submit(transaction, service="scanner", kind="scan", target=target, **options)


def working(database: Database, job: Job, **options: Any) -> RunWorker:
    return RunWorker(database, {"scan": job}, clock=SystemClock(), **options)


async def fetch(database: Database, query: str, *arguments: Any) -> list[dict[str, Any]]:
    async with database.connection() as connection:
        return [dict(row) for row in await connection.fetch(query, *arguments)]


async def run_row(database: Database, run_id: str | None) -> dict[str, Any]:
    (row,) = await fetch(database, "select * from meta.runs where run_id = $1::uuid", run_id)
    return row


async def statuses(database: Database) -> list[str]:
    rows = await fetch(database, "select status from meta.runs order by queued_at, run_id")
    return [row["status"] for row in rows]


async def events(database: Database, run_id: str | None = None) -> list[dict[str, Any]]:
    rows = await fetch(database, "select value from meta.outbox order by id")
    said = [json.loads(row["value"])["data"] for row in rows]
    return [event for event in said if run_id in (None, event["run_id"])]


async def until_idle(worker_: RunWorker, *, limit: float = 10) -> None:
    """Execute runs until none is open."""
    async with asyncio.timeout(limit):
        while True:
            if not await worker_.step():
                rows = await fetch(
                    worker_._database,
                    "select 1 from meta.runs where status in ('queued', 'running')",
                )
                if not rows:
                    return
                await asyncio.sleep(0.05)


async def idle(_: RunContext) -> RunCounts:
    return RunCounts()


@contextlib.asynccontextmanager
async def worked(database: Database, job: Job) -> AsyncGenerator[asyncio.Task[None]]:
    """Run a worker beside the body; stopped at the end."""
    async with asyncio.TaskGroup() as group:
        task = group.create_task(working(database, job).run())
        try:
            yield task
        finally:
            task.cancel()


async def status_is(database: Database, run_id: str | None, status: str) -> bool:
    return bool((await run_row(database, run_id))["status"] == status)
