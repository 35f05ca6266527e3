"""Three libraries that read a mirror all the time, while it is written; every answer is whole."""

import contextlib
import threading
from collections.abc import Callable, Generator, Mapping
from pathlib import Path

import duckdb
import polars as pl
import pyarrow.dataset

from tests.chaos.wrds_worker import Mirror


class Readers:
    """Read the mirror of a table whose rows all have one price, and another after each change."""

    def __init__(
        self, mirror: Mirror, rows: Mapping[int, int], *, pause_seconds: float = 0.05
    ) -> None:
        self._mirror = mirror
        self._rows = rows
        self._pause_seconds = pause_seconds
        self._stop = threading.Event()
        self.reads = 0
        self.problems: list[str] = []

    @contextlib.contextmanager
    def reading(self) -> Generator[None]:
        threads = [
            threading.Thread(target=self._loop, args=(read,))
            for read in (self._with_polars, self._with_duckdb, self._with_pyarrow)
        ]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._stop.set()
            for thread in threads:
                thread.join(60)

    def _loop(self, read: Callable[[], None]) -> None:
        while not self._stop.wait(self._pause_seconds):
            try:
                read()
                self.reads += 1
            except Exception as error:  # noqa: BLE001 - whatever a reader meets is the finding
                self.problems.append(f"{read.__name__}: {type(error).__name__}: {error}")
                return

    def _visible(self) -> list[Path]:
        return sorted((self._mirror.data / "wrds/crsp/daily").glob("*.parquet"))

    def _pinned(self) -> list[Path]:
        manifest = self._mirror.manifest()
        if manifest is None or not manifest.is_complete:
            return []
        return [self._mirror.data / item.object for item in manifest.partitions]

    def _with_polars(self) -> None:
        """Read a vintage: all of its years are of one generation."""
        if files := self._pinned():
            prices = pl.read_parquet(files, columns=["prc"])["prc"]
            assert prices.n_unique() == 1, "a vintage mixes two states of the archive"
            assert len(prices) == sum(self._rows.values())

    def _with_duckdb(self) -> None:
        """Read a vintage, and each visible file: whole, and of one generation."""
        if files := self._pinned():
            assert _counted(files) == (sum(self._rows.values()), 1)
        for path in self._visible():
            try:
                told = _counted([path])
            except duckdb.Error:
                # It looks at a name twice, and finds two files when one takes the other's place in
                # between. The runbook says: once more.
                told = _counted([path])
            assert told == (self._rows[int(path.stem)], 1), path.name

    def _with_pyarrow(self) -> None:
        for path in self._visible():
            table = pyarrow.dataset.dataset(path).to_table(columns=["permno", "date", "prc"])
            assert table.num_rows == self._rows[int(path.stem)], path.name


def _counted(files: list[Path]) -> tuple[int, int]:
    names = [str(path) for path in files]
    [told] = duckdb.read_parquet(names).aggregate("count(*), count(distinct prc)").fetchall()
    return told[0], told[1]
