"""What the mirror asks of the archive, the storage and the machine.

Adapters in `wrds_sync.adapters` answer; `wrds_sync.app` joins them.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Protocol

import polars as pl
import pyarrow as pa

from chassis.drift import Drift, Standing
from wrds_sync.domain.datasets import Dataset
from wrds_sync.domain.disk import DiskUsage
from wrds_sync.domain.locks import LockToken
from wrds_sync.domain.manifest import PartitionEntry, SyncManifest
from wrds_sync.domain.restatements import PartitionChange, RestatementReport
from wrds_sync.domain.tables import (
    CatalogEntry,
    CopyResult,
    Credential,
    PartitionRange,
    PartitionStatistics,
    Selection,
    TableInfo,
    TableRef,
)
from wrds_sync.domain.validation import Inspection

OnRows = Callable[[int], None]
"""Told how many rows of the copy are written so far; cheap, never blocks."""


class Credentials(Protocol):
    """Where the log-on comes from; asked again for every new connection, so that a rotated
    password works without a restart.
    """

    def read(self) -> Credential:
        """Return the present log-on.

        Raises:
            SourceRefusedError: there is none.
        """
        ...


class Source(Protocol):
    """The archive: PostgreSQL at WRDS, read only.

    Every call waits for the rate limit, has a deadline, and repeats a lost connection three times
    with exponential back-off before it raises.

    Raises (all calls):
        SourceUnavailableError: no answer, or the connection was lost.
        QueryTimeoutError: the statement ran too long and was cancelled at the server.
        SourceRefusedError: log-on, rights or object refused.
    """

    async def list_tables(self, schemas: Sequence[str]) -> list[CatalogEntry]:
        """Return the tables and views of schemas, with this account's right to read. One query."""
        ...

    async def table_info(
        self, table: TableRef, *, types: Mapping[str, str] | None = None
    ) -> TableInfo:
        """Return columns, types, comment and estimates. One query.

        Args:
            table: Which table.
            types: Column → Arrow type where the configuration declares one (`Selection.types`).
        """
        ...

    async def statistics(
        self,
        selection: Selection,
        *,
        with_hash: bool = False,
        since_year: int | None = None,
    ) -> list[PartitionStatistics]:
        """Return row counts by year, ascending, in one query whatever the number of years.

        Rows without a date belong to no year and are an `UnstorableValueError`.

        Args:
            selection: Which rows and columns.
            with_hash: Whether to hash every selected value, too; reads all of the table.
            since_year: Only partitions of that year and later.
        """
        ...

    async def copy(
        self,
        selection: Selection,
        partition: PartitionRange,
        *,
        target: Path,
        on_rows: OnRows | None = None,
    ) -> CopyResult:
        """Write one partition to a new Parquet file, in bounded memory, types exact.

        The caller chose `target`, renames it later and removes it after a failure. Cancelling
        the call cancels the statement at the server.

        Raises:
            UnstorableValueError: a value fits no exact type; names the column.
            DiskFullError: no room at `target`.
        """
        ...

    def stream(
        self, selection: Selection, partition: PartitionRange
    ) -> AsyncIterator[pa.RecordBatch]:
        """Yield one partition's rows as Arrow batches, without a file."""
        ...

    async def execute_query(self, sql: str, parameters: Sequence[object] = ()) -> pl.DataFrame:
        """Run a read-only statement with `$1`-style parameters and return its rows."""
        ...

    async def close(self) -> None:
        """Give back the connections; at most a few seconds."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFile:
    """A file that is on stable storage under a name it keeps."""

    object: str
    size_bytes: int
    sha256: str
    md5: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LockState:
    """A lock, for people."""

    dataset: str
    token: LockToken | None
    """None where the file is not readable as a lock."""

    is_stale: bool
    reason: str


class Locks(Protocol):
    """One writer a data set, on the volume that the writers share."""

    async def acquire(
        self, dataset: str, *, timeout_seconds: float, above: int, lease_token: int | None
    ) -> LockToken:
        """Take the lock.

        Raises:
            LockAcquisitionError: another writer held it all the time.
        """
        ...

    async def refresh(self, token: LockToken) -> LockToken:
        """Extend the expiry.

        Raises:
            LockLostError: another writer has taken over.
        """
        ...

    async def release(self, token: LockToken) -> None:
        """Give the lock back; harmless when it was lost."""
        ...

    async def states(self) -> list[LockState]:
        """Return every lock that stands, by data set."""
        ...

    async def force_unlock(self, dataset: str) -> LockToken | None:
        """Remove the lock whoever holds it; return what stood there."""
        ...


class Authority(Protocol):
    """The lease in PostgreSQL, which decides between hosts that share no volume."""

    def holding(
        self, dataset: str, *, timeout_seconds: float
    ) -> AbstractAsyncContextManager[int | None]:
        """Hold the data set's lease; yields its token, None where there is no database.

        The body is cancelled and `LockLostError` raised when the lease is lost.

        Raises:
            LockAcquisitionError: another writer held it all the time.
        """
        ...


class Documents(Protocol):
    """Small texts beside the data: progress, schemas, reports. Written whole or not at all."""

    async def read(self, key: str) -> str | None:
        """Return a text; None if there is none."""
        ...

    async def write(self, key: str, text: str, *, token: LockToken | None = None) -> None:
        """Replace a text, durably.

        Args:
            key: Its name below the root.
            text: Its new content.
            token: If given, written only while this writer still holds the data set.

        Raises:
            LockLostError: another writer has taken over.
            DiskFullError: no room.
        """
        ...

    async def list_keys(self, prefix: str) -> list[str]:
        """Return the names below a prefix, sorted."""
        ...


class Storage(Protocol):
    """Where the mirror lies. A manifest is the commit point; files it names never change."""

    @property
    def documents(self) -> Documents:
        """The small texts."""
        ...

    def staging_path(self, dataset: Dataset, year: int, *, token: LockToken) -> Path:
        """Return where to write a partition first: a `.parquet.tmp` of this writer alone."""
        ...

    async def discard(self, staged: Path) -> None:
        """Remove a temporary file; removing nothing is fine."""
        ...

    async def store(self, staged: Path, dataset: Dataset, year: int) -> StoredFile:
        """Checksum, sync and rename a finished file to its final, content-addressed name.

        Raises:
            ChecksumError: what was stored is not what was written; the file stays for quarantine.
            DiskFullError: no room.
            DiskFailedError: the disk does not work.
        """
        ...

    async def read_manifest(self, dataset: str, vintage: str | None = None) -> SyncManifest | None:
        """Return the present manifest, or a kept vintage's.

        Raises:
            ManifestError: it cannot be read.
        """
        ...

    async def vintages(self, dataset: str) -> list[str]:
        """Return the names of the kept vintages, oldest first."""
        ...

    async def claim(self, dataset: str, token: LockToken) -> None:
        """Announce a new writer: from here on no publication of an earlier one succeeds."""
        ...

    async def publish(self, manifest: SyncManifest, token: LockToken) -> None:
        """Replace the manifest, atomically, if this writer still holds the data set.

        Raises:
            LockLostError: another writer has taken over.
            DiskFullError: no room.
        """
        ...

    async def settle(self, dataset: Dataset, token: LockToken) -> None:
        """Make what readers see agree with the manifest, and remove what dead writers left."""
        ...

    async def check(self, entry: PartitionEntry, *, deep: bool) -> list[str]:
        """Return what is wrong with a partition's file; `deep` reads it and compares checksums."""
        ...

    async def strangers(self, manifest: SyncManifest, dataset: Dataset) -> list[str]:
        """Return visible files that the manifest does not name."""
        ...

    async def local_copy(self, key: str) -> Path:
        """Return a local file with an object's content; for inspection and comparison."""
        ...

    async def quarantine(self, path: Path, *, operation: str, reason: str) -> Path | None:
        """Move a bad file out of the way, with the reason; None if it is gone or does not fit."""
        ...

    async def purge(self, token: LockToken, *, keep_vintages: int) -> int:
        """Remove superseded vintages and files that no kept manifest names; return how many.

        Raises:
            LockLostError: another writer has taken over, whose files must stay.
        """
        ...

    async def purge_quarantine(self, *, before: datetime) -> int:
        """Remove quarantined files older than that; return how many folders."""
        ...

    async def disk(self) -> DiskUsage:
        """Return how full the disk is to which files are written."""
        ...

    def reader_url(self, key: str) -> str:
        """Return where a reader opens an object."""
        ...


