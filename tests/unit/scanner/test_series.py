"""Whether a series can be believed: splits, and one series under several names."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanner.domain.series import TAIL_BARS, Rebased, SeriesRules, Tail

RULES = SeriesRules(
    day_field="date",
    values=("open", "close"),
    tolerance=0.001,
    least_bars=3,
    same_series_items=3,
)

KNOWN: Tail = {"2025-05-12": [10.0, 11.0], "2025-05-13": [11.0, 12.0], "2025-05-14": [12.0, 12.5]}


def test_the_tail_is_the_latest_bars_in_whatever_order_they_came() -> None:
    days = [f"2025-05-{day:02}" for day in range(1, 21)]
    records = [{"date": day, "open": 1, "close": "2.5"} for day in reversed(days)]

    tail = RULES.tail(records)

    assert list(tail) == days[-TAIL_BARS:]
    assert tail["2025-05-20"] == [1.0, 2.5]


@pytest.mark.parametrize("value", [None, "", "n/a", True, float("nan"), [1]])
def test_what_is_no_number_counts_as_missing(value: object) -> None:
    assert RULES.bars([{"date": "2025-05-13", "open": value, "close": 1}]) == {
        "2025-05-13": [None, 1.0]
    }


@pytest.mark.covers("C-22")
def test_a_split_is_found_with_its_day_and_factor() -> None:
    told: Tail = {day: [value / 4 for value in bar if value] for day, bar in KNOWN.items()}

    assert RULES.rebased(KNOWN, told) == Rebased("2025-05-12", 0.25)


@pytest.mark.covers("C-22")
@pytest.mark.parametrize(
    "told",
    [
        KNOWN,
        {"2025-05-14": [1.0, 1.0]},  # the last known bar may have been told before its day was over
        {"2025-05-15": [1.0, 1.0]},  # not known yet
        {"2025-05-13": [11.005, 12.0]},  # within the tolerance
        {},
    ],
)
def test_what_is_no_split(told: Tail) -> None:
    assert RULES.rebased(KNOWN, told) is None


@pytest.mark.covers("C-22")
@pytest.mark.parametrize("told", [[11.0, None], [None, 12.0], [11.0, 0.0]])
def test_a_value_that_vanished_is_a_difference_without_a_factor(told: list[float | None]) -> None:
    found = RULES.rebased(KNOWN, {"2025-05-13": told})

    assert found is not None
    assert found.day == "2025-05-13"


def test_one_series_under_three_names_is_found_and_two_may_be_twins() -> None:
    other: Tail = {day: [1.0, float(index)] for index, day in enumerate(KNOWN)}

    assert RULES.doubles({"A": KNOWN, "B": KNOWN, "C": other}) == set()
    assert RULES.doubles({"A": KNOWN, "B": dict(KNOWN), "C": KNOWN, "D": other}) == {"A", "B", "C"}


def test_a_series_that_stands_still_or_is_too_short_says_nothing() -> None:
    still: Tail = {day: [5.0, 5.0] for day in KNOWN}
    short: Tail = {"2025-05-12": [10.0, 11.0], "2025-05-13": [11.0, 12.0]}

    assert RULES.doubles(dict.fromkeys("ABCD", still)) == set()
    assert RULES.doubles(dict.fromkeys("ABCD", short)) == set()
    assert RULES.doubles({name: {} for name in "ABCD"}) == set()


@given(
    st.lists(st.floats(1, 1e6), min_size=4, max_size=10, unique=True),
    st.floats(1.01, 100),
)
def test_every_split_of_every_series_is_found(closes: list[float], factor: float) -> None:
    known: Tail = {f"2025-05-{day:02}": [1.0, close] for day, close in enumerate(closes, 1)}
    told: Tail = {day: [1.0, bar[1] / factor] for day, bar in known.items() if bar[1]}

    assert RULES.rebased(known, told) is not None
    assert RULES.rebased(known, known) is None
