from dataclasses import replace
from decimal import Decimal

import pytest

from penstock.demo.figures import Latency, compare, differences, percentile
from penstock.demo.ledger import Figures, Quality

FIGURES = Figures(
    files=3,
    added=4,
    words=73325,
    quality=Quality((Decimal("0.90"), Decimal("1.00"), Decimal("1.00")), {"raw_only": 1}),
    refused=("a.xml",),
)


@pytest.mark.parametrize(
    ("percent", "expected"), [(50, 5.0), (99, 10.0), (90, 9.0), (1, 1.0), (100, 10.0)]
)
def test_percentiles_are_values_that_occurred(percent: float, expected: float) -> None:
    assert percentile([float(number) for number in range(1, 11)], percent) == expected


def test_latency_of_one_change_is_that_change() -> None:
    assert Latency.of([2.5]) == Latency(1, 2.5, 2.5)


def test_latency_of_nothing_is_nothing() -> None:
    assert Latency.of([]) is None


def test_equal_figures_have_no_differences() -> None:
    assert differences(FIGURES, replace(FIGURES)) == []


def test_a_wrong_figure_is_named() -> None:
    assert differences(FIGURES, replace(FIGURES, files=2)) == ["files known to the scanner"]


def test_scores_that_only_sum_up_the_same_are_a_difference() -> None:
    scores = (Decimal("0.90"), Decimal("0.99"), Decimal("1.01"))
    other = replace(FIGURES, quality=Quality(tuple(sorted(scores)), {"raw_only": 1}))
    assert differences(FIGURES, other) != []


def test_another_file_in_the_dead_letters_is_a_difference() -> None:
    assert differences(FIGURES, replace(FIGURES, refused=("b.xml",))) == [
        "the scores of single rows, or which files are in dead letters"
    ]


def test_the_table_shows_figures_as_people_read_them() -> None:
    shown = {row.name: (row.expected, row.is_right) for row in compare(FIGURES, FIGURES)}
    assert shown["words in them"] == ("73,325", True)
    assert shown["quality: min / mean / max"] == ("0.90 / 0.967 / 1.00", True)
    assert shown["quality: flags"] == ("raw_only 1", True)


def test_a_hub_without_silver_shows_no_quality() -> None:
    shown = {row.name: row.expected for row in compare(Figures(), Figures())}
    assert shown["quality: min / mean / max"] == "-"
