"""The inventory in PostgreSQL: arrays in, differences out, never row by row."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

import asyncpg

from chassis.db import Database, Transaction
from scanner.adapters.missing import release
from scanner.adapters.rows import read_announced, read_known, readable
from scanner.domain.changes import Announce, Observe
from scanner.domain.descent import KnownDirectory
from scanner.domain.files import Fingerprint, SeenFile, parent_of
from scanner.domain.observations import (
    Announcement,
    Difference,
    DirectoryNote,
    Listing,
    SettlingDirectory,
)
from scanner.ports import Mark


class PostgresInventory:
    """`Inventory` on the tables `scanner.inventory` and `scanner.directories`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def differences(
        self, transaction: Transaction, source: str, listings: Sequence[Listing]
    ) -> Sequence[Difference]:
        """Return where listed directories and the inventory do not agree."""
        files = [file for listing in listings for file in listing.files]
        with readable():
            rows = await transaction.connection.fetch(
                _DIFFERENCES,
                source,
                [listing.directory for listing in listings],
                [file.path for file in files],
                [file.fingerprint.modified_us for file in files],
                [file.fingerprint.size_bytes for file in files],
                [path for listing in listings for path in listing.present],
            )
        return [_difference(row) for row in rows]

    async def observe(
        self,
        transaction: Transaction,
        source: str,
        *,
        observations: Sequence[Observe],
        now: datetime,
    ) -> None:
        """Write what was seen; a file that was missed or held is so no more."""
        paths = [item.file.path for item in observations]
        await transaction.connection.execute(
            _OBSERVE,
            source,
            paths,
            [parent_of(path) for path in paths],
            [item.file.fingerprint.modified_us for item in observations],
            [item.file.fingerprint.size_bytes for item in observations],
            [item.settling_since for item in observations],
            now,
        )
        await release(transaction, source, paths)

    async def announce(
        self,
        transaction: Transaction,
        mark: Mark,
        *,
        announcements: Sequence[Announcement],
        now: datetime,
    ) -> None:
        """Write what is announced, in the transaction of its events."""
        changes = [item.change for item in announcements]
        await transaction.connection.execute(
            _ANNOUNCE,
            mark.source,
            [change.path for change in changes],
            [change.change.value for change in changes],
            [change.current.modified_us if change.current else None for change in changes],
            [change.current.size_bytes if change.current else None for change in changes],
            [item.event_id for item in announcements],
            mark.scan_id,
            now,
        )
        await release(transaction, mark.source, [change.path for change in changes])

    async def mark_missing(
        self, transaction: Transaction, mark: Mark, *, paths: Sequence[str]
    ) -> None:
        """Note files that their directory's listing lacked."""
        await transaction.connection.execute(
            "update scanner.inventory set missing_mark = $3 "
            "where source = $1 and path = any($2::text[]) and is_present",
            mark.source,
            paths,
            str(mark),
        )

    async def mark_gone(
        self, transaction: Transaction, mark: Mark, *, listings: Sequence[Listing]
    ) -> int:
        """Note everything below known subdirectories that a listing lacked; return how many."""
        with readable():
            gone = await transaction.connection.fetch(
                _MARK_GONE_DIRECTORIES,
                mark.source,
                [listing.directory for listing in listings],
                [path for listing in listings for path in listing.subdirectories],
                str(mark),
            )
        if not gone:
            return 0
        status = await transaction.connection.execute(
            _MARK_FILES_BELOW, mark.source, [row["path"] for row in gone], str(mark)
        )
        return int(status.rpartition(" ")[2])

    async def remember(
        self, transaction: Transaction, source: str, *, notes: Sequence[DirectoryNote]
    ) -> None:
        """Keep what the next fast pass needs; call it after the files were written."""
        await transaction.connection.execute(
            _REMEMBER,
            source,
            [note.path for note in notes],
            [note.parent for note in notes],
            [note.modified_us for note in notes],
            [note.is_leaf for note in notes],
            [note.is_quiet for note in notes],
        )

    async def children(self, source: str, directory: str) -> Mapping[str, KnownDirectory]:
        """Return what is known of a directory's subdirectories, by path."""
        async with self._database.connection() as connection:
            with readable():
                rows = await connection.fetch(
                    "select path, modified_us, is_leaf, is_settled from scanner.directories "
                    "where source = $1 and parent = $2",
                    source,
                    directory,
                )
        return {
            row["path"]: KnownDirectory(row["modified_us"], row["is_leaf"], row["is_settled"])
            for row in rows
        }

    async def settling(
        self, mark: Mark, *, within: Sequence[str], after: str | None, limit: int
    ) -> Sequence[SettlingDirectory]:
        """Return a page of directories with files that still settle, ordered by path."""
        # No name has a control character: this is the least path after `after`.
        begin = "" if after is None else after + "\x01"
        async with self._database.connection() as connection:
            with readable():
                rows = await connection.fetch(
                    _SETTLING, mark.source, within, begin, limit, str(mark)
                )
        return [
            SettlingDirectory(row["directory"], row["parent"], row["modified_us"]) for row in rows
        ]

    async def latest_settling(self, mark: Mark) -> datetime | None:
        """Return when the youngest of those files' states was first seen."""
        async with self._database.connection() as connection:
            with readable():
                latest: datetime | None = await connection.fetchval(
                    "select max(settling_since) from scanner.inventory where source = $1 "
                    "and settling_since is not null and missing_mark is distinct from $2",
                    mark.source,
                    str(mark),
                )
        return latest

    async def refresh_statistics(self) -> None:
        """Have the planner look at the tables again."""
        async with self._database.connection() as connection:
            await connection.execute("analyze scanner.inventory, scanner.directories")

    async def count_present(self, source: str) -> int:
        """Return how many files consumers know to exist."""
        async with self._database.connection() as connection:
            with readable():
                count: int = await connection.fetchval(
                    "select count(*) from scanner.inventory "
                    "where source = $1 and is_present and announced_change is not null",
                    source,
                )
        return count

    async def announced_by(self, source: str, scan_ids: Collection[str]) -> Sequence[Announce]:
        """Return what these scans announced, as far as nothing was announced since."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                "select path, announced_change, announced_modified_us, announced_size_bytes, "
                "previous_modified_us, previous_size_bytes from scanner.inventory "
                "where source = $1 and announced_scan_id = any($2::uuid[]) "
                "order by announced_at, path",
                source,
                list(scan_ids),
            )
        return [read_announced(row) for row in rows]


def _difference(row: asyncpg.Record) -> Difference:
    seen: SeenFile | None = None
    if row["seen_modified_us"] is not None:
        seen = SeenFile(row["path"], Fingerprint(row["seen_modified_us"], row["seen_size_bytes"]))
    return Difference(seen, read_known(row) if row["is_present"] is not None else None)


_DIFFERENCES = """
with listed as (
    select * from unnest($3::text[], $4::bigint[], $5::bigint[])
        as t (path, seen_modified_us, seen_size_bytes)
), known as (
    select * from scanner.inventory where source = $1 and directory = any($2::text[])
)
select coalesce(listed.path, known.path) as path, listed.seen_modified_us, listed.seen_size_bytes,
       known.modified_us, known.size_bytes, known.settling_since, known.is_present, known.state,
       known.announced_change, known.announced_modified_us, known.announced_size_bytes,
       known.missing_mark
