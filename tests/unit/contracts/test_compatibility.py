"""What counts as an incompatible change of a published message."""

import copy
from enum import StrEnum
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ConfigDict, Field, create_model

from contracts.compatibility import incompatibilities
from contracts.types import Message


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


class MoreColours(StrEnum):
    RED = "red"
    BLUE = "blue"
    GREEN = "green"


class Inner(Message):
    count: int


class NarrowInner(Message):
    count: Annotated[int, Field(ge=0)]


class LaterInner(Message):
    count: int
    note: str | None = None


def schema(*, extra: Literal["ignore", "forbid"] = "ignore", **fields: Any) -> dict[str, Any]:
    model = create_model("Fact", __config__=ConfigDict(extra=extra), **fields)
    return model.model_json_schema()


def required(kind: Any) -> tuple[Any, Any]:
    return (kind, ...)


def bounded(**limits: Any) -> tuple[Any, Any]:
    return (Annotated[str, Field(**limits)], ...)


def numeric(**limits: Any) -> tuple[Any, Any]:
    return (Annotated[float, Field(**limits)], ...)


BREAKING: dict[str, tuple[tuple[Any, Any] | None, tuple[Any, Any] | None]] = {
    "a field vanished": (required(str), None),
    "an optional field vanished": ((str, "x"), None),
    "a required field was added": (None, required(str)),
    "an optional field became required": ((str, "x"), required(str)),
    "a required field became optional": (required(str), (str, "x")),
    "text became number": (required(str), required(int)),
    "number became text": (required(int), required(str)),
    "a value became nullable": (required(str), required(str | None)),
    "a nullable value became certain": (required(str | None), required(str)),
    "an alternative vanished": (required(int | str | None), required(int | None)),
    "an allowed value vanished": (required(MoreColours), required(Colour)),
    "a literal vanished": (required(Literal["a", "b"]), required(Literal["a"])),
    "free text became an enumeration": (required(str), required(Colour)),
    "free text became a constant": (required(str), required(Literal["a"])),
    "an upper length came": (required(str), bounded(max_length=10)),
    "an upper length shrank": (bounded(max_length=10), bounded(max_length=9)),
    "a lower length came": (required(str), bounded(min_length=1)),
    "a lower length grew": (bounded(min_length=1), bounded(min_length=2)),
    "a minimum of zero came": (required(float), numeric(ge=0)),
    "a negative minimum came": (required(float), numeric(ge=-5)),
    "a minimum grew": (numeric(ge=-5), numeric(ge=-4)),
    "an exclusive minimum came": (required(float), numeric(gt=0)),
    "a maximum came": (required(float), numeric(le=5)),
    "an exclusive maximum shrank": (numeric(lt=5), numeric(lt=4)),
    "a step came": (required(float), numeric(multiple_of=2)),
    "a pattern came": (required(str), bounded(pattern="^a")),
    "a pattern changed": (bounded(pattern="^a"), bounded(pattern="^b")),
    "items were retyped": (required(list[str]), required(list[int])),
    "items came to be typed": (required(list[Any]), required(list[int])),
    "a list was limited": (
        required(list[str]),
        (Annotated[list[str], Field(max_length=3)], ...),
    ),
    "a pair grew": (required(tuple[int, int]), required(tuple[int, int, int])),
    "a place was retyped": (required(tuple[int, int]), required(tuple[int, str])),
    "values of a map were retyped": (required(dict[str, int]), required(dict[str, str])),
    "values of a map came to be typed": (required(dict[str, Any]), required(dict[str, str])),
    "anything became something": (required(Any), required(str)),
    "anything became one of two": (required(Any), required(int | str)),
    "a nested field was narrowed": (required(Inner), required(NarrowInner)),
    "a nested field behind an option was narrowed": (
        (Inner | None, None),
        (NarrowInner | None, None),
    ),
}

COMPATIBLE: dict[str, tuple[tuple[Any, Any] | None, tuple[Any, Any] | None]] = {
    "nothing": (required(str), required(str)),
    "an optional field was added": (None, (str | None, None)),
    "a value was added": (required(Colour), required(MoreColours)),
    "a literal was added": (required(Literal["a"]), required(Literal["a", "b"])),
    "an enumeration became free text": (required(Colour), required(str)),
    "an upper length grew": (bounded(max_length=9), bounded(max_length=10)),
    "an upper length went": (bounded(max_length=9), required(str)),
    "a lower length of nothing came": (required(str), bounded(min_length=0)),
    "a minimum fell": (numeric(ge=1), numeric(ge=0)),
    "a pattern went": (bounded(pattern="^a"), required(str)),
    "an alternative was added": (required(int | None), required(int | str | None)),
    "a nested optional field was added": (required(Inner), required(LaterInner)),
    "a default changed": ((str, "x"), (str, "y")),
}


def around(field: tuple[Any, Any] | None) -> dict[str, Any]:
    fields: dict[str, Any] = {"always": (str, ...)}
    return schema(**(fields if field is None else fields | {"field": field}))


@pytest.mark.parametrize("case", BREAKING)
def test_a_breaking_change_is_reported_under_its_field(case: str) -> None:
    old, new = BREAKING[case]

    problems = incompatibilities(around(old), around(new))

    assert problems
    assert all(problem.startswith("`message.field") for problem in problems), problems


@pytest.mark.parametrize("case", COMPATIBLE)
def test_a_compatible_change_passes(case: str) -> None:
    old, new = COMPATIBLE[case]

    assert incompatibilities(around(old), around(new)) == []


def test_refusing_unknown_fields_is_incompatible_and_allowing_them_is_not() -> None:
    open_, closed = schema(a=(str, ...)), schema(extra="forbid", a=(str, ...))

    assert incompatibilities(open_, closed) == ["`message`: unknown fields are now refused"]
    assert incompatibilities(closed, open_) == []


def test_a_command_may_ask_for_less() -> None:
    old, new = schema(extra="forbid", a=(str, ...)), schema(extra="forbid", a=(str, "x"))

    assert incompatibilities(old, new) == []


def test_every_problem_is_named_with_its_path() -> None:
    old = schema(a=(str, ...), b=(Inner, ...), c=(list[Inner], ...))
    new = schema(a=(int, ...), b=(NarrowInner, ...), c=(list[NarrowInner], ...))

    assert incompatibilities(old, new) == [
        "`message.a`: type changed from 'string' to 'integer'",
        "`message.b.count`: minimum grew to 0",
        "`message.c[].count`: minimum grew to 0",
    ]


FIELDS = st.dictionaries(
    st.sampled_from(["a", "b", "c", "d"]),
    st.sampled_from(
        [required(str), (int | None, None), required(Colour), bounded(max_length=3), (Inner, ...)]
    ),
    min_size=1,
)


@given(FIELDS)
def test_a_schema_is_compatible_with_itself(fields: dict[str, Any]) -> None:
    assert incompatibilities(schema(**fields), schema(**fields)) == []


@given(FIELDS, st.data())
def test_dropping_any_field_is_always_reported(fields: dict[str, Any], data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(fields)))
    old = schema(**fields)
    new = copy.deepcopy(old)
    del new["properties"][name]

    assert f"`message.{name}`: the field is gone" in incompatibilities(old, new)
