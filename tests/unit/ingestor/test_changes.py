from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from contracts.files import FileChange
from ingestor.domain.changes import PathPlan, plan_paths

ADDED, MODIFIED, DELETED = FileChange.ADDED, FileChange.MODIFIED, FileChange.DELETED


@dataclass(frozen=True)
class Event:
    change: FileChange
    sequence: int | None


def plan(*events: Event, applied: int | None = None) -> PathPlan[Event]:
    known = {} if applied is None else {"a": applied}
    return plan_paths((("a", event) for event in events), known)["a"]


def test_one_event_is_one_step() -> None:
    event = Event(ADDED, 1)
    assert plan(event) == PathPlan(update=event)


def test_of_several_modifications_the_last_is_fetched() -> None:
    last = Event(MODIFIED, 3)
    assert plan(Event(ADDED, 1), Event(MODIFIED, 2), last) == PathPlan(update=last, superseded=2)


def test_a_deletion_before_the_return_of_a_file_is_kept() -> None:
    deletion, back = Event(DELETED, 2), Event(ADDED, 3)
    assert plan(Event(MODIFIED, 1), deletion, back) == PathPlan(deletion, back, superseded=1)


def test_nothing_is_fetched_after_the_last_deletion() -> None:
    deletion = Event(DELETED, 2)
    assert plan(Event(ADDED, 1), deletion) == PathPlan(deletion=deletion, superseded=1)


def test_of_several_deletions_the_last_counts() -> None:
    last, back = Event(DELETED, 3), Event(ADDED, 4)
    assert plan(Event(DELETED, 1), Event(ADDED, 2), last, back) == PathPlan(
        last, back, superseded=2
    )


def test_what_was_applied_before_is_a_duplicate() -> None:
    event = Event(MODIFIED, 6)
    assert plan(Event(ADDED, 4), Event(DELETED, 5), event, applied=5) == PathPlan(
        update=event, duplicates=2
    )


def test_a_republished_event_does_not_undo_its_successors() -> None:
    deletion, back = Event(DELETED, 1), Event(ADDED, 2)
    assert plan(deletion, back, deletion) == PathPlan(deletion, back, duplicates=1)


def test_an_event_without_a_sequence_is_always_new() -> None:
    event = Event(MODIFIED, None)
    assert plan(Event(ADDED, 9), event, applied=8) == PathPlan(update=event, superseded=1)


def test_paths_do_not_mix() -> None:
    one, two = Event(ADDED, 1), Event(DELETED, 1)
    assert plan_paths([("a", one), ("b", two)], {"c": 5}) == {
        "a": PathPlan(update=one),
        "b": PathPlan(deletion=two),
    }


EVENTS = st.lists(
    st.builds(Event, st.sampled_from(FileChange), st.none() | st.integers(min_value=1, max_value=9))
)


@given(EVENTS, st.integers(min_value=0, max_value=9))
def test_every_event_is_accounted_for_once_and_the_steps_are_in_order(
    events: list[Event], applied: int
) -> None:
    for result in plan_paths((("a", event) for event in events), {"a": applied}).values():
        steps = [step for step in (result.deletion, result.update) if step is not None]
        assert len(steps) + result.superseded + result.duplicates == len(events)
        sequences = [step.sequence for step in steps if step.sequence is not None]
        assert sequences == sorted(set(sequences))
        assert all(sequence > applied for sequence in sequences)


@given(EVENTS)
def test_doing_it_again_does_nothing_more(events: list[Event]) -> None:
    numbered = [Event(event.change, number) for number, event in enumerate(events, start=1)]
    for result in plan_paths((("a", event) for event in numbered), {"a": len(numbered)}).values():
        assert result == PathPlan(duplicates=len(numbered))
