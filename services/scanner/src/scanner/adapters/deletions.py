"""Missing files in PostgreSQL: confirmed, announced, or found after all."""

from collections.abc import Mapping, Sequence
from datetime import datetime

import asyncpg

from chassis.db import Transaction
from scanner.adapters.missing import release
from scanner.adapters.rows import fingerprint, readable
from scanner.domain.files import Fingerprint
from scanner.errors import InventoryError
from scanner.ports import Mark


class PostgresDeletions:
    """`Deletions` on the tables `scanner.inventory` and `scanner.directories`."""

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

    async def conclude(
        self, transaction: Transaction, mark: Mark, *, event_ids: Mapping[str, str], now: datetime
    ) -> Mapping[str, Fingerprint]:
        """Write that deletions are announced, by path, in the transaction of their events."""
        rows = await transaction.connection.fetch(
            _CONCLUDE, mark.source, list(event_ids), list(event_ids.values()), mark.scan_id, now
        )
        await release(transaction, mark.source, list(event_ids))
        return {row["path"]: _announced(row) for row in rows}

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
        await release(transaction, source, paths)

    async def tidy(self, transaction: Transaction, mark: Mark) -> None:
        """Forget directories that are gone and hold no file that is still believed to exist."""
        await transaction.connection.execute(_TIDY, mark.source, str(mark))


def _announced(row: asyncpg.Record) -> Fingerprint:
    announced = fingerprint(row, "announced")
    if announced is None:
        raise InventoryError(f"Nothing was announced of {row['path']!a}")
    return announced


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
returning i.path, i.announced_modified_us, i.announced_size_bytes
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
