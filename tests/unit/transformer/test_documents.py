import json
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transformer.domain.documents import child_scopes, find, parse_document, read_input
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
        ("0001-01-01T00:00:00Z", "timestamptz", None),
        ("0001-01-01T00:00:00Z", "date", None),
        ("20250711141817.0Z", "timestamptz", datetime(2025, 7, 11, 14, 18, 17, tzinfo=UTC)),
        ("20250711141817Z", "timestamptz", datetime(2025, 7, 11, 14, 18, 17, tzinfo=UTC)),
        ("20251311141817Z", "timestamptz", None),
        # 11,644,473,600 seconds lie between 1601 and 1970.
        ("116444736000000000", "filetime", datetime(1970, 1, 1, tzinfo=UTC)),
        (116444736010000000, "filetime", datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)),
        ("0", "filetime", None),
        ("9223372036854775807", "filetime", None),
        ("9223372036854775806", "filetime", None),
        ("soon", "filetime", None),
        (7, "integer", 7),
        (" 42 ", "integer", 42),
        ("4.2", "integer", None),
        (4.2, "integer", None),
        (True, "integer", None),
        (2**70, "integer", None),
        ("9" * 30, "integer", None),
        (Decimal("1200.0"), "integer", 1200),
        (Decimal("4.2"), "integer", None),
        (Decimal("1E+400"), "integer", None),
        (Decimal("0.1"), "numeric", Decimal("0.1")),
        (4170, "numeric", Decimal(4170)),
        (" 1,945.50 ", "numeric", Decimal("1945.50")),
        ("1,94", "numeric", None),
        ("12345678901234567890.12", "numeric", Decimal("12345678901234567890.12")),
        ("1e-3", "numeric", Decimal("0.001")),
        (Decimal("1E+26"), "numeric", None),
        ("n/a", "numeric", None),
        (True, "numeric", None),
        (Decimal("0.5"), "double", 0.5),
        ("1,000.5", "double", 1000.5),
        (float("nan"), "double", None),
        (10**400, "double", None),
        ("2024-02-28T17:15:00+02:00", "timestamptz", datetime(2024, 2, 28, 15, 15, tzinfo=UTC)),
        ("2024-02-28 17:15", "timestamptz", datetime(2024, 2, 28, 17, 15, tzinfo=UTC)),
        ("0001-01-01T00:00:00+23:00", "timestamptz", None),
        ("soon", "timestamptz", None),
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


def test_a_path_goes_into_lists() -> None:
    document = {"mail": ["a@x", "b@x"], "jobs": [{"at": "X"}, {}, {"at": ["Y", "Z"]}]}
    assert find(document, "mail.0") == "a@x"
    assert find(document, "mail.2") is None
    assert find(document, "mail.first") is None
    assert find(document, "jobs.*.at") == ["X", "Y", "Z"]
    assert find(document, "jobs.0.at") == "X"


def test_decimals_are_read_as_they_are_written() -> None:
    text = '{"price": 12345678901234567890.10, "n": 3}'
    document = parse_document(text)
    assert read_input(document, Input(path="price", type=InputType.NUMERIC)) == Decimal(
        "12345678901234567890.10"
    )
    assert parse_document("[1]") == {}


@given(
    value=st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(10**30), 10**30)
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(st.characters(exclude_categories=["Cs"])),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=4)
        ),
        max_leaves=12,
    ),
    is_ascii=st.booleans(),
)
def test_records_are_parsed_as_the_standard_library_does(*, value: Any, is_ascii: bool) -> None:
    text = json.dumps({"x": value}, ensure_ascii=is_ascii)

    expected = json.loads(text, parse_float=Decimal)
    # By their form, because 1 is equal to 1.0 and to True.
    assert repr(parse_document(text)) == repr(expected)


def test_a_key_may_contain_spaces_and_other_signs() -> None:
    item = Input(path="Stock Price", type=InputType.NUMERIC)
    assert read_input({"Stock Price": 5}, item) == 5
    assert Input(path="mail;lang-en.0", type=InputType.TEXT).path == "mail;lang-en.0"


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
        InputType.NUMERIC: Decimal,
        InputType.DOUBLE: float,
        InputType.TIMESTAMPTZ: datetime,
        InputType.FILETIME: datetime,
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
