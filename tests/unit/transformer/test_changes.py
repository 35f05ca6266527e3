import dataclasses
from datetime import timedelta
from typing import Any

from tests.unit.transformer.calls import (
    CALL,
    STORED,
    document,
    head,
    path_of,
    tombstone,
    transcripts,
)
from transformer.domain.changes import (
    IS_NEW_QUALITY,
    IS_VISIBLE,
    VERSION,
    WAS,
    State,
    Status,
    compare,
)
from transformer.domain.entity import Entity
from transformer.domain.merge import merge
from transformer.domain.outcomes import STATUS, Outcomes
from transformer.domain.records import Head, Merged

RULES = transcripts()


def outcomes(*heads: Head, rules: Entity = RULES) -> Outcomes:
    return merge(rules, [CALL], heads)


def remembered(before: Outcomes, version: int = 1) -> dict[str, State]:
    """The state that silver keeps after it has applied an outcome."""
    (outcome,) = before
    if isinstance(outcome, Merged):
        status, content, quality = Status.LIVE, outcome.content_hash, outcome.quality
        return {CALL: State(status, version, content, outcome.state_hash, quality)}
    return {CALL: State(Status.RETIRED, version, None, outcome.state_hash, None)}


def change(states: dict[str, State], after: Outcomes) -> dict[str, Any]:
    """The one change that is to be written."""
    frame = compare(states, after).frame
    return frame.select(STATUS, VERSION, WAS, IS_VISIBLE, IS_NEW_QUALITY).row(0, named=True)


def test_a_new_record_is_the_first_version() -> None:
    assert change({}, outcomes(head())) == {
        STATUS: "live",
        VERSION: 1,
        WAS: "retired",
        IS_VISIBLE: True,
        IS_NEW_QUALITY: True,
    }


def test_the_same_bronze_again_changes_nothing() -> None:
    found = compare(remembered(outcomes(head())), outcomes(head()))
    assert (found.frame.height, found.unchanged) == (0, 1)


def seen(found: dict[str, Any]) -> tuple[Any, ...]:
    return found[VERSION], found[IS_VISIBLE], found[IS_NEW_QUALITY]


def test_other_content_is_the_next_version() -> None:
    other = document(title="Q2 2024 Earnings Call", quarter=2)
    after = outcomes(head(other, version=2))
    assert seen(change(remembered(outcomes(head()), 4), after)) == (5, True, True)


def test_a_change_that_readers_cannot_see_keeps_the_version() -> None:
    raw = document("Raw", "6")
    later = STORED + timedelta(minutes=1)
    after = outcomes(head(), head(raw | {"product": "x"}, version=2, stored_at=later))
    states = remembered(outcomes(head(), head(raw)))
    assert seen(change(states, after)) == (1, False, False)


def test_new_rules_with_the_same_result_are_noted_and_not_announced() -> None:
    config = RULES.config.model_copy(update={"ruleset_version": 2})
    after = outcomes(head(), rules=dataclasses.replace(RULES, config=config))
    assert seen(change(remembered(outcomes(head())), after)) == (1, False, True)


def test_deletion_retires_once() -> None:
    gone = outcomes(tombstone(path_of()))
    found = change(remembered(outcomes(head()), 3), gone)
    assert (found[STATUS], *seen(found)) == ("retired", 4, True, False)
    assert compare(remembered(gone, 4), gone).unchanged == 1


def test_restoring_goes_on_counting() -> None:
    states = remembered(outcomes(tombstone(path_of())), 4)
    assert seen(change(states, outcomes(head(version=3)))) == (5, True, True)


def test_a_rejection_of_a_live_record_takes_it_out() -> None:
    silent = outcomes(head(document(sections=[]), version=2))
    found = change(remembered(outcomes(head())), silent)
    assert (found[STATUS], found[WAS], *seen(found)) == ("rejected", "live", 2, True, False)


def test_a_rejection_of_a_new_record_is_seen_by_nobody() -> None:
    found = change({}, outcomes(head(document(sections=[]))))
    assert (found[STATUS], *seen(found)) == ("rejected", 0, False, False)
