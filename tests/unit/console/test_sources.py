"""The schedule of a source, read off the names of its runs."""

from datetime import UTC, datetime, timedelta

from console.adapters.sources import next_slot


def test_the_smallest_distance_is_the_interval() -> None:
    slots = ["2026-01-02T10:00:00+00:00", "2026-01-02T08:00:00+00:00", "2026-01-02T09:30:00+00:00"]
    half_past_ten = datetime(2026, 1, 2, 10, 30, tzinfo=UTC)
    assert next_slot(slots) == (timedelta(minutes=30), half_past_ten)


def test_a_single_time_tells_no_interval() -> None:
    assert next_slot(["2026-01-02T10:00:00+00:00"]) == (None, None)
    assert next_slot(["nonsense", "2026-01-02T10:00:00"]) == (None, None)
