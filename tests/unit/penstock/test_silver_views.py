from datetime import UTC, datetime, timedelta

import pytest

from penstock.commands.explain import describe_age, describe_step
from penstock.commands.simulate import describe
from penstock.silver import Step

STEP = Step(
    source="corrected",
    source_system="transcripts",
    external_id="Data/a.xml",
    bronze_version=3,
    operation="stored",
    event_id="e1",
    correlation_id="scan-1",
    blob_key="raw/abc",
    linked_by=None,
    source_modified_at=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
    stored_at=datetime(2026, 1, 2, 3, 5, tzinfo=UTC),
)


def test_the_way_of_a_record_is_told_from_the_source_to_silver() -> None:
    assert describe_step(STEP) == (
        "transcripts Data/a.xml (2026-01-02 03:04:05) [raw/abc] → event e1 → "
        "bronze version 3 (2026-01-02 03:05:00) → silver as corrected"
    )


@pytest.mark.parametrize(
    ("age", "text"),
    [
        (timedelta(seconds=-1), "0 s"),
        (timedelta(seconds=59), "59 s"),
        (timedelta(minutes=61), "1 h"),
        (timedelta(minutes=5, seconds=3), "5 min"),
        (timedelta(days=400), "400 d"),
    ],
)
def test_an_age_is_told_in_its_largest_unit(age: timedelta, text: str) -> None:
    assert describe_age(age) == text


def test_a_difference_is_one_line() -> None:
    one = {"entity_id": "P/1", "before": {"email": "a@x"}, "after": {"email": None}}
    assert describe(one) == 'P/1: email "a@x" → null'
    assert describe(one | {"after": {}}) == "P/1: would leave silver"
    assert describe(one | {"before": {}, "after": {"email": "b"}}) == "P/1: would enter silver"
