"""Writes batches as a Parquet file, one row group at a time, so that memory does not grow with the
table.
"""

import contextlib
import math
from collections.abc import Sequence
from datetime import date, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from wrds_sync.adapters.durable import disk_errors
from wrds_sync.errors import UnstorableValueError

GROUP_ROWS = 131_072
_COLUMN_BYTES = 1024 * 1024
_LEAST_GROUP_BYTES, _MOST_GROUP_BYTES = 16 * _COLUMN_BYTES, 24 * _COLUMN_BYTES

_COMPRESSION_LEVEL = 1
"""zstd: the third level costs a quarter more time for files that are 2 to 5 % smaller."""

_SAMPLE_ROWS, _SAMPLE_BYTES = 20_000, 2 * 1024 * 1024
"""Counting keeps every different value: of long texts that is twice the group, for nothing."""

_DISTINCT_SHARE = 0.5


def group_bytes(columns: int) -> int:
    """Return at how much Arrow memory a row group is full: about a page of each column.

    Two groups exist at a time: one is filled while the other is encoded. The last one is encoded
    when the archive has said all, and nothing overlaps with it: it is to be short. Of many columns
    short groups are dear.
    """
    return min(max(columns * _COLUMN_BYTES, _LEAST_GROUP_BYTES), _MOST_GROUP_BYTES)


class RowGroups:
    """Collects batches until they make a row group."""

    def __init__(self, *, size: int, rows: int = GROUP_ROWS) -> None:
        self._limit_rows, self._limit_bytes = rows, size
        self._batches: list[pa.RecordBatch] = []
        self._rows = self._bytes = 0

    def add(self, batch: pa.RecordBatch) -> list[pa.RecordBatch] | None:
        """Take a batch; return a group when there is enough for one."""
        self._batches.append(batch)
        self._rows += batch.num_rows
        self._bytes += batch.nbytes
        if self._rows < self._limit_rows and self._bytes < self._limit_bytes:
            return None
        return self.take()

    def take(self) -> list[pa.RecordBatch]:
        """Return what is there, and begin anew."""
        taken, self._batches = self._batches, []
        self._rows = self._bytes = 0
        return taken


class ParquetFile:
    """One new file. Its methods block: call them in a thread, one at a time.

    The file is opened with the first group, whose values decide where a dictionary pays.
    """

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._path = path
        self.schema = schema
        self._sink: pa.NativeFile | None = None
        self._writer: pq.ParquetWriter | None = None

    def write(self, batches: Sequence[pa.RecordBatch]) -> int:
        """Append one row group; return its number of rows.

        Raises:
            DiskFullError: no room.
        """
        group = pa.Table.from_batches(batches, self.schema)
        with disk_errors(self._path.name):
            self._opened(group).write_table(group, row_group_size=max(1, group.num_rows))
        return int(group.num_rows)

    def finish(self) -> None:
        """Write the footer, and close.

        Raises:
            DiskFullError: no room.
        """
        with disk_errors(self._path.name):
            # Not `schema.empty_table()`: it would import pandas, half a second and 40 MB.
            self._opened(pa.Table.from_batches([], self.schema)).close()
            self._close()

    def abandon(self) -> None:
        """Close a file that will not be finished; without a footer nobody takes it for one."""
        with contextlib.suppress(OSError):  # a full disk says so once more
            self._close()
        if self._writer is not None:
            # Else its end writes a footer, which would make half a file look whole.
            self._writer.is_open = False

    def _close(self) -> None:
        if self._sink is not None:
            self._sink.close()

    def _opened(self, first: pa.Table) -> pq.ParquetWriter:
        if self._writer is None:
            self._sink = pa.OSFile(str(self._path), "wb")
            self._writer = pq.ParquetWriter(
                self._sink,
                self.schema,
                compression="zstd",
                compression_level=_COMPRESSION_LEVEL,
                use_dictionary=_with_dictionary(first),
                write_page_checksum=True,
            )
        return self._writer


def _with_dictionary(first: pa.Table) -> list[str]:
    """Choose the columns that repeat their values.

    A dictionary of prices or of free text is built in vain: it overflows, and the values are
    written a second time.
    """
    return [field.name for field in first.schema if _repeats(first.column(field.name))]


def _repeats(column: pa.ChunkedArray) -> bool:
    kind = column.type
    if pa.types.is_decimal(kind) or pa.types.is_floating(kind) or pa.types.is_timestamp(kind):
        return False
    share = min(1.0, _SAMPLE_BYTES / max(1, column.nbytes))
    sample = column.slice(0, min(_SAMPLE_ROWS, math.ceil(share * len(column))))
    distinct = pc.count_distinct(sample, mode="only_valid").as_py()
    return bool(distinct <= _DISTINCT_SHARE * len(sample))


def bounds(path: Path, column: str | None) -> tuple[date | None, date | None]:
    """Return the smallest and the largest date of a column, from the footer's statistics.

    Raises:
        UnstorableValueError: the footer lacks them, so that the file is not what was written.
    """
    metadata = pq.read_metadata(path)
    if column is None or column not in metadata.schema.names or metadata.num_rows == 0:
        return None, None
    index = metadata.schema.names.index(column)
    groups = [metadata.row_group(g).column(index) for g in range(metadata.num_row_groups)]
    ranges = [(s.min, s.max) for c in groups if (s := c.statistics) is not None and s.has_min_max]
    if not ranges:
        raise UnstorableValueError(f"`{column}` holds no date", column=column)
    return _day(min(low for low, _ in ranges)), _day(max(high for _, high in ranges))


def _day(value: date | datetime) -> date:
    return value.date() if isinstance(value, datetime) else value