class Inspector(Protocol):
    """Reads what a file really holds."""

    async def inspect(self, path: Path, dataset: Dataset) -> Inspection:
        """Read footer, keys and required columns, in bounded memory.

        Raises:
            ChecksumError: the file is no readable Parquet.
        """
        ...

    async def compare(
        self, before: Path | None, after: Path | None, *, dataset: Dataset, year: int
    ) -> PartitionChange:
        """Return how two versions of a partition differ; None stands for no rows."""
        ...


class SessionCalendar(Protocol):
    """When the exchange trades."""

    async def last_session_due(self, now: datetime) -> date | None:
        """Return the latest session whose data should be here by now (8 AM ET the next day)."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgressNote:
    """How far a sync is."""

    dataset: str
    year: int
    rows: int
    """Of this partition, so far."""

    expected_rows: int | None
    done: int
    """Partitions that are finished."""

    total: int


OnProgress = Callable[[ProgressNote], Awaitable[None]]
"""Told about every half second and after every partition; may raise to stop the sync."""


class Ledger(Protocol):
    """What other services learn of a sync; in the database where there is one."""

    async def record(self, manifest: SyncManifest, report: RestatementReport | None) -> None:
        """Record a vintage, and announce its partitions and what it restates; what was announced
        before is not announced again.
        """
        ...

    async def announce(self, manifest: SyncManifest) -> None:
        """Announce the partitions of a first sync that are visible while others are still due."""
        ...

    async def drifted(self, drift: Drift) -> Standing:
        """Enter a change of columns into the inbox; return what was decided about it, if it was."""
        ...


class Backup(Protocol):
    """A copy of the mirror elsewhere, by rclone."""

    async def run(self) -> int:
        """Copy; return rclone's exit code."""
        ...

    async def restore(self, target: Path) -> int:
        """Copy everything back into a folder; return rclone's exit code."""
        ...
