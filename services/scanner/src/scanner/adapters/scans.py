"""The history of scans, and the audit trail, in PostgreSQL."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from chassis.db import Database, Transaction
from scanner.adapters.rows import readable
from scanner.ports import ScanRecord


class PostgresScans:
    """`Scans` on the table `scanner.scans`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def begin(self, transaction: Transaction, record: ScanRecord) -> None:
        """Write that a scan began; a resumed one begins again."""
        with readable():
            await transaction.connection.execute(
                "insert into scanner.scans (scan_id, source, mode, prefix, started_at) "
                "values ($1::uuid, $2, $3, $4, $5) on conflict (scan_id) do update set "
                "mode = excluded.mode, outcome = null, finished_at = null",
                record.mark.scan_id,
                record.mark.source,
                record.mode.value,
                record.prefix,
                record.mark.started_at,
            )

    async def finish(
        self, transaction: Transaction, record: ScanRecord, *, outcome: str, now: datetime
    ) -> None:
        """Write how it ended."""
        await transaction.connection.execute(
            "update scanner.scans set outcome = $2, finished_at = $3, directories = $4, "
            "files = $5, added = $6, modified = $7, deleted = $8, held = $9, failures = $10, "
            "started_at = $11 where scan_id = $1::uuid",
            record.mark.scan_id,
            outcome,
            now,
            record.directories,
            record.files,
            record.added,
            record.modified,
            record.deleted,
            record.held,
            record.failures,
            record.mark.started_at,
        )

    async def last_full(self, source: str) -> datetime | None:
        """Return when the last full scan of a whole source began that could conclude deletions."""
        async with self._database.connection() as connection:
            with readable():
                started: datetime | None = await connection.fetchval(
                    "select max(started_at) from scanner.scans where source = $1 "
                    "and mode = 'full' and prefix = '' and outcome in ('complete', 'partial')",
                    source,
                )
        return started

    async def not_exported(self, source: str) -> Sequence[str]:
        """Return the ids of scans whose changes no queue file holds yet."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                "select scan_id from scanner.scans where source = $1 and not is_exported "
                "order by started_at",
                source,
            )
        return [str(row["scan_id"]) for row in rows]

    async def mark_exported(self, transaction: Transaction, scan_ids: Sequence[str]) -> None:
        """Write that their changes are in the queue files."""
        await transaction.connection.execute(
            "update scanner.scans set is_exported = true where scan_id = any($1::uuid[])",
            list(scan_ids),
        )

    async def purge(self, transaction: Transaction, *, before: datetime) -> None:
        """Forget old scans and long-deleted files."""
        await transaction.connection.execute(
            "delete from scanner.scans where started_at < $1", before
        )
        await transaction.connection.execute(
            "delete from scanner.inventory where not is_present and announced_at < $1", before
        )


class PostgresAuditTrail:
    """`AuditTrail` on the table `meta.audit`."""

    def __init__(self, service: str) -> None:
        self._service = service

    async def record(
        self,
        transaction: Transaction,
        *,
        actor: str,
        action: str,
        subject: str,
        details: Mapping[str, object],
    ) -> None:
        """Write one decision."""
        await transaction.connection.execute(
            "insert into meta.audit (service, actor, action, subject, details) "
            "values ($1, $2, $3, $4, $5)",
            self._service,
            actor,
            action,
            subject,
            dict(details),
        )
