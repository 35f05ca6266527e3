"""What other services learn of a sync: rows in PostgreSQL, and events in the same transaction."""

from chassis.db import Database, Transaction
from chassis.drift import Drift, Standing, report
from contracts.drifts import DriftStatus
from contracts.layers import BronzeOperation, BronzeStored
from contracts.schemas import DriftKind
from contracts.topics import BRONZE_STORED, WRDS_DATA_RESTATED
from contracts.wrds import RestatedPartition, WrdsDataRestated
from wrds_sync.domain.manifest import SyncManifest
from wrds_sync.domain.restatements import RestatementReport

MAX_PARTITIONS = 300
"""In one event; the report beside the data has all."""

ENTITY_TYPE = "wrds_partition"
SOURCE_SYSTEM = "wrds"


class PostgresLedger:
    """The tables `wrds_sync.*`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def record(self, manifest: SyncManifest, report: RestatementReport | None) -> None:
        """Record a vintage and announce what it restates."""
        async with self._database.transaction() as transaction:
            await transaction.connection.execute(
                _RECORD,
                manifest.dataset,
                manifest.vintage,
                manifest.previous,
                manifest.written_at,
                manifest.synced_at,
                manifest.rows,
                manifest.size_bytes,
                len(manifest.partitions),
                manifest.source_modified,
            )
            await _announce(transaction, manifest)
            if report is None:
                return
            is_new = await transaction.connection.fetchval(
                _RESTATE,
                report.dataset,
                report.vintage,
                report.previous,
                report.found_at,
                report.added,
                report.removed,
                report.changed,
                report.model_dump(mode="json"),
            )
            if is_new and report.restated_years:
                transaction.publish(WRDS_DATA_RESTATED, _event(report))

    async def announce(self, manifest: SyncManifest) -> None:
        """Announce the partitions of a manifest that is not a vintage yet."""
        async with self._database.transaction() as transaction:
            await _announce(transaction, manifest)

    async def drifted(self, drift: Drift) -> Standing:
        """Enter a change of columns into the inbox."""
        async with self._database.transaction() as transaction:
            return await report(transaction, drift)


async def _announce(transaction: Transaction, manifest: SyncManifest) -> None:
    """Publish `bronze.stored` for each partition whose file is another than the one told last."""
    rows = await transaction.connection.fetch(
        _ANNOUNCE,
        manifest.dataset,
        manifest.fencing,
        [item.year for item in manifest.partitions],
        [item.path for item in manifest.partitions],
        [item.sha256 for item in manifest.partitions],
    )
    for row in rows:
        sha256 = row["sha256"]
        stored = BronzeStored(
            operation=BronzeOperation.STORED if sha256 else BronzeOperation.TOMBSTONED,
            entity_type=ENTITY_TYPE,
            entity_id=f"{manifest.dataset}/{row['year'] or 'all'}",
            source_system=SOURCE_SYSTEM,
            external_id=row["path"],
            version=row["version"],
            content_hash=sha256,
        )
        transaction.publish(BRONZE_STORED, stored)


def _event(report: RestatementReport) -> WrdsDataRestated:
    restated = [item for item in report.partitions if item.is_restatement]
    return WrdsDataRestated(
        dataset=report.dataset,
        vintage=report.vintage,
        previous=report.previous,
        rows_added=report.added,
        rows_removed=report.removed,
        rows_changed=report.changed,
        partitions=tuple(
            RestatedPartition(
                year=item.year,
                rows_added=item.added,
                rows_removed=item.removed,
                rows_changed=item.changed,
            )
            for item in restated[:MAX_PARTITIONS]
        ),
    )


class SilentLedger:
    """Without a database, the files and the log tell."""

    async def record(self, manifest: SyncManifest, report: RestatementReport | None) -> None:
        """Tell nobody."""

    async def announce(self, manifest: SyncManifest) -> None:
        """Tell nobody."""

    async def drifted(self, drift: Drift) -> Standing:
        """Tell nobody, so that nobody decides."""
        is_additive = drift.kind is DriftKind.ADDITIVE
        return Standing(status=DriftStatus.NOTED if is_additive else DriftStatus.WAITING)


_RECORD = """
insert into wrds_sync.vintages as known
    (dataset, vintage, previous, written_at, synced_at, rows, size_bytes, partitions,
     source_modified)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
on conflict (dataset, vintage) do update
    set synced_at = greatest(known.synced_at, excluded.synced_at),
        source_modified = excluded.source_modified
"""

_RESTATE = """
insert into wrds_sync.restatements
    (dataset, vintage, previous, found_at, rows_added, rows_removed, rows_changed, report)
values ($1, $2, $3, $4, $5, $6, $7, $8)
on conflict do nothing
returning true
"""

_ANNOUNCE = """
with present as (
    select * from unnest($3::integer[], $4::text[], $5::text[]) as p (year, path, sha256)
), stored as (
    insert into wrds_sync.partitions as known (dataset, year, path, sha256, version, fencing)
    select $1, year, path, sha256, 1, $2 from present
    on conflict (dataset, year) do update
        set path = excluded.path, sha256 = excluded.sha256, version = known.version + 1,
            fencing = excluded.fencing, announced_at = clock_timestamp()
        where known.fencing <= excluded.fencing and known.sha256 is distinct from excluded.sha256
    returning year, path, sha256, version
), gone as (
    update wrds_sync.partitions as known
    set sha256 = null, version = version + 1, fencing = $2, announced_at = clock_timestamp()
    where dataset = $1 and year <> all ($3) and sha256 is not null and fencing <= $2
    returning year, path, sha256, version
)
select * from stored union all select * from gone order by year
"""
