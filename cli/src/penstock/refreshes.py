"""Plans and refreshes as the refresher's tables tell them."""

import contextlib
import json
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any

from chassis.db import Connection, Database
from chassis.errors import PermanentError
from chassis.settings import DatabaseSettings
from contracts.errors import ErrorCategory

_SERVICE = "refresher"

_PLAN = """
select plan_id, run_id::text, target, status, requester, reason, is_forced, created_at, decided_by,
    applied_at, undo_until, message, plan::text as plan
from refresher.plans
where plan_id = $1 or run_id::text = $1
order by plan_id = $1 desc, created_at desc
limit 1
"""
_HISTORY = """
select f.finished_at, f.table_key, f.mode, f.mode_reason, f.swap, f.rows_read, f.bytes_read,
    f.rows_inserted, f.rows_updated, f.rows_deleted, f.rows_kept, f.phases, f.window_low,
    f.window_high, f.checksum, f.swap_attempts, f.masked, f.undone_at, f.run_id::text,
    p.requester, p.undo_until
from refresher.refreshes f join refresher.plans p using (plan_id)
where $1::text is null or f.table_key = $1
order by f.id desc
limit $2
"""
_WAITING = """
select plan_id, run_id::text, target, requester, reason, created_at, plan -> 'destructive' as why
from refresher.plans where status = 'waiting' order by created_at desc limit 50
"""
_DATABASES = "select role, fingerprint, last_seen_at from refresher.databases order by role, 3 desc"
_LATEST = """
select distinct on (table_key) table_key, finished_at, mode, rows_read, run_id::text, undone_at
from refresher.refreshes order by table_key, id desc
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredPlan:
    """A plan as the refresher keeps it."""

    plan_id: str
    run_id: str
    status: str
    plan: dict[str, Any]
    facts: dict[str, Any]
    """Requester, reason and times."""


@contextlib.asynccontextmanager
async def ledger(settings: DatabaseSettings) -> AsyncGenerator[Database]:
    """Open the hub's database."""
    database = await Database.open(settings, _SERVICE)
    try:
        yield database
    finally:
        await database.close()


async def find_plan(connection: Connection, name: str) -> StoredPlan:
    """Return a plan by its id or by its run's.

    Raises:
        PermanentError: there is none.
    """
    row = await connection.fetchrow(_PLAN, name)
    if row is None:
        raise PermanentError(
            f"there is no plan or run {name}; `penstock refresh status` lists those that wait",
            category=ErrorCategory.CONFIG_VALIDATION,
        )
    facts = {key: value for key, value in dict(row).items() if key != "plan"}
    return StoredPlan(
        plan_id=row["plan_id"],
        run_id=row["run_id"],
        status=row["status"],
        plan=json.loads(row["plan"]),
        facts=facts,
    )


async def history(connection: Connection, table: str | None, *, limit: int) -> list[dict[str, Any]]:
    """Return the latest refreshes, table by table, newest first."""
    return [dict(row) for row in await connection.fetch(_HISTORY, table, limit)]


async def overview(connection: Connection) -> dict[str, list[dict[str, Any]]]:
    """Return what waits, what each table's last refresh was, and which databases were seen."""
    return {
        "waiting": [dict(row) for row in await connection.fetch(_WAITING)],
        "tables": [dict(row) for row in await connection.fetch(_LATEST)],
        "databases": [dict(row) for row in await connection.fetch(_DATABASES)],
    }
