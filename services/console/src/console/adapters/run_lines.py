"""Runs of one target, as several pages show them."""

from collections.abc import Sequence
from typing import Any

from chassis.db import Connection
from console.ports.runs import RunLine
from contracts.runs import RunStatus

COLUMNS = """
r.run_id, r.service, r.kind, r.target, r.status, r.dry_run, r.requester, r.counts, r.total,
r.message, r.cancel_requested, r.queued_at, r.started_at, r.finished_at,
extract(epoch from coalesce(r.finished_at, clock_timestamp()) - r.started_at)::float as seconds
"""

# Each kind and target by its index, newest first; then the newest of all.
_RECENT = f"""
select r.* from unnest($2::text[]) as k (kind) cross join unnest($3::text[]) as t (target)
cross join lateral (
    select {COLUMNS} from meta.runs r
    where r.service = $1 and r.kind = k.kind and r.target = t.target
    order by r.queued_at desc limit $4) r
order by r.queued_at desc limit $4
"""  # noqa: S608 - the parts are constants of this module


async def recent_runs(
    connection: Connection,
    service: str,
    kinds: Sequence[str],
    *,
    targets: Sequence[str],
    limit: int,
) -> list[RunLine]:
    """Return the newest runs of some kinds about some targets."""
    rows = await connection.fetch(_RECENT, service, list(kinds), list(targets), limit)
    return [run_line(row) for row in rows]


def run_line(row: Any) -> RunLine:
    """Return a run out of a row with `COLUMNS`."""
    facts = {name: row[name] for name in RunLine.__slots__}
    return RunLine(**facts | {"status": RunStatus(row["status"])})
