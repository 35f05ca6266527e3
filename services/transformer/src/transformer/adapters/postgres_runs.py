"""Reads the ledger of runs."""

from datetime import datetime

from chassis.db import Connection


class PostgresRuns:
    """The transformations of before."""

    async def last_complete(self, connection: Connection, entity_type: str) -> datetime | None:
        """Return when the latest began of the runs that brought a whole type up to date."""
        found: datetime | None = await connection.fetchval(_LAST, entity_type)
        return found


# A run that resumed after a crash has looked at its first pages long before it was taken up again.
_LAST = """
select max(least(started_at, queued_at)) from meta.runs
where service = 'transformer' and kind = 'transform' and target = $1 and not dry_run
    and status in ('completed', 'completed-with-errors')
    and coalesce(jsonb_array_length(parameters -> 'entity_ids'), 0) = 0
    and parameters ->> 'changed_since' is null
"""