from listed full join known on known.path collate "C" = listed.path collate "C"
where known.path is null
   or (listed.path is null and known.is_present and not (known.path = any($6::text[])))
   or (listed.path is not null and (
           not known.is_present
           or known.settling_since is not null
           or known.missing_mark is not null
           or known.modified_us <> listed.seen_modified_us
           or known.size_bytes <> listed.seen_size_bytes))
"""

# A row whose deletion was announced starts anew: consumers learn of the file as added.
_OBSERVE = """
insert into scanner.inventory as known
    (source, path, directory, modified_us, size_bytes, settling_since, first_seen_at)
select $1, path, directory, modified_us, size_bytes, settling_since, $7
from unnest($2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::timestamptz[])
    as t (path, directory, modified_us, size_bytes, settling_since)
on conflict (source, path) do update set
    modified_us = excluded.modified_us,
    size_bytes = excluded.size_bytes,
    settling_since = excluded.settling_since,
    missing_mark = null, missing_since = null, missing_scans = 0,
    is_present = true,
    state = case when known.is_present then known.state else 'seen' end,
    announced_change = case when known.is_present then known.announced_change end,
    announced_modified_us = case when known.is_present then known.announced_modified_us end,
    announced_size_bytes = case when known.is_present then known.announced_size_bytes end,
    announced_event_id = case when known.is_present then known.announced_event_id end,
    announced_scan_id = case when known.is_present then known.announced_scan_id end,
    answered_at = case when known.is_present then known.answered_at end
