"""Cases worked out by hand."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.drifts import FieldChange, FieldEffect
from ingestor.domain.shapes import (
    MAX_FIELDS,
    MAX_NAMES,
    Shape,
    compare,
    merged,
    says_more,
    shape_of,
    signature,
    with_changes,
)

ADDED, WIDENED = FieldEffect.ADDED, FieldEffect.WIDENED
RETYPED, REMOVED = FieldEffect.RETYPED, FieldEffect.REMOVED

PERSON = {"name": "Ada", "age": 36, "score": None, "address": {"city": "London", "lines": ["a"]}}
KNOWN: Shape = {
    "name": "string",
    "age": "integer",
    "score": "null",
    "address": "object",
    "address.city": "string",
    "address.lines": "array",
    "address.lines[]": "string",
}


def test_a_record_is_known_by_the_kinds_of_its_fields() -> None:
    assert shape_of(PERSON, {}) == KNOWN


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ({}, []),
        ({"name": None, "age": None, "address": None}, []),
        ({"name": "Bob", "email": "b@example.org"}, [("email", ADDED, None, "string")]),
        ({"age": 36.5}, [("age", WIDENED, "integer", "number")]),
        ({"age": "36"}, [("age", RETYPED, "integer", "string")]),
        ({"age": True}, [("age", RETYPED, "integer", "boolean")]),
        ({"score": "high"}, []),
        ({"score": 1.5}, []),
        ({"name": {"given": "Ada"}}, [("name", RETYPED, "string", "object")]),
        ({"name": ["Ada", {"x": 1}]}, [("name", RETYPED, "string", "array")]),
        ({"address": "London"}, [("address", RETYPED, "object", "string")]),
        ({"address": {"zip": 1}}, [("address.zip", ADDED, None, "integer")]),
        ({"address": {"city": 1}}, [("address.city", RETYPED, "string", "integer")]),
        ({"address": {"lines": []}}, []),
        ({"address": {"lines": [1, "a"]}}, [("address.lines[]", RETYPED, "string", None)]),
        # Renamed: what was optional is missed by nobody.
        ({"full_name": "Ada"}, [("full_name", ADDED, None, "string")]),
    ],
)
def test_what_a_difference_is(
    record: dict[str, Any], expected: list[tuple[str, FieldEffect, str | None, str | None]]
) -> None:
    found = compare(KNOWN, shape_of(record, KNOWN))
    told = [(item.field, item.effect, item.old, item.new) for item in found]
    if expected and expected[0][3] is None:
        told = [(*item[:3], None) for item in told]
    assert told == expected


def test_a_required_field_that_is_gone_or_renamed_breaks() -> None:
    seen = shape_of({"full_name": "Ada"}, KNOWN)
    assert compare(KNOWN, seen, ("name",)) == (
        FieldChange("name", REMOVED, "string", None),
        FieldChange("full_name", ADDED, None, "string"),
    )
    assert compare(KNOWN, shape_of({"name": None}, KNOWN), ("name",)) == ()


@pytest.mark.parametrize("record", [{"age": "36"}, {"address": 1}, {"name": {"given": "Ada"}}, {}])
def test_what_was_accepted_is_known_beside_what_was_known(record: dict[str, Any]) -> None:
    seen = shape_of(record, KNOWN)
    changes = compare(KNOWN, seen, ("name",))
    after = with_changes(KNOWN, seen, changes)
    assert compare(after, seen, ("name",)) == ()
    assert compare(after, KNOWN, ("name",)) == ()


def test_whole_numbers_fit_where_numbers_are_known() -> None:
    assert compare({"price": "number"}, {"price": "integer"}) == ()
    assert merged({"price": "integer"}, {"price": "number"}, {"price": "null"}) == {
        "price": "number"
    }


def test_names_that_are_data_are_no_fields() -> None:
    prices = {f"2026-01-{day}": 1 for day in range(MAX_NAMES + 1)}
    known = shape_of({"prices": prices}, {})
    assert known == {"prices": "object", "prices.*": "integer"}
    assert compare(known, shape_of({"prices": {"2027-05-05": 2}}, known)) == ()


def test_names_that_turn_out_to_be_data_are_folded() -> None:
    shapes = [shape_of({"by_day": {f"day{day}": {"x": [day]}}}, {}) for day in range(MAX_NAMES + 1)]
    assert merged(*shapes) == {
        "by_day": "object",
        "by_day.*": "object",
        "by_day.*.x": "array",
        "by_day.*.x[]": "integer",
    }


def test_no_more_fields_are_learnt_than_a_data_set_may_have() -> None:
    full = {f"f{number}": "string" for number in range(MAX_FIELDS)}
    record = {"f0": 1, "new": 1} | {f"more{number}": 1 for number in range(MAX_FIELDS)}
    seen = shape_of(record, full)
    assert len(seen) == MAX_FIELDS
    assert compare(full, seen) == (FieldChange("f0", RETYPED, "string", "integer"),)
    assert merged(full, {"new": "string"}) == full
    assert not says_more(full, {"new": "string"})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3)
    ),
    max_leaves=8,
)
RECORDS = st.dictionaries(st.sampled_from("abcd"), JSON, max_size=4)


@given(RECORDS, RECORDS)
def test_records_of_equal_signature_have_equal_shapes(
    one: dict[str, Any], other: dict[str, Any]
) -> None:
    if signature(one) == signature(other):
        assert shape_of(one, {}) == shape_of(other, {})


@given(RECORDS, RECORDS)
def test_what_was_merged_is_never_news(one: dict[str, Any], other: dict[str, Any]) -> None:
    first, second = shape_of(one, {}), shape_of(other, {})
    known = merged(first, second)
    for shape in (first, second, known):
        assert compare(known, shape) == ()
        assert not says_more(known, shape)
    assert merged(known, first) == known
