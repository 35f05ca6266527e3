from datetime import UTC, datetime

import pytest

from tests.support.wrds_mirror import CRSP
from wrds_sync.domain.manifest import PartitionEntry, SyncManifest, vintage_name
from wrds_sync.domain.planning import expected_bytes, plan_full, plan_incremental
from wrds_sync.domain.schema import DatasetSchema
from wrds_sync.domain.tables import PartitionStatistics

NOW = datetime(2024, 3, 1, tzinfo=UTC)


def entry(year: int, rows: int, content_hash: str | None) -> PartitionEntry:
    return PartitionEntry(
        year=year,
        path=CRSP.path_of(year),
        object=f"objects/{year}",
        rows=rows,
        size_bytes=rows * 10,
        sha256=f"{year:064d}",
        md5=f"{year:032d}",
        content_hash=content_hash,
        written_at=NOW,
    )


def manifest(*entries: PartitionEntry) -> SyncManifest:
    return SyncManifest(
        dataset="crsp",
        vintage=vintage_name(NOW, entries),
        mode="full",
        start_year=2020,
        source_table="crsp.dsf",
        synced_at=NOW,
        written_at=NOW,
        fencing=1,
        schema_=DatasetSchema(dataset="crsp", columns={"permno": "int64"}),
        partitions=entries,
    )


def counted(year: int, rows: int, content_hash: str | None = None) -> PartitionStatistics:
    return PartitionStatistics(year=year, rows=rows, content_hash=content_hash)


@pytest.mark.covers("C-40", "S5-16")
def test_due_is_what_is_new_differs_or_is_broken() -> None:
    known = manifest(
        entry(2020, 5, "m:a"), entry(2021, 5, "m:b"), entry(2022, 5, "m:c"), entry(2023, 5, "m:d")
    )
    plan = plan_incremental(
        CRSP,
        known,
        [
            counted(2020, 5, "m:a"),
            counted(2021, 5, "m:changed"),
            counted(2022, 5, "m:c"),
            counted(2023, 6, "m:more"),
            counted(2024, 1, "m:new"),
        ],
        broken=[2022],
    )
    assert plan.due == (2021, 2022, 2023, 2024)
    assert plan.vanished == ()


def test_without_hashes_counts_and_the_look_back_decide() -> None:
    known = manifest(entry(2021, 5, "m:a"), entry(2022, 5, "m:b"), entry(2023, 5, "m:c"))
    now = [counted(2021, 6), counted(2022, 5), counted(2023, 5)]
    assert plan_incremental(CRSP, known, now, broken=[]).due == (2021, 2023)


def test_after_a_change_of_the_hash_method_everything_is_copied_once() -> None:
    known = manifest(entry(2022, 5, "old:a"), entry(2023, 5, "old:b"))
    now = [counted(2022, 5, "new:x"), counted(2023, 5, "new:y")]
    assert plan_incremental(CRSP, known, now, broken=[]).due == (2022, 2023)


def test_what_the_archive_has_no_more_is_vanished() -> None:
    known = manifest(entry(2022, 5, "m:a"), entry(2023, 5, "m:b"))
    now = [counted(2023, 5, "m:b")]
    assert plan_incremental(CRSP, known, now, broken=[]).vanished == (2022,)
    assert plan_full(known, now, start_year=2022).vanished == (2022,)
    assert plan_full(known, now, start_year=2023).vanished == ()


@pytest.mark.covers("S5-20")
def test_the_expected_bytes_come_from_what_is_known_best() -> None:
    now = [counted(2022, 7), counted(2023, 3)]
    plan = plan_full(None, now, start_year=2022)
    assert expected_bytes(plan, [2022, 2023], manifest=None, row_bytes=None) == 1000
    assert expected_bytes(plan, [2022], manifest=None, row_bytes=24) == 168
    assert expected_bytes(plan, [2023], manifest=manifest(entry(2022, 5, None)), row_bytes=24) == 30


def test_a_vintage_is_named_by_its_time_and_content() -> None:
    one, other = entry(2022, 5, None), entry(2023, 5, None)
    assert vintage_name(NOW, (one, other)) == vintage_name(NOW, (other, one))
    assert vintage_name(NOW, (one,)) != vintage_name(NOW, (other,))
    assert vintage_name(NOW, (one,)).startswith("20240301T000000Z-")
