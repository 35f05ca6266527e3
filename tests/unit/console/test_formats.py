from datetime import UTC, datetime, timedelta, timezone

import pytest

from console.web.addresses import local_path
from console.web.formats import duration, iso, number, rough, size, utc
from console.web.plots import curve, diff_lines, plot_of

_MOMENT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def test_moments_are_shown_in_utc_wherever_they_come_from() -> None:
    elsewhere = _MOMENT.astimezone(timezone(timedelta(hours=5, minutes=30)))
    assert utc(elsewhere) == "2026-01-02 03:04:05"
    assert iso(elsewhere) == "2026-01-02T03:04:05.000Z"


@pytest.mark.parametrize(
    ("seconds", "text", "said"),
    [
        (0.25, "250 ms", "0 s"),
        (9.94, "9.9 s", "10 s"),
        (59, "59 s", "59 s"),
        (61, "1 min 01 s", "1 min"),
        (3_900, "1 h 05 min", "1 h 05 min"),
        (200_000, "2 d 7 h", "2 d"),
    ],
)
def test_spans_have_two_units_and_one_in_passing(seconds: float, text: str, said: str) -> None:
    assert duration(seconds) == text
    assert rough(seconds) == said


def test_figures_can_be_read() -> None:
    assert number(1234567) == "1\u202f234\u202f567"
    assert size(1536) == "1.5 KiB"


@pytest.mark.parametrize(
    "address",
    ["https://x.example", "//x.example", "/\\x.example", "/a\\b", "/\tx", "x", "", "javascript:1"],
)
def test_after_the_login_there_is_no_way_to_another_site(address: str) -> None:
    assert local_path(address) == "/"
    assert local_path("/runs?state=open") == "/runs?state=open"


def test_curves_stay_in_their_frame() -> None:
    assert curve([1, 3, 2], 100, 24) == "M0.0 22.0L50.0 2.0L100.0 12.0"
    assert curve([5, 5], 100, 24) == "M0.0 22.0L100.0 22.0"


def test_a_plot_of_nothing_is_none_and_of_one_number_a_plot() -> None:
    assert plot_of([]) is None
    plot = plot_of([(_MOMENT, 0.8), (_MOMENT + timedelta(days=1), 1.0)], low=0, high=1)
    assert plot is not None
    assert plot.path == "M48.0 42.4L632.0 10.0"
    assert plot_of([(_MOMENT, 1.0)]) is not None


def test_differences_are_lines() -> None:
    assert diff_lines("a\nb", "a\nc") == [("", "a"), ("-", "b"), ("+", "c")]
