from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transformer.domain.documents import child_scopes, find, read_input
from transformer.domain.rules import Child, Input, InputType


def read(value: Any, kind: str, join: str = " ") -> Any:
    return read_input({"x": value}, Input(path="x", type=InputType(kind), join=join))


@pytest.mark.parametrize(
    ("value", "kind", "expected"),
    [
        (" a b ", "text", "a b"),
        ("  ", "text", None),
        (7, "text", "7"),
        (1.5, "text", "1.5"),
        (True, "text", None),
        ({}, "text", None),
        (["a ", "", 3, "b"], "text", "a b"),
        (["a", " ", None, "b"], "texts", ["a", "b"]),
        ("a", "texts", []),
        (7, "integer", 7),
        (" 42 ", "integer", 42),
        ("4.2", "integer", None),
        (4.2, "integer", None),
        (True, "integer", None),
        (2**70, "integer", None),
        ("9" * 30, "integer", None),
        (True, "boolean", True),
        ("true", "boolean", None),
        ("2024-02-28", "date", date(2024, 2, 28)),
        ("2024-02-28T17:15:00", "date", date(2024, 2, 28)),
        ("2024-02-30", "date", None),
        ("28.02.2024", "date", None),
        (20240228, "date", None),
        ([1, 2], "count", 2),
        (None, "count", 0),
        ("two words", "words", 2),
        (["one", "two three", 4], "words", 3),
        (None, "words", 0),
    ],
)
def test_a_value_fits_or_is_null(value: Any, kind: str, expected: object) -> None:
    assert read(value, kind) == expected


def test_a_list_is_joined_as_asked() -> None:
    assert read(["a", "b"], "text", join="\n\n") == "a\n\nb"


def test_a_path_ends_where_the_document_does() -> None:
    assert find({"a": {"b": 1}}, "a.b") == 1
    assert find({"a": 1}, "a.b") is None
    assert find([], "a") is None


TURNS = Child.model_validate(
    {
        "table": "turns",
        "of": "g",
        "each": "sections.turns",
        "number": "n",
        "lookups": {"speaker": {"list": "people", "key": "id", "equals": "turns.who"}},
        "inputs": {"x": {"path": "x", "type": "text"}},
        "fields": {"x": {"type": "text", "rule": "x"}},
    }
)


def test_a_row_sees_its_item_what_encloses_it_and_what_belongs_to_it() -> None:
    document = {
        "people": [{"id": "1", "name": "Ann"}, {"id": "1", "name": "second"}, {"name": "no id"}],
        "sections": [
            {"name": "A", "turns": [{"who": "1"}, {"who": "9"}]},
            {"name": "B", "turns": None},
            "not a section",
        ],
    }
    scopes = list(child_scopes(document, TURNS))
    found = [
        (find(scope, "sections.name"), find(scope, "turns.who"), find(scope, "speaker.name"))
        for scope in scopes
    ]
    assert found == [("A", "1", "Ann"), ("A", "9", None)]


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@given(ANYTHING, st.sampled_from(InputType))
def test_any_value_gives_the_type_or_null(value: Any, kind: InputType) -> None:
    expected = {
        InputType.TEXT: str,
        InputType.TEXTS: list,
        InputType.INTEGER: int,
        InputType.BOOLEAN: bool,
        InputType.DATE: date,
        InputType.COUNT: int,
        InputType.WORDS: int,
    }[kind]
    result = read(value, kind.value)
    assert result is None or isinstance(result, expected)


@given(
    st.dictionaries(st.sampled_from(["sections", "people"]), ANYTHING)
    | st.fixed_dictionaries({"sections": st.lists(st.dictionaries(st.just("turns"), ANYTHING))})
)
def test_any_document_has_scopes(document: dict[str, Any]) -> None:
    for scope in child_scopes(document, TURNS):
        assert isinstance(scope["turns"], dict)
