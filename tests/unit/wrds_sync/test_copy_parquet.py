"""Row groups, dictionaries, footers and full disks."""

from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from wrds_sync.adapters.parquet_writer import ParquetFile, RowGroups, bounds, group_bytes
from wrds_sync.errors import DiskFullError, UnstorableValueError

SCHEMA = pa.schema([("name", pa.string()), ("date", pa.date32()), ("price", pa.decimal128(11, 5))])


def batch(*names: str | None, day: date | None = date(2020, 1, 2)) -> pa.RecordBatch:
    count = len(names)
    columns = [
        pa.array(names, pa.string()),
        pa.array([day] * count, pa.date32()),
        pa.array(range(count), pa.int64()).cast(pa.decimal128(19, 0)).cast(pa.decimal128(24, 5)),
    ]
    columns[2] = columns[2].cast(pa.decimal128(11, 5))
    return pa.RecordBatch.from_arrays(columns, schema=SCHEMA)


def written(path: Path, *groups: list[pa.RecordBatch]) -> pq.FileMetaData:
    file = ParquetFile(path, SCHEMA)
    for group in groups:
        file.write(group)
    file.finish()
    return pq.read_metadata(path)


def test_a_group_is_full_by_rows() -> None:
    groups = RowGroups(rows=5, size=1_000_000)

    assert groups.add(batch("a", "b", "c")) is None
    full = groups.add(batch("d", "e"))

    assert full is not None
    assert [part.num_rows for part in full] == [3, 2]
    assert groups.take() == []


def test_a_group_is_full_by_bytes_however_few_rows_there_are() -> None:
    groups = RowGroups(rows=1_000_000, size=100)

    assert groups.add(batch("a", "b", "c", "d")) is not None


def test_few_columns_make_short_groups() -> None:
    assert [group_bytes(columns) >> 20 for columns in (1, 20, 202)] == [16, 20, 24]


def test_each_group_is_a_row_group_with_statistics_of_every_column(tmp_path: Path) -> None:
    metadata = written(
        tmp_path / "f", [batch("b", "a"), batch(None)], [batch("c", day=date(2021, 5, 6))]
    )

    assert [metadata.row_group(g).num_rows for g in range(2)] == [3, 1]
    name, day, price = (metadata.row_group(0).column(c).statistics for c in range(3))
    assert (name.min, name.max, name.null_count) == ("a", "b", 1)
    assert (day.min, day.max) == (date(2020, 1, 2), date(2020, 1, 2))
    assert (str(price.min), str(price.max)) == ("0.00000", "1.00000")


def test_a_file_without_rows_has_its_columns(tmp_path: Path) -> None:
    written(tmp_path / "f")

    table = pq.read_table(tmp_path / "f")
    assert table.schema.equals(SCHEMA)
    assert table.num_rows == 0


def test_only_columns_that_repeat_themselves_have_a_dictionary(tmp_path: Path) -> None:
    repeated = written(tmp_path / "a", [batch(*["x"] * 50)]).row_group(0)
    unique = written(tmp_path / "b", [batch(*map(str, range(50)))]).row_group(0)

    assert [repeated.column(c).has_dictionary_page for c in range(3)] == [True, True, False]
    assert [unique.column(c).has_dictionary_page for c in range(3)] == [False, True, False]


def test_of_long_texts_a_few_decide_about_the_dictionary(tmp_path: Path) -> None:
    texts = [str(number) * 64 * 1024 for number in range(10, 42)]
    different_at_first = written(tmp_path / "a", [batch(*texts, *texts[:1] * 32)]).row_group(0)
    alike_at_first = written(tmp_path / "b", [batch(*texts[:1] * 32, *texts)]).row_group(0)

    assert not different_at_first.column(0).has_dictionary_page
    assert alike_at_first.column(0).has_dictionary_page


def test_the_bounds_of_a_column_come_from_the_footer(tmp_path: Path) -> None:
    path = tmp_path / "f"
    written(path, [batch("a", day=date(2021, 5, 6))], [batch("b", day=date(1926, 7, 1))])

    assert bounds(path, "date") == (date(1926, 7, 1), date(2021, 5, 6))
    assert bounds(path, None) == (None, None)


def test_there_are_no_bounds_without_rows(tmp_path: Path) -> None:
    written(tmp_path / "f")

    assert bounds(tmp_path / "f", "date") == (None, None)


def test_a_date_column_without_any_date_is_reported(tmp_path: Path) -> None:
    written(tmp_path / "f", [batch("a", day=None)])

    with pytest.raises(UnstorableValueError, match="`date`"):
        bounds(tmp_path / "f", "date")


def test_a_full_disk_is_told_from_other_failures() -> None:
    file = ParquetFile(Path("/dev/full"), SCHEMA)

    with pytest.raises(DiskFullError):
        written_to_a_full_disk(file)

    file.abandon()


def written_to_a_full_disk(file: ParquetFile) -> None:
    file.write([batch("a")])
    file.finish()


def test_a_folder_that_is_not_there_is_no_full_disk(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        ParquetFile(tmp_path / "missing" / "f", SCHEMA).write([batch("a")])


def test_an_abandoned_file_is_no_parquet_file(tmp_path: Path) -> None:
    file = ParquetFile(tmp_path / "f", SCHEMA)
    file.write([batch("a")])
    file.abandon()

    with pytest.raises(pa.ArrowInvalid):
        pq.read_metadata(tmp_path / "f")
