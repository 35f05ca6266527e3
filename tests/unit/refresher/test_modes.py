"""Which rows are read, from which bound, and why."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from refresher.domain.catalog import Extent
from refresher.domain.config import SyncMode, TableConfig
from refresher.domain.modes import LastRefresh, ModeChoice, Situation, choose_mode
from refresher.domain.values import Value, compare

NOW = datetime(2026, 1, 31, tzinfo=UTC)


def table(type_: str = "identity", mode: str = "incremental", **settings: Any) -> TableConfig:
    return TableConfig.model_validate(
        {
            "name": "orders",
            "sync_mode": mode,
            "incremental_column": "x",
            "incremental_type": type_,
            **settings,
        }
    )


def extent(low: Any, high: Any, rows: int = 10) -> Extent:
    return Extent(rows=rows, low=Value.of(low), high=Value.of(high))


EMPTY = Extent(rows=0)


def choose(
    config: TableConfig,
    source: Extent,
    target: Extent,
    *,
    watermark: Any = None,
    ago: timedelta = timedelta(days=1),
    **last: Any,
) -> ModeChoice:
    known = None
    if watermark is not None or last:
        known = LastRefresh(
            finished_at=NOW - ago,
            watermark=None if watermark is None else Value.of(watermark),
            schema_hash=last.get("schema_hash", "same"),
            swept_at=last.get("swept_at"),
        )
    situation = Situation(source=source, target=target, last=known, schema_hash="same", now=NOW)
    return choose_mode(config, config.sync_mode, situation)


def bounds(choice: ModeChoice) -> tuple[str, str | None]:
    assert choice.window is not None
    high = choice.window.high
    return choice.window.low.text, high.text if high else None


@pytest.mark.covers("C-25", "C-46")
def test_identity_goes_back_from_our_own_watermark_not_the_targets_maximum() -> None:
    choice = choose(table(identity_lookback=100), extent(1, 5000), extent(1, 99999), watermark=4000)
    assert bounds(choice) == ("3900", "5000")
    assert choice.watermark == Value.of(5000)
    assert any("rows of the testers" in note for note in choice.notes)


def test_without_a_watermark_the_lower_maximum_of_both_counts() -> None:
    config = table(identity_lookback=0)
    assert bounds(choose(config, extent(1, 50), extent(1, 40))) == ("40", "50")
    assert bounds(choose(config, extent(1, 50), extent(1, 90))) == ("50", "50")
    assert bounds(choose(config, extent(1, 50), EMPTY)) == ("1", "50")


@pytest.mark.covers("S4-10", "C-25")
def test_dates_are_whole_days_with_a_buffer() -> None:
    choice = choose(
        table("date", date_buffer_days=7),
        extent(date(2026, 1, 1), date(2026, 1, 30)),
        extent(date(2026, 1, 1), date(2026, 1, 20)),
        watermark=date(2026, 1, 20),
    )
    assert bounds(choice) == ("2026-01-13", "2026-01-30")
    assert choice.window is not None
    assert choice.window.deletes_missing is True


@pytest.mark.covers("C-25")
def test_datetimes_have_no_upper_bound_and_delete_nothing() -> None:
    first, last = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 30, tzinfo=UTC)
    choice = choose(
        table("datetime", buffer_minutes=30),
        extent(first, last),
        extent(first, last),
        watermark=last,
    )
    assert bounds(choice) == ("2026-01-29T23:30:00+00:00", None)
    assert choice.window is not None
    assert choice.window.deletes_missing is False


def test_an_empty_source_is_read_by_nobody() -> None:
    choice = choose(table(), EMPTY, extent(1, 5), watermark=5)
    assert (choice.window, choice.watermark) == (None, Value.of(5))


@pytest.mark.covers("S4-08", "C-28")
@pytest.mark.parametrize(
    ("settings", "target", "last", "mode", "reason"),
    [
        ({}, EMPTY, {}, "full_replace", "the target is empty"),
        ({"fallback_to_full": False}, EMPTY, {}, "incremental", "everything is read"),
        ({}, extent(1, 5), {}, "full_replace", "no watermark of an earlier refresh"),
        ({"fallback_to_full": False}, extent(1, 5), {}, "incremental", "no watermark yet"),
        ({}, extent(1, 5), {"watermark": 5}, "incremental", "goes on from the watermark 5"),
        (
            {},
            extent(1, 5),
            {"watermark": 5, "schema_hash": "other"},
            "full_replace",
            "the columns have changed",
        ),
        (
            {},
            extent(1, 5),
            {"watermark": 5, "ago": timedelta(days=15)},
            "full_replace",
            "the last refresh was 15 days ago",
        ),
        (
            {"sweep_deletes": "weekly"},
            extent(1, 5),
            {"watermark": 5, "swept_at": NOW - timedelta(days=8)},
            "full_replace",
            "finds deleted rows is due",
        ),
        (
            {"sweep_deletes": "weekly"},
            extent(1, 5),
            {"watermark": 5, "swept_at": NOW - timedelta(days=6)},
            "incremental",
            "goes on",
        ),
    ],
)
def test_smart_sync_says_why(
    settings: dict[str, Any], target: Extent, last: dict[str, Any], mode: str, reason: str
) -> None:
    config = table(mode="smart_sync", **{"fallback_to_full": True, **settings})
    choice = choose(config, extent(1, 9), target, **last)
    assert choice.mode is SyncMode(mode)
    assert reason in choice.reason


def test_values_survive_as_text_and_compare_by_their_type() -> None:
    for value in (5, date(2026, 1, 1), datetime(2026, 1, 1, 2, 3, 4, 5, tzinfo=UTC)):
        assert Value(Value.of(value).type, Value.of(value).text).scalar == value
    assert compare(Value.of(9), Value.of(10)) < 0
    assert Value.of(date(2026, 1, 2)).is_beyond(Value.of(date(2026, 1, 1)))
    with pytest.raises(TypeError):
        compare(Value.of("a"), Value.of("b"))
