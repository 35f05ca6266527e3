"""One partition, from the archive to a file that a manifest may name."""

import asyncio
import contextlib
import errno
from collections.abc import AsyncGenerator, Callable
from pathlib import Path

from chassis.clock import Clock
from chassis.failpoints import reach
from chassis.logs import get_logger
from wrds_sync import metrics
from wrds_sync.domain.alerts import Alert
from wrds_sync.domain.datasets import Dataset
from wrds_sync.domain.disk import assess
from wrds_sync.domain.manifest import PartitionEntry
from wrds_sync.domain.schema import DatasetSchema
from wrds_sync.domain.tables import CopyResult, PartitionRange, PartitionStatistics, Selection
from wrds_sync.domain.validation import DataValidator
from wrds_sync.errors import (
    ChecksumError,
    DiskFullError,
    LockLostError,
    UnstorableValueError,
    ValidationError,
)
from wrds_sync.handlers.alerts import alert, alert_disk
from wrds_sync.handlers.grouped import decisive
from wrds_sync.handlers.sessions import Writer
from wrds_sync.ports import Inspector, OnProgress, ProgressNote, Source, Storage, StoredFile

NOTE_SECONDS = 0.5
DISK_RETRY_SECONDS = 600.0
"""Between attempts while only a person can make room."""


