"""The lease on announcements of records, in PostgreSQL."""

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from chassis.db import Database, Transaction
from scanner.ports import Answer
from scanner.ports.records import RepeatedRecord

_PAGE = 500


class PostgresRecordAnnouncements:
    """`Announcements` of records, on the table `scanner.records`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def answer(
        self, transaction: Transaction, answers: Sequence[Answer], *, now: datetime
    ) -> int:
        """Mark announced records as ingested or retired; return how many fitted.

        Only an answer that names its announcement fits: another one is repeated, and answered.
        """
        status = await transaction.connection.execute(
            _ANSWER, [item.event_id for item in answers if item.event_id is not None], now
        )
        return int(status.rpartition(" ")[2])

    async def repeat(
        self, transaction: Transaction, *, after: timedelta, limit: int, now: datetime
    ) -> Sequence[RepeatedRecord]:
        """Have what nobody answered announced again: deletions now, the rest by the next poll."""
        connection, before = transaction.connection, now - after
        due = await connection.fetch(_EXPIRE, before, limit + 1, _PAGE, now)
        gone = await connection.fetch(_EXPIRED_DELETIONS, before, limit + 1, _PAGE)
        event_ids = [str(uuid.uuid4()) for _ in gone]
        await connection.execute(
            _REPEAT,
            [row["source"] for row in gone],
            [row["external_id"] for row in gone],
            event_ids,
            now,
        )
        return [RepeatedRecord(row["source"], row["external_id"]) for row in due] + [
            RepeatedRecord(
                row["source"], row["external_id"], str(row["announced_run_id"]), event_id
            )
            for row, event_id in zip(gone, event_ids, strict=True)
        ]

    async def unanswered(self, *, after: timedelta, limit: int, now: datetime) -> Mapping[str, int]:
        """Return per source how many were repeated in vain."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                "select source, count(*) as times from scanner.records "
                "where state = 'announced' and announced_at < $1 and announcements > $2 "
                "group by source",
                now - after,
                limit,
            )
        return {row["source"]: row["times"] for row in rows}


_ANSWER = """
update scanner.records
set state = case when is_present then 'ingested' else 'retired' end, answered_at = $2
where announced_event_id = any($1::text[]) and state = 'announced'
"""

# Its hash is forgotten, so that the next look at the record announces it; nothing else has to
# keep the bodies of records.
_EXPIRE = """
with expired as (
    select source, external_id from scanner.records
    where state = 'announced' and is_present and content_hash is not null
      and announced_at < $1 and announcements < $2
    order by announced_at limit $3
    for update skip locked
), forgotten as (
    update scanner.records r set content_hash = null
    from expired e where r.source = e.source and r.external_id = e.external_id
)
insert into scanner.due_records as d (source, external_id, reason, noted_at)
select source, external_id, 'its announcement was not answered', $4 from expired
on conflict (source, external_id) do update set noted_at = excluded.noted_at
returning d.source, d.external_id
"""

_EXPIRED_DELETIONS = """
select source, external_id, announced_run_id from scanner.records
where state = 'announced' and not is_present and announced_at < $1 and announcements < $2
order by announced_at limit $3
for update skip locked
"""

_REPEAT = """
update scanner.records r
set announced_event_id = t.event_id, announced_at = $4, announcements = r.announcements + 1
from unnest($1::text[], $2::text[], $3::text[]) as t (source, external_id, event_id)
where r.source = t.source and r.external_id = t.external_id collate "C"
"""
