"""Reads what a Parquet file really holds: the check before publication, and the comparison of two
versions.

Both work column by column on hashes, so memory is a few bytes a row whatever the width. The hashes
are of this process only; nothing of them is kept. Two different rows with equal hashes would hide
a difference; of a hundred million rows that happens once in four thousand comparisons.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from wrds_sync.domain.datasets import Dataset
from wrds_sync.domain.restatements import PartitionChange
from wrds_sync.domain.validation import Inspection
from wrds_sync.errors import ChecksumError

_EXAMPLES = 5
_BATCH_ROWS = 65536
_JOINED_ROWS = 250_000

Result = TypeVar("Result")


class VersionInspector:
    """Inspects one file at a time."""

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="inspect")

    async def inspect(self, path: Path, dataset: Dataset) -> Inspection:
        """Read footer, keys and required columns."""
        return await self._run(lambda: _inspect(path, dataset))

    async def compare(
        self, before: Path | None, after: Path | None, *, dataset: Dataset, year: int
    ) -> PartitionChange:
        """Return how two versions of a partition differ."""
        return await self._run(lambda: compare_files(before, after, dataset=dataset, year=year))

    async def _run(self, action: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._executor, action)


def _inspect(path: Path, dataset: Dataset) -> Inspection:
    try:
        with pq.ParquetFile(path) as file:
            names = file.schema_arrow.names
            lower, upper = _bounds(file, dataset.selection.date_column)
            return Inspection(
                rows=file.metadata.num_rows,
                columns={field.name: str(field.type) for field in file.schema_arrow},
                nulls={
                    name: _count_nulls(file, name)
                    for name in dataset.rules.required
                    if name in names
                },
                duplicate_keys=_count_duplicates(file, dataset.rules.key),
                lower=lower,
                upper=upper,
            )
    except FileNotFoundError:
        raise  # nobody broke it: another writer swept it away
    except (pa.ArrowException, OSError) as error:
        raise ChecksumError(f"`{path.name}` is no readable Parquet: {error}") from error


def _count_nulls(file: pq.ParquetFile, name: str) -> int:
    return sum(batch.column(0).null_count for batch in _batches(file, [name]))


def _count_duplicates(file: pq.ParquetFile, key: Sequence[str]) -> int:
    if not key or not set(key) <= set(file.schema_arrow.names):
        return 0
    hashes = _hashes(file, key)
    return len(hashes) - hashes.n_unique()


def _bounds(file: pq.ParquetFile, column: str | None) -> tuple[date | None, date | None]:
    """Return the smallest and the largest date, from the data and not from the statistics."""
    if column is None or column not in file.schema_arrow.names:
        return None, None
    lows: list[date] = []
    highs: list[date] = []
    for batch in _batches(file, [column]):
        values = pl.Series(batch.column(0))
        low, high = values.min(), values.max()
        if low is not None and high is not None:
            lows.append(_as_date(low))
            highs.append(_as_date(high))
    return min(lows, default=None), max(highs, default=None)


def _as_date(value: Any) -> date:
    if isinstance(value, datetime):
        return value.date()
    if isinstance(value, date):
        return value
    return date(int(value), 1, 1)


def _batches(file: pq.ParquetFile, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    yield from file.iter_batches(batch_size=_BATCH_ROWS, columns=list(columns), use_threads=False)


def _hashes(file: pq.ParquetFile, columns: Sequence[str]) -> pl.Series:
    """Return a hash of these columns for every row."""
    parts = [
        pl.from_arrow(batch).select(pl.col(columns)).hash_rows()  # type: ignore[union-attr]
        for batch in _batches(file, columns)
    ]
    return pl.concat(parts) if parts else pl.Series(dtype=pl.UInt64)


def compare_files(
    before: Path | None, after: Path | None, *, dataset: Dataset, year: int
) -> PartitionChange:
    """Return how two versions of a partition differ."""
    old, new = _Version(before), _Version(after)
    try:
        if dataset.rules.key and old.has(dataset.rules.key) and new.has(dataset.rules.key):
            return _compare_by_key(old, new, dataset.rules.key, year)
        return _compare_rows(old, new, year)
    finally:
        old.close()
        new.close()


class _Version:
    """One version's file, or none."""

    def __init__(self, path: Path | None) -> None:
        self.file = pq.ParquetFile(path) if path else None

    @property
    def columns(self) -> list[str] | None:
        return self.file.schema_arrow.names if self.file else None

    @property
    def rows(self) -> int:
        return int(self.file.metadata.num_rows) if self.file else 0

    def has(self, columns: Sequence[str]) -> bool:
        return self.columns is None or set(columns) <= set(self.columns)

    def hashes(self, columns: Sequence[str]) -> pl.Series:
        return _hashes(self.file, columns) if self.file else pl.Series(dtype=pl.UInt64)

    def close(self) -> None:
        if self.file is not None:
            self.file.close()


