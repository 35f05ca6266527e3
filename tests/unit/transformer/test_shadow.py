"""What is said of shadows, in counts and in sentences."""

from datetime import UTC, datetime

import pytest

from contracts.runs import RunCounts
from transformer.domain.changes import Status
from transformer.domain.shadow import Compared, Slice, Verdict, name_some

MOMENT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def test_what_the_rules_reject_is_a_failure_whether_silver_had_it_or_not() -> None:
    found = Compared(
        {
            (Verdict.SAME, Status.LIVE): 5,
            (Verdict.SAME, Status.RETIRED): 1,
            (Verdict.SAME, Status.REJECTED): 2,
            (Verdict.REMOVED, Status.REJECTED): 3,
            (Verdict.REMOVED, Status.RETIRED): 4,
            (Verdict.ADDED, Status.LIVE): 7,
            (Verdict.CHANGED, Status.LIVE): 8,
        }
    )

    assert found.counts() == RunCounts(
        processed=30, new=7, changed=8, unchanged=6, deleted=4, failed=5
    )


@pytest.mark.parametrize(
    ("part", "is_whole", "told"),
    [
        (Slice(), True, {}),
        (Slice(until=MOMENT), True, {"until": "2026-01-02T03:04:05+00:00"}),
        (Slice(changed_since=MOMENT), False, {"changed_since": "2026-01-02T03:04:05+00:00"}),
        (Slice(limit=3), False, {"limit": 3}),
        (Slice(("a",)), False, {"entity_ids": ["a"]}),
    ],
)
def test_a_slice_says_what_it_leaves_out(
    part: Slice, *, is_whole: bool, told: dict[str, object]
) -> None:
    assert (part.is_whole, part.as_json()) == (is_whole, told)


def test_a_sentence_names_a_few_and_counts_the_rest() -> None:
    assert name_some(["a", "b"]) == "a, b"
    assert name_some("abcdefg", most=2) == "a, b and 5 more"
