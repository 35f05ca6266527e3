"""The history of polls, high-water marks and single failures, in PostgreSQL."""

from collections.abc import Sequence
from datetime import datetime

from chassis.db import Database, Transaction
from chassis.logs import redact
from scanner.adapters.rows import readable
from scanner.domain.records import ItemFailure
from scanner.ports import Mark
from scanner.ports.records import PollRecord, Progress


class PostgresPolls:
    """`Polls` on the tables `scanner.polls`, `scanner.high_waters` and `scanner.due_records`."""

    def __init__(self, database: Database, service: str) -> None:
        self._database = database
        self._service = service

    async def progress(self, source: str) -> Progress:
        """Return how far the source was read."""
        async with self._database.connection() as connection:
            with readable():
                row = await connection.fetchrow(_PROGRESS, source)
        return Progress(row["mark"], row["full_at"]) if row else Progress(None, None)

    async def begin(self, transaction: Transaction, record: PollRecord) -> None:
        """Write that a poll began; a resumed one begins again."""
        with readable():
            await transaction.connection.execute(
                _BEGIN,
                record.mark.scan_id,
                record.mark.source,
                record.mode.value,
                record.mark.started_at,
                record.asked_since,
            )

    async def finish(
        self,
        transaction: Transaction,
        record: PollRecord,
        *,
        now: datetime,
        settled: Sequence[str] | None,
    ) -> None:
        """Write how it ended, and how far the source was read."""
        counts, mark = record.counts, record.mark
        await transaction.connection.execute(
            _FINISH,
            mark.scan_id,
            record.outcome,
            now,
            record.high_water,
            counts.processed,
            counts.new,
            counts.changed,
            counts.unchanged,
            counts.deleted,
            record.held,
            counts.failed,
            list(record.gaps),
        )
        if record.high_water is not None:
            await transaction.connection.execute(
                _NOTE_HIGH_WATER, mark.source, record.high_water, mark.scan_id, now
            )
        # What was noted since the poll began has failed once more.
        await transaction.connection.execute(
            "delete from scanner.due_records where source = $1 and noted_at < $2 "
            "and ($3::text[] is null or external_id = any($3))",
            mark.source,
            mark.started_at,
            settled,
        )

    async def due(self, source: str, *, limit: int) -> Sequence[str]:
        """Return ids that the next poll has to read, whatever their time says."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                "select external_id from scanner.due_records where source = $1 "
                "order by noted_at, external_id limit $2",
                source,
                limit,
            )
        return [row["external_id"] for row in rows]

    async def note_due(
        self,
        transaction: Transaction,
        source: str,
        *,
        external_ids: Sequence[str],
        reason: str,
        now: datetime,
    ) -> None:
        """Have records read again by the next poll."""
        await transaction.connection.execute(
            "insert into scanner.due_records as d (source, external_id, reason, noted_at) "
            "select $1, unnest($2::text[]), $3, $4 on conflict (source, external_id) "
            "do update set reason = excluded.reason, noted_at = excluded.noted_at",
            source,
            external_ids,
            reason,
            now,
        )

    async def record_failures(
        self, transaction: Transaction, mark: Mark, failures: Sequence[ItemFailure]
    ) -> None:
        """Write what was wrong with single records."""
        await transaction.connection.execute(
            _RECORD_FAILURES,
            self._service,
            mark.scan_id,
            mark.source,
            [item.external_id for item in failures],
            [item.category.value for item in failures],
            [item.error_class for item in failures],
            [redact(item.message)[:1000] for item in failures],
            [item.attempts for item in failures],
        )

    async def purge(self, transaction: Transaction, *, before: datetime) -> None:
        """Forget old polls and long-deleted records; the last complete full poll stays known."""
        await transaction.connection.execute(_PURGE, before)
        await transaction.connection.execute(
            "delete from scanner.records where not is_present and announced_at < $1", before
        )


_PROGRESS = """
select (select mark from scanner.high_waters where source = $1) as mark,
       (select max(started_at) from scanner.polls
        where source = $1 and mode = 'full' and outcome in ('complete', 'partial')) as full_at
"""

_BEGIN = """
insert into scanner.polls (run_id, source, mode, started_at, asked_since)
values ($1::uuid, $2, $3, $4, $5)
on conflict (run_id) do update set
    mode = excluded.mode, started_at = excluded.started_at, asked_since = excluded.asked_since,
    outcome = null, finished_at = null
"""

_FINISH = """
update scanner.polls set
    outcome = $2, finished_at = $3, high_water = $4, records = $5, new = $6, changed = $7,
    unchanged = $8, deleted = $9, held = $10, failed = $11, gaps = $12
where run_id = $1::uuid
"""

_NOTE_HIGH_WATER = """
insert into scanner.high_waters (source, mark, run_id, noted_at) values ($1, $2, $3::uuid, $4)
on conflict (source) do update set
    mark = excluded.mark, run_id = excluded.run_id, noted_at = excluded.noted_at
"""

_RECORD_FAILURES = """
insert into meta.record_errors
    (service, run_id, source, external_id, category, error_class, message, attempts)
select $1, $2::uuid, $3, t.*
from unnest($4::text[], $5::text[], $6::text[], $7::text[], $8::integer[]) as t
"""

_PURGE = """
delete from scanner.polls p
where started_at < $1
  and exists (select 1 from scanner.polls later
              where later.source = p.source and later.started_at > p.started_at
                and later.mode = 'full' and later.outcome in ('complete', 'partial'))
"""
