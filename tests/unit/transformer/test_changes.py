import dataclasses
from datetime import timedelta
from typing import Any

from tests.unit.transformer.calls import (
    CALL,
    STORED,
    document,
    head,
    merge_one,
    merged,
    path_of,
    tombstone,
    transcripts,
)
from transformer.domain.changes import Changes, State, Status, compare
from transformer.domain.records import Merged, Outcome

RULES = transcripts()


def remembered(outcome: Outcome, version: int = 1) -> State:
    """The state that silver keeps after it has applied an outcome."""
    if isinstance(outcome, Merged):
        return State(
            Status.LIVE, version, outcome.content_hash, outcome.state_hash, outcome.quality
        )
    return State(Status.RETIRED, version, None, outcome.state_hash, None)


def changes(state: State | None, outcome: Outcome) -> Changes:
    return compare({} if state is None else {CALL: state}, [outcome])


def test_a_new_record_is_the_first_version() -> None:
    ((change, _),) = changes(None, merged(RULES, head())).upserted
    assert (change.version, change.was, change.is_visible, change.is_new_quality) == (
        1,
        Status.RETIRED,
        True,
        True,
    )


def test_the_same_bronze_again_changes_nothing() -> None:
    record = merged(RULES, head())
    assert changes(remembered(record), merged(RULES, head())) == Changes(unchanged=1)


def test_other_content_is_the_next_version() -> None:
    before = merged(RULES, head())
    after = merged(RULES, head(document(title="Q2 2024 Earnings Call", quarter=2), version=2))
    ((change, _),) = changes(remembered(before, 4), after).upserted
    assert (change.version, change.is_visible, change.is_new_quality) == (5, True, True)


def test_a_change_that_readers_cannot_see_keeps_the_version() -> None:
    raw = document("Raw", "6")
    before = merged(RULES, head(), head(raw))
    later = STORED + timedelta(minutes=1)
    after = merged(RULES, head(), head(raw | {"product": "x"}, version=2, stored_at=later))
    ((change, _),) = changes(remembered(before), after).upserted
    assert (change.version, change.is_visible, change.is_new_quality) == (1, False, False)


def test_new_rules_with_the_same_result_are_noted_and_not_announced() -> None:
    before = merged(RULES, head())
    config = RULES.config.model_copy(update={"ruleset_version": 2})
    after = merged(dataclasses.replace(RULES, config=config), head())
    ((change, _),) = changes(remembered(before), after).upserted
    assert (change.version, change.is_visible, change.is_new_quality) == (1, False, True)


def test_deletion_retires_once() -> None:
    gone = merge_one(RULES, tombstone(path_of()))
    ((change, _),) = changes(remembered(merged(RULES, head()), 3), gone).retired
    assert (change.version, change.is_visible) == (4, True)
    assert changes(remembered(gone, 4), gone) == Changes(unchanged=1)


def test_restoring_goes_on_counting() -> None:
    gone = merge_one(RULES, tombstone(path_of()))
    ((change, _),) = changes(remembered(gone, 4), merged(RULES, head(version=3))).upserted
    assert (change.version, change.is_visible) == (5, True)


def test_a_rejection_of_a_live_record_takes_it_out() -> None:
    silent: dict[str, Any] = document(sections=[])
    outcome = merge_one(RULES, head(silent, version=2))
    ((change, _),) = changes(remembered(merged(RULES, head())), outcome).rejected
    assert (change.version, change.is_visible, change.was) == (2, True, Status.LIVE)


def test_a_rejection_of_a_new_record_is_seen_by_nobody() -> None:
    outcome = merge_one(RULES, head(document(sections=[])))
    ((change, _),) = changes(None, outcome).rejected
    assert (change.version, change.is_visible) == (0, False)
