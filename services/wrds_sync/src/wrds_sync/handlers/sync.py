"""The sync of a data set: what is due is copied partition by partition, and published as one.

A run of partitions becomes visible with one manifest, so readers see a vintage or the next one and
nothing in between. Only the very first sync, which has no vintage to mix with, publishes each
partition as it comes.
"""

from dataclasses import replace

from chassis.clock import Clock
from chassis.logs import get_logger
from wrds_sync import metrics
from wrds_sync.domain.datasets import Dataset
from wrds_sync.domain.manifest import SyncManifest
from wrds_sync.domain.planning import plan_full, plan_incremental
from wrds_sync.domain.schema import DatasetSchema
from wrds_sync.domain.tables import PartitionStatistics, Selection, TableInfo
from wrds_sync.errors import QueryTimeoutError
from wrds_sync.handlers.attempts import Attempts, SyncJob, SyncOutcome
from wrds_sync.handlers.copying import RowReporter
from wrds_sync.handlers.registry import SchemaRegistry
from wrds_sync.handlers.restating import Restatements
from wrds_sync.handlers.sessions import Sessions, Writer
from wrds_sync.ports import Ledger, OnProgress, Source, Storage


class SyncManager:
    """Keeps data sets equal to the archive."""

    def __init__(
        self,
        source: Source,
        storage: Storage,
        sessions: Sessions,
        *,
        attempts: Attempts,
        registry: SchemaRegistry,
        restatements: Restatements,
        ledger: Ledger,
        clock: Clock,
    ) -> None:
        self._source = source
        self._storage = storage
        self._sessions = sessions
        self._attempts = attempts
        self._registry = registry
        self._restatements = restatements
        self._ledger = ledger
        self._clock = clock

    async def full_sync(
        self,
        dataset: Dataset,
        start_year: int | None = None,
        *,
        on_progress: OnProgress | None = None,
    ) -> SyncOutcome:
        """Copy every partition from a year on, or go on where the last attempt ended.

        Raises:
            SchemaError: a column was removed or retyped.
            SyncIncompleteError: partitions are still due.
            TransientError: the archive, the disk or the lock; the next attempt goes on from here.
        """
        first = dataset.start_year if start_year is None else start_year
        async with self._sessions.open(dataset, "full") as writer:
            return await self._full(writer, first, on_progress)

    async def incremental_sync(
        self, dataset: Dataset, *, on_progress: OnProgress | None = None
    ) -> SyncOutcome:
        """Copy the partitions that differ from the archive; the first time, everything.

        Raises:
            As `full_sync`.
        """
        async with self._sessions.open(dataset, "incremental") as writer:
            manifest = await self._storage.read_manifest(dataset.name)
            if manifest is None or not manifest.is_complete:
                first = manifest.start_year if manifest else dataset.start_year
                return await self._full(writer, first, on_progress)
            return await self._incremental(writer, manifest, on_progress)

    async def _full(
        self, writer: Writer, start_year: int, on_progress: OnProgress | None
    ) -> SyncOutcome:
        dataset = writer.dataset
        manifest = await self._storage.read_manifest(dataset.name)
        info, schema, selection = await self._look(dataset)
        since = start_year if dataset.is_partitioned else None
        statistics = await self._statistics(dataset, selection, since_year=since)
        plan = plan_full(manifest, statistics, start_year=start_year)
        return await self._attempts.run(
            SyncJob(
                writer=writer,
                mode="full",
                start_year=start_year,
                info=info,
                schema=schema,
                selection=selection,
                manifest=manifest,
                plan=plan,
                reporter=RowReporter(dataset.name, on_progress, total=len(plan.due)),
            )
        )

    async def _incremental(
        self, writer: Writer, manifest: SyncManifest, on_progress: OnProgress | None
    ) -> SyncOutcome:
        dataset = writer.dataset
        info, schema, selection = await self._look(dataset)
        if manifest.schema_.detect_drift(schema).has_breaking_changes:
            # Accepted by a person. Files of both shapes could not be read as one data set.
            return await self._full(writer, manifest.start_year, on_progress)
        broken = [
            entry.year
            for entry in manifest.partitions
            if await self._storage.check(entry, deep=False)
        ]
        is_same = info.last_modified is not None and info.last_modified == manifest.source_modified
        if is_same and not broken and schema.version == manifest.schema_.version:
            return await self._unchanged(writer, manifest, info)
        since = manifest.start_year if dataset.is_partitioned else None
        statistics = await self._statistics(dataset, selection, since_year=since)
        plan = plan_incremental(dataset, manifest, statistics, broken=broken)
        if not plan.due and not plan.vanished:
            return await self._unchanged(writer, manifest, info)
        return await self._attempts.run(
            SyncJob(
                writer=writer,
                mode="incremental",
                start_year=manifest.start_year,
                info=info,
                schema=schema,
                selection=selection,
                manifest=manifest,
                plan=plan,
                reporter=RowReporter(dataset.name, on_progress, total=len(plan.due)),
            )
        )

    async def _look(self, dataset: Dataset) -> tuple[TableInfo, DatasetSchema, Selection]:
        """Read the catalogue once, and pin the columns that every partition will have."""
        wanted = dataset.selection
        info = await self._source.table_info(wanted.table, types=wanted.types)
        columns = [
            item for item in info.columns if not wanted.columns or item.name in wanted.columns
        ]
        schema = await self._registry.admit(DatasetSchema.of_columns(dataset.name, columns))
        return info, schema, replace(wanted, columns=tuple(schema.columns))

    async def _statistics(
        self, dataset: Dataset, selection: Selection, *, since_year: int | None
    ) -> list[PartitionStatistics]:
        try:
            return await self._source.statistics(selection, with_hash=True, since_year=since_year)
        except QueryTimeoutError:
            # Counting is cheaper; without hashes the look-back decides.
            get_logger().warning("statistics_without_hash", dataset=dataset.name)
            return await self._source.statistics(selection, since_year=since_year)

    async def _unchanged(
        self, writer: Writer, manifest: SyncManifest, info: TableInfo
    ) -> SyncOutcome:
        """Note that the mirror is equal to the archive; the vintage stays."""
        now = self._clock.now()
        is_same_text = manifest.source_modified == info.last_modified
        seen_at = manifest.source_modified_seen_at if is_same_text else now
        touched = manifest.model_copy(
            update={
                "synced_at": now,
                "source_modified": info.last_modified,
                "source_modified_seen_at": seen_at,
                "fencing": writer.token.fencing,
            }
        )
        await self._storage.publish(touched, writer.token)
        # The last attempt may have died after the manifest, before all that follows it.
        report = await self._restatements.load(manifest.dataset, manifest.vintage)
        await self._ledger.record(touched, report)
        await self._attempts.purge(writer)
        metrics.SYNCED_AT.labels(manifest.dataset).set(now.timestamp())
        get_logger().info("sync_unchanged", dataset=manifest.dataset, vintage=manifest.vintage)
        return SyncOutcome(manifest=touched)