def _shared(old: _Version, new: _Version) -> list[str]:
    """Return the columns that both versions have; a new column restates nothing."""
    names = new.columns if old.columns is None else old.columns
    others = set(new.columns if new.columns is not None else names or [])
    return [name for name in names or [] if name in others]


def _compare_rows(old: _Version, new: _Version, year: int) -> PartitionChange:
    """Compare as sets with repetition: without a key nothing says which row became which."""
    columns = _shared(old, new)
    counts = _counted(old, columns, "before").join(
        _counted(new, columns, "after"), on="row", how="full", coalesce=True
    )
    difference = pl.col("after").fill_null(0).cast(pl.Int64) - pl.col("before").fill_null(0).cast(
        pl.Int64
    )
    told = counts.select(
        added=difference.clip(lower_bound=0).sum(), removed=(-difference).clip(lower_bound=0).sum()
    )
    return PartitionChange(
        year=year,
        rows_before=old.rows,
        rows_after=new.rows,
        added=int(told.item(0, "added") or 0),
        removed=int(told.item(0, "removed") or 0),
        changed=0,
    )


def _counted(version: _Version, columns: Sequence[str], name: str) -> pl.DataFrame:
    frame = pl.DataFrame({"row": version.hashes(columns)}, schema={"row": pl.UInt64})
    return frame.group_by("row").agg(pl.len().cast(pl.Int64).alias(name))


def _compare_by_key(old: _Version, new: _Version, key: Sequence[str], year: int) -> PartitionChange:
    values = [name for name in _shared(old, new) if name not in key]
    pairs = _pairs(_keyed(old, key), _keyed(new, key))
    changed = pl.zeros(len(pairs), dtype=pl.UInt32, eager=True).cast(pl.Boolean)
    by_column: dict[str, int] = {}
    for name in values:
        one = old.hashes([name]).gather(pairs["at"])
        other = new.hashes([name]).gather(pairs["at_after"])
        differs = one != other
        if count := int(differs.sum()):
            by_column[name] = count
            changed |= differs
    removed = _unpaired(old.rows, pairs["at"])
    touched = pl.concat([pairs.filter(changed)["at"], removed]).sort().head(_EXAMPLES)
    return PartitionChange(
        year=year,
        rows_before=old.rows,
        rows_after=new.rows,
        added=new.rows - len(pairs),
        removed=len(removed),
        changed=int(changed.sum()),
        changed_columns=by_column,
        examples=tuple(_keys_at(old, key, touched.to_list())),
    )


def _pairs(before: pl.DataFrame, after: pl.DataFrame) -> pl.DataFrame:
    """Return where the rows of one key stand in both versions.

    A part of the keys at a time: a join needs many times the memory of what it joins.
    """
    parts = max(before.height, after.height) // _JOINED_ROWS + 1
    of_part = [pl.col("key") % parts == number for number in range(parts)]
    return pl.concat(
        before.filter(part).join(after.filter(part), on="key", suffix="_after").drop("key")
        for part in of_part
    )


def _unpaired(rows: int, paired: pl.Series) -> pl.Series:
    """Return the places, of so many, that are not paired."""
    is_alone = np.ones(rows, dtype=bool)
    is_alone[paired.to_numpy()] = False
    return pl.Series(np.flatnonzero(is_alone), dtype=pl.UInt32)


def _keyed(version: _Version, key: Sequence[str]) -> pl.DataFrame:
    hashes = version.hashes(key)
    places = pl.int_range(len(hashes), dtype=pl.UInt32, eager=True)
    return pl.DataFrame({"key": hashes, "at": places}, schema={"key": pl.UInt64, "at": pl.UInt32})


def _keys_at(version: _Version, key: Sequence[str], places: list[int]) -> Iterator[str]:
    if version.file is None or not places:
        return
    wanted = iter(places)
    place = next(wanted)
    seen = 0
    for batch in _batches(version.file, key):
        while place < seen + batch.num_rows:
            row = batch.slice(place - seen, 1).to_pylist()[0]
            yield ", ".join(f"{name}={row[name]}" for name in key)
            following = next(wanted, None)
            if following is None:
                return
            place = following
        seen += batch.num_rows
