import pytest

from chassis.bus.cursor import Admitted, Cursor, Reread, StartOver, misfit
from chassis.bus.positions import Position
from chassis.bus.records import Record


def record(offset: int, value: bytes = b"v") -> Record:
    return Record("t", 0, offset, b"k", value, (), 1_700_000_000_000)


def test_records_at_the_position_are_admitted() -> None:
    assert Cursor(5).judge([record(5), record(6)]) == Admitted([record(5), record(6)])


def test_the_anchor_record_proves_the_log_and_is_not_applied_again() -> None:
    cursor = Cursor(5, anchor=record(4).fingerprint)

    assert cursor.judge([record(4), record(5)]) == Admitted([record(5)])
    assert cursor.anchor is None


def test_another_record_in_the_anchors_place_means_another_log() -> None:
    cursor = Cursor(5, anchor=record(4).fingerprint)

    assert cursor.judge([record(4, b"other"), record(5)]) == StartOver("recreated")


def test_the_same_bytes_at_another_time_are_another_log() -> None:
    same_bytes = record(4)._replace(timestamp_ms=1_700_000_000_001)

    assert Cursor(5, anchor=record(4).fingerprint).judge([same_bytes]) == StartOver("recreated")


def test_an_expired_anchor_is_no_proof_of_another_log() -> None:
    cursor = Cursor(5, anchor=record(4).fingerprint)

    assert cursor.judge([record(5)]) == Admitted([record(5)])


def test_a_poll_from_before_the_seek_is_looked_at_once_more() -> None:
    cursor = Cursor(100)

    assert cursor.judge([record(7)]) == Reread(100)
    assert cursor.judge([record(100)]) == Admitted([record(100)])
    assert cursor.judge([record(7)]) == Reread(100), "the doubt was settled in between"


def test_old_records_twice_mean_that_the_log_was_rewound() -> None:
    cursor = Cursor(100)

    assert cursor.judge([record(0)]) == Reread(100)
    assert cursor.judge([record(0)]) == StartOver("rewound")


def test_a_gap_is_believed_at_the_second_look_and_counted() -> None:
    cursor = Cursor(5)

    assert cursor.judge([record(9)]) == Reread(5)
    assert cursor.judge([record(9)]) == Admitted([record(9)], missing=4)


def test_a_poll_from_before_a_seek_back_loses_nothing() -> None:
    cursor = Cursor(5)

    assert cursor.judge([record(9)]) == Reread(5), "polled before the partition had to wait"
    assert cursor.judge([record(5), record(6)]) == Admitted([record(5), record(6)])
    assert cursor.judge([record(9)]) == Reread(5), "the doubt was settled in between"


def test_a_gap_and_then_old_records_are_two_doubts() -> None:
    cursor = Cursor(100)

    assert cursor.judge([record(200)]) == Reread(100)
    assert cursor.judge([record(7)]) == Reread(100)
    assert cursor.judge([record(7)]) == StartOver("rewound")


@pytest.mark.parametrize(
    ("next_offset", "begin", "end", "expected"),
    [
        (5, 0, 10, None),
        (10, 0, 10, None),
        (0, 0, 0, None),
        (11, 0, 10, "beyond-end"),
        (5, 6, 10, "expired-unread"),
    ],
)
def test_a_position_must_lie_within_the_log(
    next_offset: int, begin: int, end: int, expected: str | None
) -> None:
    assert misfit(Position(next_offset, None), begin, end) == expected


def test_a_partition_without_a_position_fits_every_log() -> None:
    assert misfit(None, 3, 9) is None
