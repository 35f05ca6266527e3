from collections.abc import Generator
from datetime import date
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.wrds_mirror import CRSP
from wrds_sync.adapters import row_buckets
from wrds_sync.adapters.version_inspector import VersionInspector, compare_files
from wrds_sync.domain.datasets import Dataset, Rules
from wrds_sync.domain.restatements import PartitionChange
from wrds_sync.domain.tables import Selection, TableRef
from wrds_sync.errors import ChecksumError, DiskFullError

KEYED = Dataset(
    name="d",
    vendor="v",
    frequency="f",
    selection=Selection(table=TableRef("s", "t")),
    rules=Rules(key=("k",)),
)
KEYLESS = Dataset(
    name="d", vendor="v", frequency="f", selection=Selection(table=TableRef("s", "t"))
)


@pytest.fixture(autouse=True, scope="module")
def dealt_into_buckets() -> Generator[None]:
    """Have these few rows dealt into several buckets, as millions are."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(row_buckets, "BUCKET_ROWS", 1)
        yield


def write(path: Path, rows: dict[str, list[object]], *, group: int = 3) -> Path:
    pq.write_table(pa.table(rows), path, row_group_size=group)
    return path


def compare(
    folder: Path, before: dict[str, list[object]], after: dict[str, list[object]], dataset: Dataset
) -> PartitionChange:
    return compare_files(
        write(folder / "before.parquet", before),
        write(folder / "after.parquet", after),
        dataset=dataset,
        year=2024,
    )


@pytest.mark.covers("C-40")
def test_rows_are_told_apart_by_their_key(tmp_path: Path) -> None:
    change = compare(
        tmp_path,
        {"k": [1, 2, 3, 4], "a": [1.0, 2.0, None, 4.0], "b": ["x", "y", "z", None]},
        {"k": [5, 4, 3, 2], "a": [5.0, 4.0, 3.0, 2.0], "b": ["v", "w", "z", "y"]},
        KEYED,
    )
    assert (change.added, change.removed, change.changed) == (1, 1, 2)
    assert change.changed_columns == {"a": 1, "b": 1}
    assert change.examples == ("k=1", "k=3", "k=4")
    assert change.is_restatement


def test_a_new_column_restates_nothing(tmp_path: Path) -> None:
    change = compare(tmp_path, {"k": [1], "a": [1]}, {"k": [1], "a": [1], "b": [2]}, KEYED)
    assert not change


def test_without_a_key_rows_are_counted_as_a_bag(tmp_path: Path) -> None:
    change = compare(tmp_path, {"a": [1, 1, 2]}, {"a": [1, 2, 2, 3]}, KEYLESS)
    assert (change.added, change.removed, change.changed) == (2, 1, 0)


def test_a_whole_new_and_a_whole_lost_partition(tmp_path: Path) -> None:
    path = write(tmp_path / "one.parquet", {"k": [1, 2]})
    new = compare_files(None, path, dataset=KEYED, year=2024)
    lost = compare_files(path, None, dataset=KEYED, year=2024)
    assert (new.added, new.removed, new.is_restatement) == (2, 0, False)
    assert (lost.added, lost.removed, lost.is_restatement) == (0, 2, True)


def test_a_full_disk_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full = partial(Path("/dev/full").open, "wb", buffering=0)
    monkeypatch.setattr(row_buckets, "TemporaryFile", lambda **_: full())

    with pytest.raises(DiskFullError):
        compare(tmp_path, {"k": [1]}, {"k": [2]}, KEYED)


versions = st.dictionaries(st.integers(0, 30), st.integers(0, 3), max_size=20)


@settings(max_examples=30, deadline=None)
@given(before=versions, after=versions)
def test_the_counts_are_those_of_two_dictionaries(
    tmp_path_factory: pytest.TempPathFactory, before: dict[int, int], after: dict[int, int]
) -> None:
    change = compare(
        tmp_path_factory.mktemp("pair"),
        {"k": pa.array(list(before), pa.int64()), "a": pa.array(before.values(), pa.int64())},
        {"k": pa.array(list(after), pa.int64()), "a": pa.array(after.values(), pa.int64())},
        KEYED,
    )
    shared = before.keys() & after.keys()
    assert change.added == len(after.keys() - before.keys())
    assert change.removed == len(before.keys() - after.keys())
    assert change.changed == sum(before[key] != after[key] for key in shared)


@pytest.mark.covers("S5-89")
async def test_an_inspection_tells_what_the_file_holds(tmp_path: Path) -> None:
    path = write(
        tmp_path / "2024.parquet",
        {
            "permno": [1, 1, None, 2],
            "date": [date(2024, 1, 2), date(2024, 1, 2), date(2024, 5, 1), date(2023, 12, 29)],
        },
    )
    found = await VersionInspector().inspect(path, CRSP)
    assert (found.rows, found.duplicate_keys) == (4, 1)
    assert found.nulls == {"permno": 1, "date": 0}
    assert (found.lower, found.upper) == (date(2023, 12, 29), date(2024, 5, 1))
    assert found.columns == {"permno": "int64", "date": "date32[day]"}


async def test_what_is_no_parquet_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "2024.parquet"
    path.write_bytes(b"PAR1")
    with pytest.raises(ChecksumError, match="no readable Parquet"):
        await VersionInspector().inspect(path, CRSP)