class PartitionCopier:
    """Copies, checks and stores; leaves nothing behind when it fails."""

    def __init__(
        self,
        source: Source,
        storage: Storage,
        inspector: Inspector,
        *,
        validator: DataValidator,
        clock: Clock,
    ) -> None:
        self._source = source
        self._storage = storage
        self._inspector = inspector
        self._validator = validator
        self._clock = clock

    async def check_disk(self, required_bytes: int, *, dataset: str) -> None:
        """Make sure that so many bytes may be written.

        Raises:
            DiskFullError: the disk is at 95 %, or less than twice the bytes are free.
        """
        status = assess(await self._storage.disk(), required_bytes)
        alert_disk(status, dataset=dataset)
        if not status.may_write:
            raise DiskFullError(
                f"{dataset}: {required_bytes} bytes are to be written and "
                f"{status.usage.free_bytes} are free ({status.usage.used_share:.0%} used)",
                retry_after=DISK_RETRY_SECONDS,
                level=status.level.value,
            )

    async def copy(
        self,
        writer: Writer,
        selection: Selection,
        schema: DatasetSchema,
        *,
        statistics: PartitionStatistics,
        previous: PartitionEntry | None,
        on_rows: "RowReporter",
    ) -> PartitionEntry:
        """Return the entry of a stored partition.

        Raises:
            ValidationError: the file breaks a rule; it is quarantined.
            ChecksumError: storage changed the bytes; the file is quarantined.
            DiskFullError: no room; what was written is quarantined or removed.
            TransientError: the archive did not deliver; nothing is left behind.
        """
        dataset, year = writer.dataset, statistics.year
        staged = self._storage.staging_path(dataset, year, token=writer.token)
        async with self._cleaned(dataset, year, staged):
            async with on_rows.reporting(year, statistics.rows) as told:
                result = await self._source.copy(
                    selection, PartitionRange.of_year(year), target=staged, on_rows=told
                )
            await reach("wrds_sync.after_copy")
            await self._validate(dataset, staged, result, previous=previous, year=year)
            stored = await self._storage.store(staged, dataset, year)
            await reach("wrds_sync.after_store")
        metrics.ROWS.labels(dataset.name).inc(result.rows)
        return self._entry(dataset, schema, result, stored=stored, statistics=statistics)

    async def _validate(
        self,
        dataset: Dataset,
        staged: Path,
        result: CopyResult,
        *,
        previous: PartitionEntry | None,
        year: int,
    ) -> None:
        problems = self._validator.check(
            dataset,
            await self._inspector.inspect(staged, dataset),
            expected_rows=result.rows,
            expected_columns={item.name: item.stored_type for item in result.columns},
            partition=PartitionRange.of_year(year),
            previous=previous,
        )
        if problems:
            raise ValidationError(f"{dataset.name} {year}: {'; '.join(problems)}")

    def _entry(
        self,
        dataset: Dataset,
        schema: DatasetSchema,
        result: CopyResult,
        *,
        stored: StoredFile,
        statistics: PartitionStatistics,
    ) -> PartitionEntry:
        return PartitionEntry(
            year=statistics.year,
            path=dataset.path_of(statistics.year),
            object=stored.object,
            rows=result.rows,
            size_bytes=stored.size_bytes,
            sha256=stored.sha256,
            md5=stored.md5,
            content_hash=statistics.content_hash,
            source_rows=statistics.rows,
            lower=result.lower.isoformat() if result.lower else None,
            upper=result.upper.isoformat() if result.upper else None,
            schema_version=schema.version,
            written_at=self._clock.now(),
        )

    @contextlib.asynccontextmanager
    async def _cleaned(self, dataset: Dataset, year: int, staged: Path) -> AsyncGenerator[None]:
        """Leave no temporary file behind, whatever happens in the body."""
        try:
            yield
        except (ValidationError, ChecksumError, UnstorableValueError) as error:
            metrics.PARTITIONS.labels(dataset.name, "rejected").inc()
            if isinstance(error, ChecksumError):
                alert(Alert.CHECKSUM_MISMATCH, dataset=dataset.name, year=year)
            await self._quarantine(dataset, staged, error.message)
            raise
        except DiskFullError:
            await self._disk_is_full(dataset, year, staged)
            raise
        except FileNotFoundError as error:
            # Only a writer that has taken over removes our files.
            raise LockLostError(dataset=dataset.name, year=year) from error
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            await self._disk_is_full(dataset, year, staged)
            raise DiskFullError(
                f"{dataset.name} {year}: no room on the disk", retry_after=DISK_RETRY_SECONDS
            ) from error
        finally:
            await self._storage.discard(staged)

    async def _disk_is_full(self, dataset: Dataset, year: int, staged: Path) -> None:
        usage = await self._storage.disk()
        alert(
            Alert.DISK_BLOCKED,
            dataset=dataset.name,
            year=year,
            used_share=round(usage.used_share, 4),
            free_bytes=usage.free_bytes,
        )
        await self._quarantine(dataset, staged, "no room on the disk")

    async def _quarantine(self, dataset: Dataset, staged: Path, reason: str) -> None:
        place = await self._storage.quarantine(
            staged, operation=f"{dataset.name}_sync", reason=reason
        )
        get_logger().warning(
            "partition_quarantined",
            dataset=dataset.name,
            reason=reason,
            folder=place.name if place else None,
        )


class RowReporter:
    """Turns the copy's quiet row counts into notes, twice a second."""

    def __init__(self, dataset: str, on_progress: OnProgress | None, *, total: int) -> None:
        self._dataset = dataset
        self._on_progress = on_progress
        self._total = total
        self.done = 0

    @contextlib.asynccontextmanager
    async def reporting(self, year: int, expected: int) -> AsyncGenerator[Callable[[int], None]]:
        """Report while the body copies; a note that raises stops the copy."""
        rows = 0

        def told(count: int) -> None:
            nonlocal rows
            rows = count

        async def tick() -> None:
            while True:
                await self.tell(year, rows, expected)
                await asyncio.sleep(NOTE_SECONDS)

        try:
            async with asyncio.TaskGroup() as group:
                ticking = group.create_task(tick())
                yield told
                ticking.cancel()
        except BaseExceptionGroup as errors:
            error = decisive(errors)
            raise error from error.__cause__

    async def tell(self, year: int, rows: int, expected: int | None) -> None:
        """Send one note."""
        if self._on_progress is not None:
            await self._on_progress(
                ProgressNote(
                    dataset=self._dataset,
                    year=year,
                    rows=rows,
                    expected_rows=expected,
                    done=self.done,
                    total=self._total,
                )
            )
