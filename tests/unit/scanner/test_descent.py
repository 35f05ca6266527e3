from datetime import UTC, datetime, timedelta

import pytest

from scanner.domain.descent import (
    KnownDirectory,
    ScanMode,
    choose_mode,
    is_quiet,
    may_skip,
    nominal_slot,
)

NOW = datetime(2026, 3, 1, 12, 0, 30, tzinfo=UTC)
NOW_US = int(NOW.timestamp()) * 1_000_000
HOUR = timedelta(hours=1)


@pytest.mark.covers("S1-40")
def test_a_settled_leaf_with_the_same_time_is_left_out() -> None:
    assert may_skip(7, KnownDirectory(7, is_leaf=True, is_settled=True))


@pytest.mark.parametrize(
    "known",
    [
        None,
        KnownDirectory(8, is_leaf=True, is_settled=True),
        KnownDirectory(6, is_leaf=True, is_settled=True),
        KnownDirectory(None, is_leaf=True, is_settled=True),
        KnownDirectory(7, is_leaf=False, is_settled=True),
        KnownDirectory(7, is_leaf=True, is_settled=False),
    ],
)
def test_a_moved_unknown_unsettled_or_inner_directory_is_listed(
    known: KnownDirectory | None,
) -> None:
    assert not may_skip(7, known)


@pytest.mark.parametrize(
    ("modified_us", "expected"),
    [
        (NOW_US - 2_000_000, True),
        (NOW_US - 1_999_999, False),
        (NOW_US + 60_000_000, False),
        (None, False),
    ],
)
def test_a_directory_time_younger_than_two_seconds_is_not_relied_on(
    modified_us: int | None, *, expected: bool
) -> None:
    assert is_quiet(modified_us, listed_at=NOW, quiet=timedelta(seconds=2)) is expected


@pytest.mark.parametrize(
    ("asked", "last_full_at", "has_fast_pass", "expected"),
    [
        ("auto", None, True, ScanMode.FULL),
        ("auto", NOW - HOUR, True, ScanMode.FULL),
        ("auto", NOW - HOUR + timedelta(seconds=1), True, ScanMode.FAST),
        ("auto", NOW, False, ScanMode.FULL),
        ("fast", None, True, ScanMode.FAST),
        ("full", NOW, True, ScanMode.FULL),
    ],
)
def test_auto_is_full_when_a_full_pass_is_due(
    asked: str, last_full_at: datetime | None, *, has_fast_pass: bool, expected: ScanMode
) -> None:
    mode = choose_mode(
        asked,
        now=NOW,
        last_full_at=last_full_at,
        full_interval=HOUR,
        has_fast_pass=has_fast_pass,
    )
    assert mode is expected


def test_replicas_agree_on_the_slot_they_are_in() -> None:
    first = nominal_slot(NOW + timedelta(seconds=1), timedelta(seconds=60))
    second = nominal_slot(NOW + timedelta(seconds=29), timedelta(seconds=60))
    assert first == second == datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
    assert nominal_slot(NOW + timedelta(seconds=30), timedelta(seconds=60)) != first
