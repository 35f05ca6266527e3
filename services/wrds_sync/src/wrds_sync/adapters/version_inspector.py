"""Reads what a Parquet file really holds: the check before publication, and the comparison of two
versions.

Both work on hashes, a column and a bucket of rows at a time (see `row_buckets`), so memory depends
neither on the width nor on the number of rows. The hashes are of this process only; nothing of them
is kept. Two different rows with equal hashes would hide a difference; of a hundred million rows
that happens once in four thousand comparisons.
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from wrds_sync.adapters.row_buckets import Dealt, Pile, Shelf, bucket_count
from wrds_sync.domain.datasets import Dataset
from wrds_sync.domain.restatements import PartitionChange
from wrds_sync.domain.validation import Inspection
from wrds_sync.errors import ChecksumError

if TYPE_CHECKING:
    from wrds_sync.adapters.row_buckets import Numbers

_EXAMPLES = 5
_BATCH_ROWS = 65536

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
                duplicate_keys=_count_duplicates(file, dataset.rules.key, path.parent),
                lower=lower,
                upper=upper,
            )
    except FileNotFoundError:
        raise  # nobody broke it: another writer swept it away
    except (pa.ArrowException, OSError) as error:
        raise ChecksumError(f"`{path.name}` is no readable Parquet: {error}") from error


def _count_nulls(file: pq.ParquetFile, name: str) -> int:
    return sum(batch.column(0).null_count for batch in _batches(file, [name]))


def _count_duplicates(file: pq.ParquetFile, key: Sequence[str], folder: Path) -> int:
    if not key or not set(key) <= set(file.schema_arrow.names):
        return 0
    rows = file.metadata.num_rows
    count = bucket_count(rows)
    with Dealt(folder, count) as dealt:
        dealt.deal(_hashes(file, key))
        buckets = map(dealt.hashes.take, range(count))
        return int(rows - sum(pl.Series(bucket).n_unique() for bucket in buckets))


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


def _hashes(file: pq.ParquetFile, columns: Sequence[str]) -> Iterator["Numbers"]:
    """Yield a hash of these columns for every row, batch by batch."""
    for batch in _batches(file, columns):
        frame = pl.from_arrow(batch)
        yield frame.select(pl.col(columns)).hash_rows().to_numpy()  # type: ignore[union-attr]


def compare_files(
    before: Path | None, after: Path | None, *, dataset: Dataset, year: int
) -> PartitionChange:
    """Return how two versions of a partition differ."""
    folder = (after or before or Path()).parent
    with contextlib.closing(_Version(before)) as old, contextlib.closing(_Version(after)) as new:
        key = dataset.rules.key
        if key and old.has(key) and new.has(key):
            return _KeyedComparison(old, new, key, folder=folder).run(year)
        return _compare_rows(old, new, year, folder=folder)


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

    def hashes(self, columns: Sequence[str]) -> Iterator["Numbers"]:
        return _hashes(self.file, columns) if self.file else iter(())

    def close(self) -> None:
        if self.file is not None:
            self.file.close()


def _shared(old: _Version, new: _Version) -> list[str]:
    """Return the columns that both versions have; a new column restates nothing."""
    names = new.columns if old.columns is None else old.columns
    others = set(new.columns if new.columns is not None else names or [])
    return [name for name in names or [] if name in others]


def _compare_rows(old: _Version, new: _Version, year: int, *, folder: Path) -> PartitionChange:
    """Compare as sets with repetition: without a key nothing says which row became which."""
    columns = _shared(old, new)
    count = bucket_count(max(old.rows, new.rows))
    added = removed = 0
    with Dealt(folder, count) as before, Dealt(folder, count) as after:
        before.deal(old.hashes(columns))
        after.deal(new.hashes(columns))
        for bucket in range(count):
            more, fewer = _count_other(before.hashes.take(bucket), after.hashes.take(bucket))
            added, removed = added + more, removed + fewer
    return PartitionChange(
        year=year,
        rows_before=old.rows,
        rows_after=new.rows,
        added=added,
        removed=removed,
        changed=0,
    )


def _count_other(before: "Numbers", after: "Numbers") -> tuple[int, int]:
    """Return how many there are more after, and how many before."""
    counts = _counted(before, "before").join(
        _counted(after, "after"), on="row", how="full", coalesce=True
    )
    difference = pl.col("after").fill_null(0) - pl.col("before").fill_null(0)
    told = counts.select(
        added=difference.clip(lower_bound=0).sum(), removed=(-difference).clip(lower_bound=0).sum()
    )
    return int(told.item(0, "added") or 0), int(told.item(0, "removed") or 0)


def _counted(rows: "Numbers", name: str) -> pl.DataFrame:
    frame = pl.DataFrame({"row": rows}, schema={"row": pl.UInt64})
    return frame.group_by("row").agg(pl.len().cast(pl.Int64).alias(name))


class _KeyedComparison:
    """Finds for each row of one version the row with its key in the other, then what differs."""

    def __init__(self, old: _Version, new: _Version, key: Sequence[str], *, folder: Path) -> None:
        self._old, self._new, self._key, self._folder = old, new, key, folder
        self._count = bucket_count(max(old.rows, new.rows))
        self._changed: list[Numbers] = []
        """Of each bucket's pairs, a bit each."""

    def run(self, year: int) -> PartitionChange:
        """Compare column by column."""
        old, new = self._old, self._new
        values = [name for name in _shared(old, new) if name not in self._key]
        with (
            Dealt(self._folder, self._count) as before,
            Dealt(self._folder, self._count) as after,
            _Pairs(self._folder) as pairs,
        ):
            before.deal(old.hashes(self._key))
            after.deal(new.hashes(self._key))
            for bucket in range(self._count):
                pairs.join(before.hashes.take(bucket), after.hashes.take(bucket))
            self._changed = [np.packbits(np.zeros(n, np.bool_)) for n in pairs.lengths]
            by_column = {name: self._compare(name, before, after, pairs) for name in values}
            with before.lay(before.numbered()) as places:
                removed, examples = self._missing(places, pairs)
        return PartitionChange(
            year=year,
            rows_before=old.rows,
            rows_after=new.rows,
            added=new.rows - sum(pairs.lengths),
            removed=removed,
            changed=sum(int(np.unpackbits(bits).sum()) for bits in self._changed),
            changed_columns={name: count for name, count in by_column.items() if count},
            examples=tuple(_keys_at(old, self._key, examples)),
        )

    def _compare(self, name: str, before: Dealt, after: Dealt, pairs: "_Pairs") -> int:
        """Return in how many pairs a column differs, and note which."""
        differing = 0
        with (
            before.lay(self._old.hashes([name])) as one,
            after.lay(self._new.hashes([name])) as other,
        ):
            for bucket in range(self._count):
                at, at_after = pairs.take(bucket)
                differs = one.take(bucket)[at] != other.take(bucket)[at_after]
                differing += int(differs.sum())
                self._changed[bucket] |= np.packbits(differs)
        return differing

    def _missing(self, places: Shelf, pairs: "_Pairs") -> tuple[int, list[int]]:
        """Return how many rows have no pair, and where the first few are that changed or went."""
        removed, first = 0, np.empty(0, np.uint64)
        for bucket in range(self._count):
            place, (at, _) = places.take(bucket), pairs.take(bucket)
            is_touched = np.ones(len(place), np.bool_)
            is_touched[at] = False
            removed += int(is_touched.sum())
            is_touched[at[np.unpackbits(self._changed[bucket], count=len(at)) > 0]] = True
            first = np.sort(np.concatenate((first, place[is_touched])))[:_EXAMPLES]
        return removed, [int(place) for place in first]


class _Pairs(Pile):
    """Which row of a bucket has the key of which in the other version's bucket."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, np.uint32)
        self.lengths: list[int] = []
        self._starts: list[int] = []

    def join(self, before: "Numbers", after: "Numbers") -> None:
        """Find the pairs of the next bucket."""
        joined = _keyed(before).join(_keyed(after), on="key", suffix="_after")
        self._starts.append(self.length)
        self.lengths.append(joined.height)
        self.append(joined["at"].to_numpy())
        self.append(joined["at_after"].to_numpy())

    def take(self, bucket: int) -> tuple["Numbers", "Numbers"]:
        """Return a bucket's pairs."""
        start, length = self._starts[bucket], self.lengths[bucket]
        return self.read(start, length), self.read(start + length, length)


def _keyed(hashes: "Numbers") -> pl.DataFrame:
    frame = pl.DataFrame({"key": hashes}, schema={"key": pl.UInt64})
    return frame.with_columns(pl.int_range(pl.len(), dtype=pl.UInt32).alias("at"))


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
