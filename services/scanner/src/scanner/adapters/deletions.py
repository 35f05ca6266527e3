"""Missing files in PostgreSQL: missed, confirmed, held, announced."""

from collections.abc import Sequence
from datetime import datetime

from chassis.db import Database, Transaction
from scanner.adapters.rows import fingerprint, readable
from scanner.domain.observations import Announcement, Candidate
from scanner.errors import InventoryError
from scanner.ports import Belief, Mark


class PostgresDeletions:
    """`Deletions` on the tables `scanner.inventory` and `scanner.held_deletions`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def confirm(
        self, transaction: Transaction, mark: Mark, *, excluded: Sequence[str]
    ) -> None:
        """Count one more complete scan that missed them, outside `excluded`."""
        with readable():
            await transaction.connection.execute(
                _FORGET_UNANNOUNCED, mark.source, str(mark), excluded
            )
            await transaction.connection.execute(
                _CONFIRM, mark.source, str(mark), excluded, mark.started_at
            )

    async def count(self, mark: Mark, belief: Belief, *, held: bool) -> int:
        """Return how many are believed gone: those that are held, or those that are not."""
        async with self._database.connection() as connection:
            with readable():
                count: int = await connection.fetchval(
                    _COUNT,
                    *_arguments(mark, belief),
                    held,
                )
        return count

    async def page(
        self, mark: Mark, belief: Belief, *, held: bool, after: str | None, limit: int
    ) -> Sequence[Candidate]:
        """Return a page of those, ordered by path."""
        async with self._database.connection() as connection:
            with readable():
                rows = await connection.fetch(
                    _PAGE,
                    *_arguments(mark, belief),
                    held,
                    after,
                    limit,
                )
        candidates = []
        for row in rows:
            announced = fingerprint(row, "announced")
            if announced is None:
                raise InventoryError(f"Nothing was announced of {row['path']!a}")
            candidates.append(Candidate(row["path"], row["directory"], announced))
        return candidates

    async def hold(
        self, transaction: Transaction, mark: Mark, belief: Belief, *, reason: str
    ) -> int:
        """Hold all that are believed gone; return how many were not held before."""
        status = await transaction.connection.execute(
            _HOLD,
            *_arguments(mark, belief),
            mark.scan_id,
            reason,
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
        announcements: Sequence[Announcement],
        now: datetime,
    ) -> None:
        """Write that deletions are announced, in the transaction of their events."""
        paths = [item.change.path for item in announcements]
        await transaction.connection.execute(
            _CONCLUDE,
            mark.source,
            paths,
            [item.event_id for item in announcements],
            mark.scan_id,
            now,
        )
        await transaction.connection.execute(_RELEASE, mark.source, paths)

    async def reappeared(
        self, transaction: Transaction, source: str, *, paths: Sequence[str]
    ) -> None:
        """Forget that these were missed: a probe found them."""
        await transaction.connection.execute(
            "update scanner.inventory set missing_mark = null, missing_since = null, "
            "missing_scans = 0 where source = $1 and path = any($2::text[])",
            source,
            paths,
        )
        await transaction.connection.execute(_RELEASE, source, paths)

    async def tidy(self, transaction: Transaction, mark: Mark) -> None:
        """Forget directories that are gone and hold no file that is still believed to exist."""
        await transaction.connection.execute(_TIDY, mark.source, str(mark))


def _arguments(mark: Mark, belief: Belief) -> tuple[str, str, int, datetime]:
    return mark.source, str(mark), belief.misses, belief.first_missed_before


_FORGET_UNANNOUNCED = """
delete from scanner.inventory
where source = $1 and missing_mark = $2 and announced_change is null
  and not scanner.lies_within(path, $3::text[])
"""

_CONFIRM = """
update scanner.inventory
set missing_scans = missing_scans + 1, missing_since = coalesce(missing_since, $4)
where source = $1 and missing_mark = $2 and is_present
  and not scanner.lies_within(path, $3::text[])
"""

_COUNT = """
select count(*) from scanner.missing_files
where source = $1 and missing_mark = $2 and missing_scans >= $3 and missing_since <= $4
  and is_held = $5
"""

_PAGE = """
select path, directory, announced_modified_us, announced_size_bytes from scanner.missing_files
where source = $1 and missing_mark = $2 and missing_scans >= $3 and missing_since <= $4
  and is_held = $5 and ($6::text is null or path > $6::text collate "C")
order by path limit $7
"""

_HOLD = """
insert into scanner.held_deletions (source, path, scan_id, reason, held_at)
select source, path, $5::uuid, $6, clock_timestamp() from scanner.missing_files
where source = $1 and missing_mark = $2 and missing_scans >= $3 and missing_since <= $4
  and not is_held
on conflict do nothing
"""

_RELEASE = "delete from scanner.held_deletions where source = $1 and path = any($2::text[])"

_CONCLUDE = """
update scanner.inventory i set
    state = 'announced',
    is_present = false,
    announced_change = 'deleted',
    previous_modified_us = null,
    previous_size_bytes = null,
    announced_event_id = t.event_id,
    announced_scan_id = $4::uuid,
    announced_at = $5,
    announcements = 1,
    settling_since = null,
    missing_mark = null, missing_since = null, missing_scans = 0
from unnest($2::text[], $3::text[]) as t (path, event_id)
where i.source = $1 and i.path = t.path collate "C"
"""

_TIDY = """
with gone as (
    select g.path from scanner.directories g
    where g.source = $1 and g.gone_mark = $2
      and not exists (
          select 1 from scanner.inventory i
          where i.source = $1 and i.is_present
            and i.path > (g.path || '/') collate "C" and i.path < (g.path || '0') collate "C")
)
delete from scanner.directories d using gone
where d.source = $1
  and (d.path = gone.path
       or (d.path > (gone.path || '/') collate "C" and d.path < (gone.path || '0') collate "C"))
"""
