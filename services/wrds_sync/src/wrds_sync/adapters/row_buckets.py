"""Numbers of the rows of a file, one or more a row, dealt into buckets on disk, so that only one
bucket of them is in memory at a time, however many rows there are.

Rows are dealt by a hash of their key, so that equal keys of two files are in the same bucket. The
files have no name: nobody sees them, and nothing of them is left behind by a crash.
"""

import contextlib
import os
from collections.abc import Generator, Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Any, Self, TypeAlias

import numpy as np

from wrds_sync.adapters.durable import disk_errors

if TYPE_CHECKING:
    Numbers: TypeAlias = np.ndarray[tuple[int], np.dtype[Any]]

BUCKET_ROWS = 250_000
"""A join needs many times the memory of what it joins."""


def bucket_count(rows: int) -> int:
    """Return into how many buckets so many rows are to be dealt."""
    return rows // BUCKET_ROWS + 1


class Pile:
    """Numbers of one kind, one after the other in a file."""

    def __init__(self, folder: Path, kind: type[np.unsignedinteger[Any]]) -> None:
        self._kind = np.dtype(kind)
        self._name = folder.name
        # No buffer: after a full disk, closing would try to write what is left in it.
        self._file = TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115 - closed by `close`
        self.length = 0

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Free the space."""
        self.close()

    def close(self) -> None:
        """Free the space."""
        self._file.close()

    def append(self, numbers: "Numbers") -> None:
        """Put numbers on top.

        Raises:
            DiskFullError: no room.
        """
        with disk_errors(self._name):
            left = memoryview(numbers.astype(self._kind, copy=False).tobytes())
            while left:
                left = left[self._file.write(left) :]
        self.length += len(numbers)

    def read(self, start: int, length: int) -> "Numbers":
        """Return so many numbers from a place on."""
        size = self._kind.itemsize
        return np.frombuffer(os.pread(self._file.fileno(), length * size, start * size), self._kind)


class Shelf(Pile):
    """A number of each row, to be taken by bucket; within a bucket in the order of the rows."""

    def __init__(self, folder: Path, count: int) -> None:
        super().__init__(folder, np.uint64)
        self._count = count
        self._borders: list[Numbers] = []

    def add(self, buckets: "Numbers", numbers: "Numbers") -> None:
        """Lay away the numbers of some rows, whose buckets are told."""
        counts = np.bincount(buckets, minlength=self._count)
        self._borders.append(np.concatenate(([0], np.cumsum(counts))) + self.length)
        self.append(numbers[np.argsort(buckets, kind="stable")])

    def take(self, bucket: int) -> "Numbers":
        """Return a bucket's numbers."""
        parts = [
            self.read(borders[bucket], borders[bucket + 1] - borders[bucket])
            for borders in self._borders
        ]
        return np.concatenate(parts) if parts else np.empty(0, np.uint64)


class Dealt:
    """The rows of one file: which bucket each is in."""

    def __init__(self, folder: Path, count: int) -> None:
        self._folder, self._count = folder, count
        self._buckets = Pile(folder, np.uint16)
        self.hashes = Shelf(folder, count)

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Free the space."""
        self._buckets.close()
        self.hashes.close()

    def deal(self, hashes: Iterable["Numbers"]) -> None:
        """Deal all rows by their hashes, given batch by batch, and lay those away."""
        for batch in hashes:
            buckets = (batch % np.uint64(self._count)).astype(np.uint16)
            self._buckets.append(buckets)
            self.hashes.add(buckets, batch)

    @contextlib.contextmanager
    def lay(self, numbers: Iterable["Numbers"]) -> Generator[Shelf]:
        """Lay away another number of each row, batch by batch in the order of the rows."""
        row = 0
        with Shelf(self._folder, self._count) as shelf:
            for batch in numbers:
                shelf.add(self._buckets.read(row, len(batch)), batch)
                row += len(batch)
            yield shelf

    def numbered(self) -> Iterator["Numbers"]:
        """Yield where in the file each row is."""
        rows = self._buckets.length
        for start in range(0, rows, BUCKET_ROWS):
            yield np.arange(start, min(rows, start + BUCKET_ROWS), dtype=np.uint64)
