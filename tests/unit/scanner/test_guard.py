from datetime import UTC, datetime, timedelta

import pytest

from scanner.domain.guard import Coverage, DeletionRules

RULES = DeletionRules(max_count=50, max_share=0.02)
STARTED = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.mark.covers("C-06")
@pytest.mark.parametrize(
    ("missing", "total", "is_held"),
    [
        (0, 1000, False),
        (50, 1000, False),
        (51, 1000, True),
        (100, 5000, False),
        (101, 5000, True),
        (9, 9, False),
        (10, 10, True),
        (30, 30, True),
        (29, 30, False),
    ],
)
def test_deletions_over_both_limits_or_of_everything_are_held(
    missing: int, total: int, *, is_held: bool
) -> None:
    assert (RULES.hold_reason(missing, total) is not None) is is_held


@pytest.mark.covers("C-06")
def test_an_empty_folder_holds_whatever_is_missing() -> None:
    doubt = Coverage(empty_roots=["Data"]).doubt
    assert doubt == "1 scanned folder(s) list as empty, as if not mounted"
    assert RULES.hold_reason(1, 1000, doubt=doubt) == doubt


def test_without_the_guard_nothing_is_held() -> None:
    rules = DeletionRules(is_guarded=False)
    assert rules.hold_reason(1000, 1000, doubt="the folder lists as empty") is None
    assert rules.needed_misses == 1
    assert rules.believed_before(STARTED) == STARTED


def test_a_deletion_needs_two_misses_one_interval_apart() -> None:
    rules = DeletionRules(confirmations=2, confirm_after=timedelta(seconds=54))
    assert rules.needed_misses == 2
    assert rules.believed_before(STARTED) == STARTED - timedelta(seconds=54)


@pytest.mark.parametrize(
    ("coverage", "is_complete", "outcome"),
    [
        (Coverage(), True, "complete"),
        (Coverage(excluded=["Data/secret"]), True, "partial"),
        (Coverage(failed=1), False, "incomplete"),
        (Coverage(is_aborted=True), False, "incomplete"),
        (Coverage(is_anchored=False), False, "incomplete"),
    ],
)
def test_only_a_scan_that_saw_everything_it_may_see_concludes_deletions(
    coverage: Coverage, *, is_complete: bool, outcome: str
) -> None:
    assert coverage.is_complete is is_complete
    assert coverage.outcome == outcome
