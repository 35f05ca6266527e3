"""The lease on announcements, in PostgreSQL."""

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import asyncpg

from chassis.db import Database, Transaction
from scanner.adapters.rows import read_announced
from scanner.domain.observations import Announcement
from scanner.ports import Answer, RepeatedFile

_PAGE = 500


class PostgresAnnouncements:
    """`Announcements` of files, on the table `scanner.inventory`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def answer(
        self, transaction: Transaction, answers: Sequence[Answer], *, now: datetime
    ) -> int:
        """Mark announced files as ingested or retired; return how many fitted."""
        by_event = [item for item in answers if item.event_id is not None]
        status = await transaction.connection.execute(
            _ANSWER_BY_EVENT, [item.event_id for item in by_event], now
        )
        fitted = int(status.rpartition(" ")[2])
        by_path = [item for item in answers if item.event_id is None]
        if by_path:
            status = await transaction.connection.execute(
                _ANSWER_BY_PATH,
                [item.source for item in by_path],
                [item.external_id for item in by_path],
                [item.is_tombstone for item in by_path],
                now,
            )
            fitted += int(status.rpartition(" ")[2])
        return fitted

    async def repeat(
        self, transaction: Transaction, *, after: timedelta, limit: int, now: datetime
    ) -> Sequence[RepeatedFile]:
        """Take announcements that expired, under new event ids; at most a page."""
        rows = await transaction.connection.fetch(_EXPIRED, now - after, limit + 1, _PAGE)
        repeated = [_repeated(row) for row in rows]
        await transaction.connection.execute(
            _REPEAT,
            [item.source for item in repeated],
            [item.announcement.change.path for item in repeated],
            [item.announcement.event_id for item in repeated],
            now,
        )
        return repeated

    async def unanswered(self, *, after: timedelta, limit: int, now: datetime) -> Mapping[str, int]:
        """Return per source how many were repeated in vain and leave bronze in the wrong."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                "select source, count(*) as times from scanner.inventory "
                "where state = 'announced' and announced_at < $1 and announcements > $2 "
                "and is_present = (answered_at is null) "
                "group by source",
                now - after,
                limit,
            )
        return {row["source"]: row["times"] for row in rows}


def _repeated(row: asyncpg.Record) -> RepeatedFile:
    return RepeatedFile(
        source=row["source"],
        scan_id=str(row["announced_scan_id"]),
        announcement=Announcement(read_announced(row), event_id=str(uuid.uuid4())),
    )


_ANSWER_BY_EVENT = """
update scanner.inventory
set state = case when is_present then 'ingested' else 'retired' end, answered_at = $2
where announced_event_id = any($1::text[]) and state = 'announced'
"""

# An answer that names no cause can only be matched by what it is about.
_ANSWER_BY_PATH = """
update scanner.inventory i
set state = case when i.is_present then 'ingested' else 'retired' end, answered_at = $4
from unnest($1::text[], $2::text[], $3::boolean[]) as t (source, path, is_tombstone)
where i.source = t.source and i.path = t.path collate "C" and i.state = 'announced'
  and i.is_present <> t.is_tombstone
"""

_EXPIRED = """
select source, path, announced_scan_id, announced_change, announced_modified_us,
       announced_size_bytes, previous_modified_us, previous_size_bytes
from scanner.inventory
where state = 'announced' and announced_at < $1 and announcements < $2
order by announced_at
limit $3
for update skip locked
"""

_REPEAT = """
update scanner.inventory i
set announced_event_id = t.event_id, announced_at = $4, announcements = i.announcements + 1
from unnest($1::text[], $2::text[], $3::text[]) as t (source, path, event_id)
where i.source = t.source and i.path = t.path collate "C"
"""
