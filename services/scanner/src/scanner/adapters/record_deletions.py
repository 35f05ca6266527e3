"""Missing records in PostgreSQL: missed, confirmed, held, announced."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from chassis.db import Database, Transaction
from scanner.adapters.rows import readable
from scanner.ports import Belief, Mark


class PostgresRecordDeletions:
    """`RecordDeletions` on the tables `scanner.records` and `scanner.held_deletions`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def miss(self, transaction: Transaction, mark: Mark) -> int:
        """Note what a complete full poll was not told; return how many records that are."""
        with readable():
            status = await transaction.connection.execute(
                _MISS, mark.source, str(mark), mark.started_at
            )
        return int(status.rpartition(" ")[2])

    async def count(self, mark: Mark, belief: Belief, *, held: bool) -> int:
        """Return how many are believed gone: those that are held, or those that are not."""
        async with self._database.connection() as connection:
            with readable():
                count: int = await connection.fetchval(_COUNT, *_arguments(mark, belief), held)
        return count

    async def page(
        self, mark: Mark, belief: Belief, *, held: bool, after: str | None, limit: int
    ) -> Sequence[str]:
        """Return a page of their ids, in order."""
        async with self._database.connection() as connection:
            with readable():
                rows = await connection.fetch(_PAGE, *_arguments(mark, belief), held, after, limit)
        return [row["external_id"] for row in rows]

    async def hold(
        self, transaction: Transaction, mark: Mark, belief: Belief, *, reason: str
    ) -> int:
        """Hold all that are believed gone; return how many were not held before."""
        status = await transaction.connection.execute(
            _HOLD, *_arguments(mark, belief), mark.scan_id, reason
        )
        return int(status.rpartition(" ")[2])

    async def held(self, source: str) -> int:
        """Return how many deletions of a source are held."""
        async with self._database.connection() as connection:
            count: int = await connection.fetchval(
                "select count(*) from scanner.held_deletions where source = $1", source
            )
        return count

    async def conclude(
        self,
        transaction: Transaction,
        mark: Mark,
        *,
        event_ids: Mapping[str, str],
        now: datetime,
    ) -> None:
        """Write that deletions are announced, by id, in the transaction of their events."""
        await transaction.connection.execute(
            _CONCLUDE,
            mark.source,
            list(event_ids),
            list(event_ids.values()),
            mark.scan_id,
            now,
        )
        await transaction.connection.execute(
            "delete from scanner.held_deletions where source = $1 and path = any($2::text[])",
            mark.source,
            list(event_ids),
        )


def _arguments(mark: Mark, belief: Belief) -> tuple[str, str, int, datetime]:
    return mark.source, str(mark), belief.misses, belief.first_missed_before


_MISS = """
update scanner.records r
set missing_mark = $2, missing_polls = missing_polls + 1,
    missing_since = coalesce(missing_since, $3)
where source = $1 and is_present
  and not exists (select 1 from scanner.poll_seen s
                  where s.source = $1 and s.external_id = r.external_id)
"""

_COUNT = """
select count(*) from scanner.missing_records
where source = $1 and missing_mark = $2 and missing_polls >= $3 and missing_since <= $4
  and is_held = $5
"""

_PAGE = """
select external_id from scanner.missing_records
where source = $1 and missing_mark = $2 and missing_polls >= $3 and missing_since <= $4
  and is_held = $5 and ($6::text is null or external_id > $6::text collate "C")
order by external_id limit $7
"""

_HOLD = """
insert into scanner.held_deletions (source, path, scan_id, reason, held_at)
select source, external_id, $5::uuid, $6, clock_timestamp() from scanner.missing_records
where source = $1 and missing_mark = $2 and missing_polls >= $3 and missing_since <= $4
  and not is_held
on conflict do nothing
"""

_CONCLUDE = """
update scanner.records r set
    state = 'announced',
    is_present = false,
    announced_event_id = t.event_id,
    announced_run_id = $4::uuid,
    announced_at = $5,
    announcements = 1,
    missing_mark = null, missing_since = null, missing_polls = 0
from unnest($2::text[], $3::text[]) as t (external_id, event_id)
where r.source = $1 and r.external_id = t.external_id collate "C"
"""
