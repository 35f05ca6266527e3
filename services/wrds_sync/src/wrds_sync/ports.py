"""What the mirror asks of the archive, the storage and the machine.

Adapters in `wrds_sync.adapters` answer; `wrds_sync.app` joins them.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import polars as pl
import pyarrow as pa

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