"""

_ANNOUNCE = """
update scanner.inventory i set
    state = 'announced',
    previous_modified_us = i.announced_modified_us,
    previous_size_bytes = i.announced_size_bytes,
    announced_change = t.change,
    announced_modified_us = t.modified_us,
    announced_size_bytes = t.size_bytes,
    announced_event_id = t.event_id,
    announced_scan_id = $7::uuid,
    announced_at = $8,
    announcements = 1,
    settling_since = null,
    missing_mark = null, missing_since = null, missing_scans = 0
from unnest($2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::text[])
    as t (path, change, modified_us, size_bytes, event_id)
where i.source = $1 and i.path = t.path collate "C"
"""

_MARK_GONE_DIRECTORIES = """
update scanner.directories set gone_mark = $4
where source = $1 and parent = any($2::text[]) and not (path = any($3::text[]))
returning path
"""

# '0' follows '/' in the C collation: the range holds exactly the paths below the directory.
_MARK_FILES_BELOW = """
update scanner.inventory i set missing_mark = $3
from unnest($2::text[]) as gone (path)
where i.source = $1 and i.path > (gone.path || '/') collate "C"
  and i.path < (gone.path || '0') collate "C" and i.is_present
"""

# Only what differs is written: a conflict, even one that changes nothing, locks and logs its row.
_REMEMBER = """
with notes as (
    select t.path, coalesce(t.parent, known.parent) as parent, t.modified_us, t.is_leaf,
           known.path is not null as is_known, known.parent as known_parent,
           known.modified_us as known_modified_us, known.is_leaf as known_is_leaf,
           known.is_settled as known_is_settled, known.gone_mark,
           t.is_quiet and not exists (
               select 1 from scanner.inventory i
               where i.source = $1 and i.directory = t.path collate "C"
                 and (i.settling_since is not null or i.missing_mark is not null))
           -- What vanished below must be missed again before it is believed gone.
           and not exists (
               select 1 from scanner.directories below
               where below.source = $1 and below.parent = t.path collate "C"
                 and below.gone_mark is not null) as is_settled
    from unnest($2::text[], $3::text[], $4::bigint[], $5::boolean[], $6::boolean[])
        as t (path, parent, modified_us, is_leaf, is_quiet)
    left join scanner.directories known
        on known.source = $1 and known.path = t.path collate "C"
)
insert into scanner.directories (source, path, parent, modified_us, is_leaf, is_settled)
select $1, path, parent, modified_us, is_leaf, is_settled from notes
where not is_known
   or (known_parent, known_modified_us, known_is_leaf, known_is_settled, gone_mark)
      is distinct from (parent, modified_us, is_leaf, is_settled, null::text)
on conflict (source, path) do update set
    parent = excluded.parent, modified_us = excluded.modified_us, is_leaf = excluded.is_leaf,
    is_settled = excluded.is_settled, gone_mark = null
"""

# A loose index scan: one step a directory, however many files settle in it.
_SETTLING = """
with recursive page (directory, number) as (
    (select directory, 1 from scanner.inventory
     where source = $1 and settling_since is not null and missing_mark is distinct from $5
       and directory >= $3 collate "C" and scanner.lies_within(directory, $2::text[])
     order by directory limit 1)
    union all
    select next.directory, page.number + 1
    from page cross join lateral (
        select i.directory from scanner.inventory i
        where i.source = $1 and i.settling_since is not null and i.missing_mark is distinct from $5
          and i.directory > page.directory and scanner.lies_within(i.directory, $2::text[])
        order by i.directory limit 1) as next
    where page.number < $4
)
select page.directory, d.parent, d.modified_us
from page left join scanner.directories d on d.source = $1 and d.path = page.directory
order by page.directory
"""
