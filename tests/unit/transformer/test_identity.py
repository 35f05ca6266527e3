"""Expected entities by hand; and that the order of records makes no difference."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transformer.domain.identity import Link, Linked, Record, Refusal, Refused, link

LEVELS = ("uniqname", "email", "name")


def record(record_id: str, order: int, /, employee: str | None = None, **keys: str) -> Record:
    """A record with keys; several values of one key are separated by a blank."""
    values = frozenset((name, value) for name, text in keys.items() for value in text.split())
    exclusive = frozenset() if employee is None else frozenset({("employee", employee)})
    return Record(record_id, order, values, exclusive)


def entities(linked: Linked) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for item in linked.links.values():
        found.setdefault(item.entity_id, set()).add(item.record_id)
    return found


@pytest.mark.covers("C-16")
def test_records_that_share_a_key_are_one_entity_named_after_the_oldest() -> None:
    linked = link(
        LEVELS,
        [
            record("tdx/1", 30, uniqname="jdoe"),
            record("ldap/jdoe", 10, uniqname="jdoe", email="j@x"),
            record("ad/7", 20, email="j@x"),
            record("tdx/2", 5, uniqname="other"),
        ],
        frozenset(),
    )
    assert entities(linked) == {"ldap/jdoe": {"ldap/jdoe", "ad/7", "tdx/1"}, "tdx/2": {"tdx/2"}}
    assert linked.links["ldap/jdoe"] == Link("ldap/jdoe", "ldap/jdoe", "ldap/jdoe")
    assert linked.links["tdx/1"] == Link("tdx/1", "ldap/jdoe", "ldap/jdoe", "uniqname", "ldap/jdoe")
    assert linked.links["ad/7"] == Link("ad/7", "ldap/jdoe", "ldap/jdoe", "email", "ldap/jdoe")
    assert linked.contradictions == ()


def test_the_same_value_of_two_keys_links_nothing() -> None:
    linked = link(LEVELS, [record("a", 1, email="x"), record("b", 2, name="x")], frozenset())
    assert entities(linked) == {"a": {"a"}, "b": {"b"}}


def test_a_common_value_links_nothing() -> None:
    records = [record("a", 1, email="info@x"), record("b", 2, email="info@x")]
    assert entities(link(LEVELS, records, frozenset({("email", "info@x")}))) == {
        "a": {"a"},
        "b": {"b"},
    }


def test_a_key_that_is_not_in_the_rules_links_nothing() -> None:
    records = [record("a", 1, shoe="42"), record("b", 2, shoe="42")]
    assert entities(link(LEVELS, records, frozenset())) == {"a": {"a"}, "b": {"b"}}


def test_a_value_that_would_join_contradicting_records_links_nothing_and_is_told() -> None:
    linked = link(
        LEVELS,
        [
            record("a", 1, employee="1", email="info@x"),
            record("b", 2, employee="2", email="info@x"),
            record("c", 3, email="info@x"),
        ],
        frozenset(),
    )
    assert entities(linked) == {"a": {"a"}, "b": {"b"}, "c": {"c"}}
    assert linked.contradictions == (
        Refusal(("email", "info@x"), Refused.CONTRADICTION, ("a", "b", "c")),
    )
    assert {item.group_id for item in linked.links.values()} == {"a"}


def test_values_that_contradict_only_together_all_give_way() -> None:
    linked = link(
        LEVELS,
        [
            record("a", 1, employee="1", email="one@x"),
            record("b", 2, email="one@x two@x"),
            record("c", 3, employee="2", email="two@x"),
        ],
        frozenset(),
    )
    assert entities(linked) == {"a": {"a"}, "b": {"b"}, "c": {"c"}}
    assert [item.key[1] for item in linked.contradictions] == ["one@x", "two@x"]


def test_a_stronger_key_decides_before_a_weaker_one_contradicts() -> None:
    linked = link(
        LEVELS,
        [
            record("a", 1, employee="1", uniqname="jdoe"),
            record("b", 2, uniqname="jdoe", email="j@x"),
            record("c", 3, employee="2", email="j@x"),
        ],
        frozenset(),
    )
    assert entities(linked) == {"a": {"a", "b"}, "c": {"c"}}
    assert [item.key for item in linked.contradictions] == [("email", "j@x")]


def test_a_clash_elsewhere_does_not_keep_others_apart() -> None:
    linked = link(
        LEVELS,
        [
            record("a", 1, employee="1", email="info@x a@x"),
            record("b", 2, employee="2", email="info@x"),
            record("c", 3, email="a@x"),
        ],
        frozenset(),
    )
    assert entities(linked) == {"a": {"a", "c"}, "b": {"b"}}


def test_a_link_names_the_weak_key_only_where_nothing_better_holds() -> None:
    linked = link(
        LEVELS,
        [
            record("a", 1, name="doe"),
            record("b", 2, name="doe", uniqname="jdoe"),
            record("c", 3, name="doe", uniqname="jdoe"),
        ],
        frozenset(),
    )
    ties = {key: (item.rule, item.linked_to) for key, item in linked.links.items()}
    assert ties == {"a": (None, None), "b": ("name", "a"), "c": ("uniqname", "b")}


def test_nothing_is_linked_where_there_is_nothing() -> None:
    assert link(LEVELS, [], frozenset()) == Linked({})


RECORDS = st.lists(
    st.builds(
        lambda keys, employee: (keys, employee),
        st.sets(st.tuples(st.sampled_from(LEVELS), st.sampled_from("abcd")), max_size=3),
        st.sampled_from([None, None, "1", "2"]),
    ),
    max_size=9,
).map(
    lambda found: [
        Record(
            f"r{index}",
            index,
            frozenset(keys),
            frozenset() if employee is None else frozenset({("employee", employee)}),
        )
        for index, (keys, employee) in enumerate(found)
    ]
)


@settings(max_examples=300)
@given(RECORDS, st.randoms())
def test_the_order_of_records_makes_no_difference(
    records: list[Record], chance: random.Random
) -> None:
    shuffled = records.copy()
    chance.shuffle(shuffled)
    assert link(LEVELS, shuffled, frozenset()) == link(LEVELS, records, frozenset())


@settings(max_examples=300)
@given(RECORDS)
def test_no_entity_contradicts_itself_and_every_link_is_a_shared_key(
    records: list[Record],
) -> None:
    linked = link(LEVELS, records, frozenset())
    by_id = {item.record_id: item for item in records}
    for entity_id, members in entities(linked).items():
        assert len({value for item in members for _, value in by_id[item].exclusive}) <= 1
        assert entity_id == min(members, key=lambda item: by_id[item].order)
    for item in linked.links.values():
        if item.record_id == item.entity_id:
            assert (item.rule, item.linked_to) == (None, None)
        else:
            assert item.linked_to is not None
            assert linked.links[item.linked_to].entity_id == item.entity_id
            shared = by_id[item.record_id].keys & by_id[item.linked_to].keys
            assert item.rule in {name for name, _ in shared}


@settings(max_examples=300)
@given(RECORDS)
def test_a_group_computed_alone_gives_the_same(records: list[Record]) -> None:
    linked = link(LEVELS, records, frozenset())
    for group_id in {item.group_id for item in linked.links.values()}:
        alone = [item for item in records if linked.links[item.record_id].group_id == group_id]
        for record_id, found in link(LEVELS, alone, frozenset()).links.items():
            assert found == linked.links[record_id]
