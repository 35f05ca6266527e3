"""One attempt at a sync: copy what remains, checkpoint each partition, publish once."""

import contextlib
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from chassis.clock import Clock
from chassis.errors import PenstockError, TransientError
from chassis.failpoints import reach
from chassis.logs import get_logger
from wrds_sync import metrics
from wrds_sync.domain.datasets import Dataset
from wrds_sync.domain.manifest import PartitionEntry, SyncManifest, has_same_content, vintage_name
from wrds_sync.domain.planning import Plan, expected_bytes
from wrds_sync.domain.progress import SyncProgress
from wrds_sync.domain.restatements import RestatementReport
from wrds_sync.domain.schema import DatasetSchema
from wrds_sync.domain.tables import Selection, TableInfo
from wrds_sync.errors import QueryTimeoutError, SyncIncompleteError, ValidationError
from wrds_sync.handlers.checkpoints import Checkpoints
from wrds_sync.handlers.copying import PartitionCopier, RowReporter
from wrds_sync.handlers.restating import Restatements
from wrds_sync.handlers.sessions import Writer
from wrds_sync.ports import Ledger, Storage

Mode = Literal["full", "incremental"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncOutcome:
    """What a sync did."""

    manifest: SyncManifest
    copied: tuple[PartitionEntry, ...] = ()
    report: RestatementReport | None = None

    @property
    def rows(self) -> int:
        """Rows that were copied."""
        return sum(item.rows for item in self.copied)


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncJob:
    """What the steps of one sync share."""

    writer: Writer
    mode: Mode
    start_year: int
    info: TableInfo
    schema: DatasetSchema
    selection: Selection
    manifest: SyncManifest | None
    plan: Plan
    reporter: RowReporter

    @property
    def dataset(self) -> Dataset:
        """What is synced."""
        return self.writer.dataset

    @property
    def publishes_each(self) -> bool:
        """Whether there is no complete vintage yet that a part could be mixed with."""
        return self.manifest is None or not self.manifest.is_complete


class Attempts:
    """Executes sync jobs."""

    def __init__(
        self,
        storage: Storage,
        copier: PartitionCopier,
        *,
        restatements: Restatements,
        ledger: Ledger,
        clock: Clock,
        keep_vintages: int,
    ) -> None:
        self._storage = storage
        self._copier = copier
        self._restatements = restatements
        self._ledger = ledger
        self._clock = clock
        self._keep_vintages = keep_vintages
        self._checkpoints = Checkpoints(storage.documents)

    async def run(self, job: SyncJob) -> SyncOutcome:
        """Copy and publish what the plan says, going on from the last checkpoint.

        Raises:
            SyncIncompleteError: partitions are still due.
        """
        if job.plan.vanished and job.dataset.rules.max_shrink < 1:
            years = ", ".join(map(str, job.plan.vanished))
            raise ValidationError(
                f"{job.dataset.name}: the archive has no rows any more for {years}; "
                "the mirror keeps them"
            )
        progress = await self._resume_from_checkpoint(job)
        async with self._kept(job, progress) as kept:
            await self._copy_remaining(job, kept)
            if kept.progress.years_remaining:
                years = ", ".join(map(str, kept.progress.years_remaining))
                raise SyncIncompleteError(f"{job.dataset.name}: still due: {years}")
            outcome = await self._publish(job, kept.progress)
            await self._save(
                job, kept, kept.progress.ended("completed", now=self._now(), message=None)
            )
        await self.purge(job.writer)
        return outcome

    async def purge(self, writer: Writer) -> None:
        """Remove superseded vintages, and what attempts that died have left of theirs."""
        await self._storage.purge(writer.token, keep_vintages=self._keep_vintages)

    async def _resume_from_checkpoint(self, job: SyncJob) -> SyncProgress:
        """Return where to go on: the last attempt's checkpoint, where it is still true."""
        last = await self._checkpoints.load(job.dataset.name)
        now = self._now()
        fresh = SyncProgress(
            dataset=job.dataset.name,
            started_at=now,
            last_checkpoint=now,
            years_completed=[],
            years_remaining=list(job.plan.due),
            total_rows_synced=0,
            status="running",
            mode=job.mode,
            start_year=job.start_year,
            source_modified=job.info.last_modified,
        )
        if last is None or not _continues(last, job):
            return fresh
        for entry in last.staged:
            if await self._is_usable(job, entry):
                fresh = fresh.with_partition(entry, now=now)
        if fresh.staged:
            get_logger().info(
                "sync_resumed", dataset=job.dataset.name, years_completed=fresh.years_completed
            )
        return fresh.model_copy(update={"started_at": last.started_at})

    async def _is_usable(self, job: SyncJob, entry: PartitionEntry) -> bool:
        statistics = job.plan.statistics.get(entry.year)
        if entry.year not in job.plan.due or statistics is None:
            return False
        is_same = (entry.source_rows, entry.content_hash) == (
            statistics.rows,
            statistics.content_hash,
        )
        return is_same and not await self._storage.check(entry, deep=False)

    async def _copy_remaining(self, job: SyncJob, kept: "_Kept") -> None:
        remaining = list(kept.progress.years_remaining)
        required = expected_bytes(
            job.plan,
            remaining,
            manifest=job.manifest,
            row_bytes=job.info.estimated_row_bytes,
        )
        if remaining:
            await self._copier.check_disk(required, dataset=job.dataset.name)
        await self._save(job, kept, kept.progress)
        for year in remaining:
            await self._copy_one(job, kept, year)
        job.reporter.done = len(job.plan.due)

    async def _copy_one(self, job: SyncJob, kept: "_Kept", year: int) -> None:
        statistics = job.plan.statistics[year]
        job.reporter.done = len(kept.progress.years_completed)
        required = expected_bytes(
            job.plan, [year], manifest=job.manifest, row_bytes=job.info.estimated_row_bytes
        )
        await self._copier.check_disk(required, dataset=job.dataset.name)
        try:
            entry = await self._copier.copy(
                job.writer,
                job.selection,
                job.schema,
                statistics=statistics,
                previous=job.manifest.by_year().get(year) if job.manifest else None,
                on_rows=job.reporter,
            )
        except QueryTimeoutError as error:
            # The year stays due, and the run will not end as completed (C-37).
            metrics.PARTITIONS.labels(job.dataset.name, "timed-out").inc()
            get_logger().warning(
                "partition_timed_out", dataset=job.dataset.name, year=year, error=error
            )
            return
        metrics.PARTITIONS.labels(job.dataset.name, "copied").inc()
        await self._save(job, kept, kept.progress.with_partition(entry, now=self._now()))
        await reach("wrds_sync.after_checkpoint")
        get_logger().info(
            "partition_copied",
            dataset=job.dataset.name,
            year=year,
            rows=entry.rows,
            size_bytes=entry.size_bytes,
        )
        await job.reporter.tell(year, entry.rows, statistics.rows)
        if job.publishes_each and kept.progress.years_remaining:
            await self._publish_part(job, kept.progress)

    async def _save(self, job: SyncJob, kept: "_Kept", progress: SyncProgress) -> None:
        await self._checkpoints.save(progress, job.writer.token)
        kept.progress = progress

    @contextlib.asynccontextmanager
    async def _kept(self, job: SyncJob, progress: SyncProgress) -> AsyncGenerator["_Kept"]:
        """Write the last checkpoint of an attempt that fails."""
        kept = _Kept(progress)
        try:
            yield kept
        except PenstockError as error:
            status: Literal["paused", "failed"] = "paused" if _may_go_on(error) else "failed"
            ended = kept.progress.ended(status, now=self._now(), message=error.message)
            with contextlib.suppress(PenstockError):  # the first error tells more
                await self._save(job, kept, ended)
            raise

    async def _publish(self, job: SyncJob, progress: SyncProgress) -> SyncOutcome:
        manifest = self._build_manifest(job, progress, is_complete=True)
        manifest.check_against(job.schema)
        report = None
        if job.manifest is not None and job.manifest.is_complete:
            report = await self._restatements.find(job.dataset, job.manifest, manifest)
        await reach("wrds_sync.before_publish")
        await self._write_manifest(job, manifest)
        await self._ledger.record(manifest, report)
        return SyncOutcome(manifest=manifest, copied=tuple(progress.staged), report=report)

    async def _publish_part(self, job: SyncJob, progress: SyncProgress) -> None:
        manifest = self._build_manifest(job, progress, is_complete=False)
        await self._write_manifest(job, manifest)
        await self._ledger.announce(manifest)

    async def _write_manifest(self, job: SyncJob, manifest: SyncManifest) -> None:
        await self._storage.publish(manifest, job.writer.token)
        await reach("wrds_sync.after_publish")
        await self._storage.settle(job.dataset, job.writer.token)
        metrics.SYNCED_AT.labels(job.dataset.name).set(manifest.synced_at.timestamp())

    def _build_manifest(
        self, job: SyncJob, progress: SyncProgress, *, is_complete: bool
    ) -> SyncManifest:
        entries = dict(job.manifest.by_year()) if job.manifest else {}
        entries = {year: item for year, item in entries.items() if year not in job.plan.vanished}
        entries |= {item.year: item for item in progress.staged}
        partitions = tuple(entries[year] for year in sorted(entries))
        now = self._now()
        old = job.manifest
        vintage = vintage_name(now, partitions)
        previous = old.vintage if old and old.is_complete else None
        if old is not None and old.is_complete and has_same_content(old.vintage, vintage):
            # A run that is repeated after its work was done makes no second vintage.
            vintage, previous = old.vintage, old.previous
        # An archive that does not say when has moved now, or nothing would have been copied.
        said = job.info.last_modified
        is_same_text = old is not None and said is not None and old.source_modified == said
        return SyncManifest(
            dataset=job.dataset.name,
            vintage=vintage,
            previous=previous,
            mode=job.mode,
            start_year=min(job.start_year, old.start_year) if old else job.start_year,
            is_complete=is_complete,
            source_table=str(job.selection.table),
            source_modified=job.info.last_modified,
            source_modified_seen_at=old.source_modified_seen_at if old and is_same_text else now,
            synced_at=now,
            written_at=now,
            fencing=job.writer.token.fencing,
            schema_=job.schema,
            partitions=partitions,
        )

    def _now(self) -> datetime:
        return self._clock.now()


class _Kept:
    """The latest checkpoint that is on disk."""

    def __init__(self, progress: SyncProgress) -> None:
        self.progress = progress


def _continues(last: SyncProgress, job: SyncJob) -> bool:
    return last.status != "completed" and last.source_modified == job.info.last_modified


def _may_go_on(error: PenstockError) -> bool:
    return isinstance(error, TransientError) and not isinstance(error, SyncIncompleteError)
