"""Runs as the services would have left them."""

import uuid
from datetime import timedelta
from typing import Any

from chassis.db import Database

_INSERT = """
insert into meta.runs (run_id, service, kind, target, status, counts, total, message, queued_at,
                       started_at, finished_at, requester, command_id)
select gen_random_uuid(), $1, $2, $3 || case when $11 > 1 then n::text else '' end, $4, $5, $6, $7,
       clock_timestamp() - make_interval(secs => n), clock_timestamp() - make_interval(secs => n),
       case when $4 in ('queued', 'running') then null
            else clock_timestamp() - make_interval(secs => n) + $8::interval end,
       $9, $10
from generate_series(1, $11) as n
returning run_id
"""


async def add_runs(
    database: Database,
    *,
    count: int = 1,
    service: str = "scanner",
    kind: str = "scan",
    target: str = "transcripts",
    status: str = "completed",
    counts: dict[str, int] | None = None,
    total: int | None = None,
    message: str | None = None,
    requester: str = "schedule",
    command_id: str | None = None,
    seconds: float = 2,
) -> list[uuid.UUID]:
    async with database.connection() as connection:
        rows: list[Any] = await connection.fetch(
            _INSERT,
            service,
            kind,
            target,
            status,
            counts or {},
            total,
            message,
            timedelta(seconds=seconds),
            requester,
            command_id,
            count,
        )
    return [row["run_id"] for row in rows]
