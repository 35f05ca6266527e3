"""Runs as their services leave them, and texts that break careless pages."""

import json
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

from chassis.db import Connection
from tests.support.paths import shared_data

NOW = datetime.now(UTC).replace(microsecond=0)  # noqa: TID251 - ages are shown against the clock
HOSTILE = "<script>alert('x')</script>\"'><img src=x onerror=alert(1)>"
PEOPLE = ("schedule", "schedule", "schedule", "ann", "bert", "penstock")

_RUN = """
insert into meta.runs (run_id, command_id, service, kind, target, status, parameters, dry_run,
    requester, reason, counts, total, message, attempts, queued_at, started_at, heartbeat_at,
    finished_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, 1, $14, $15, $15, $16)
"""


def naughty() -> list[str]:
    """Return texts that break careless programs; PostgreSQL stores no NUL."""
    found = json.loads(shared_data("nasty", "blns", "blns.json").read_text("utf-8"))
    return [text.replace("\0", "") for text in found if text.strip()]


async def add_run(
    connection: Connection,
    service: str,
    kind: str,
    target: str,
    *,
    status: str = "completed",
    ago: timedelta = timedelta(),
    seconds: float = 4.0,
    **facts: Any,
) -> uuid.UUID:
    """Add a run to the ledger and return its id."""
    run_id = facts.pop("run_id", None) or uuid.uuid4()
    began = NOW - ago
    is_open = status in ("queued", "running")
    await connection.execute(
        _RUN,
        run_id,
        facts.get("command_id"),
        service,
        kind,
        target,
        status,
        facts.get("parameters", {}),
        facts.get("dry_run", False),
        facts.get("requester", "schedule"),
        facts.get("reason"),
        facts.get("counts", {"processed": 1200, "new": 3, "changed": 14, "unchanged": 1183}),
        facts.get("total"),
        facts.get("message"),
        began,
        None if status == "queued" else began,
        None if is_open else began + timedelta(seconds=seconds),
    )
    return run_id
