from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanner.domain.files import (
    EARLIEST_US,
    LATEST_US,
    Fingerprint,
    is_believable,
    is_within,
    parent_of,
)


@pytest.mark.covers("S1-14", "C-04")
def test_a_time_is_utc_to_the_microsecond() -> None:
    moment = Fingerprint(1_700_000_000_123_456, 1).modified_at
    assert moment == datetime(2023, 11, 14, 22, 13, 20, 123456, tzinfo=UTC)


@given(st.integers(EARLIEST_US, LATEST_US))
def test_every_believable_time_survives_the_round_trip(modified_us: int) -> None:
    moment = Fingerprint(modified_us, 0).modified_at
    elsewhere = moment.astimezone(timezone(timedelta(hours=-5)))
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    assert (elsewhere - epoch) // timedelta(microseconds=1) == modified_us
    assert is_believable(modified_us, 0)


@pytest.mark.parametrize(
    ("path", "directory", "expected"),
    [
        ("Data/a.xml", "", True),
        ("Data/a.xml", "Data", True),
        ("Data", "Data", True),
        ("DataOld/a.xml", "Data", False),
        ("a.xml", "Data", False),
    ],
)
def test_a_path_lies_within_its_own_folders_only(
    path: str, directory: str, *, expected: bool
) -> None:
    assert is_within(path, directory) is expected


def test_the_parent_of_a_path_at_the_root_is_the_root() -> None:
    assert parent_of("a.xml") == ""
    assert parent_of("Data/2024/a.xml") == "Data/2024"
