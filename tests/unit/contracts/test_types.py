"""The value types: UTC only, bounded, nothing that JSON cannot carry."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError, field_validator, model_validator

from contracts.types import (
    FilePath,
    Identifier,
    JsonObject,
    Message,
    Name,
    Sha256,
    UtcDatetime,
    column_of,
)

utc_datetime: TypeAdapter[datetime] = TypeAdapter(UtcDatetime)
name: TypeAdapter[str] = TypeAdapter(Name)
identifier: TypeAdapter[str] = TypeAdapter(Identifier)
file_path: TypeAdapter[str] = TypeAdapter(FilePath)
sha256: TypeAdapter[str] = TypeAdapter(Sha256)
json_object: TypeAdapter[dict[str, Any]] = TypeAdapter(JsonObject)


@pytest.mark.parametrize(
    "naive", ["2026-01-02T03:04:05", "2026-01-02 03:04", "2026-01-02"], ids=str
)
def test_a_time_without_a_zone_is_refused(naive: str) -> None:
    with pytest.raises(ValidationError, match="time zone"):
        utc_datetime.validate_python(naive)


def test_a_naive_datetime_object_is_refused() -> None:
    with pytest.raises(ValidationError, match="time zone"):
        utc_datetime.validate_python(datetime(2026, 1, 2))  # noqa: DTZ001 - naive on purpose


def test_a_time_of_another_zone_becomes_utc() -> None:
    moment = utc_datetime.validate_python("2026-01-02T03:04:05+05:30")

    assert moment == datetime(2026, 1, 1, 21, 34, 5, tzinfo=UTC)
    assert moment.utcoffset() == timedelta(0)


def test_a_time_is_rendered_with_microseconds_and_z() -> None:
    paris = timezone(timedelta(hours=2))

    rendered = utc_datetime.dump_json(datetime(2026, 7, 1, 12, 0, 0, 5, tzinfo=paris))

    assert rendered == b'"2026-07-01T10:00:00.000005Z"'


@pytest.mark.parametrize("text", ["a", "RY-CA", "wrds_sync", "file.changed.ingestor.dead", "0"])
def test_a_configured_name_is_accepted(text: str) -> None:
    assert name.validate_python(text) == text


@pytest.mark.parametrize(
    "text",
    ["", "a/b", "a b", "a\n", "ä", ".", "..", ".hidden", "-f", "a;drop", "a" * 101],
    ids=repr,
)
def test_a_name_that_could_be_a_path_or_an_option_is_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        name.validate_python(text)


@pytest.mark.parametrize(
    ("adapter", "limit"),
    [(name, 100), (identifier, 512), (file_path, 2048)],
    ids=["name", "identifier", "path"],
)
def test_a_text_is_bounded(adapter: TypeAdapter[str], limit: int) -> None:
    assert len(adapter.validate_python("x" * limit)) == limit
    with pytest.raises(ValidationError):
        adapter.validate_python("x" * (limit + 1))
    with pytest.raises(ValidationError):
        adapter.validate_python("")


def test_an_absolute_path_is_refused() -> None:
    with pytest.raises(ValidationError):
        file_path.validate_python("/Outputs/a.xml")


def test_half_a_character_is_refused() -> None:
    with pytest.raises(ValidationError):
        file_path.validate_python("Outputs/\ud83d.xml")


@pytest.mark.parametrize("text", ["A" * 64, "a" * 63, "a" * 65, "g" * 64, "a" * 64 + "\n"])
def test_a_digest_is_64_lower_case_hexadecimal_digits(text: str) -> None:
    assert sha256.validate_python("0123456789abcdef" * 4) == "0123456789abcdef" * 4
    with pytest.raises(ValidationError):
        sha256.validate_python(text)


@pytest.mark.parametrize(
    "value",
    [
        {"a": float("nan")},
        {"a": [1, {"b": float("inf")}]},
        {"a": (float("-inf"),)},
        {"a": b"bytes"},
        {"a": datetime(2026, 1, 2, tzinfo=UTC)},
        {"a": {1: "a key that is no text"}},
    ],
    ids=["nan", "nested infinity", "tuple", "bytes", "datetime", "integer key"],
)
def test_what_json_would_lose_or_change_is_refused(value: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="only what JSON can carry"):
        json_object.validate_python(value)


def test_the_nan_that_some_json_writers_emit_is_refused() -> None:
    with pytest.raises(ValidationError, match="only what JSON can carry"):
        json_object.validate_json('{"price": NaN}')


def test_what_json_can_carry_comes_back_unchanged() -> None:
    value = {"a": [1, 2.5, None, True, "ü"], "b": {"c": 12345678901234567890}}

    assert json_object.validate_json(json_object.dump_json(json_object.validate_python(value))) == (
        value
    )


def test_a_validation_error_never_quotes_the_value() -> None:
    class Login(Message):
        password: int

    with pytest.raises(ValidationError) as refusal:
        Login.model_validate({"password": "hunter2-canary"})

    assert "hunter2-canary" not in str(refusal.value)
    assert "hunter2-canary" not in repr(refusal.value)
    assert "password" in str(refusal.value)


def test_a_message_is_frozen_and_ignores_fields_it_does_not_know() -> None:
    class Fact(Message):
        number: int

    fact = Fact.model_validate({"number": 1, "from_a_later_version": 2})

    assert fact.model_dump() == {"number": 1}
    with pytest.raises(ValidationError, match="frozen"):
        fact.number = 2  # type: ignore[misc]


class Reading(Message):
    """A message whose fields are checked one by one."""

    sensor: Name
    taken_at: UtcDatetime | None = None


def test_a_column_of_values_is_validated_as_each_field_is() -> None:
    assert column_of(Reading, "sensor").validate_python(["a", "b.c"]) == ["a", "b.c"]
    assert column_of(Reading, "taken_at").validate_python([None]) == [None]


@pytest.mark.parametrize(
    ("field", "wrong"), [("sensor", ""), ("sensor", None), ("taken_at", "2026-01-02")]
)
def test_a_wrong_value_in_a_column_is_refused_without_being_told(field: str, wrong: Any) -> None:
    with pytest.raises(ValidationError) as refused:
        column_of(Reading, field).validate_python([wrong])

    assert "input_value" not in str(refused.value)


def test_a_model_that_checks_more_than_types_has_no_columns() -> None:
    class Ordered(Reading):
        @model_validator(mode="after")
        def _compare(self) -> "Ordered":
            return self

    class Trimmed(Reading):
        @field_validator("sensor")
        @classmethod
        def _trim(cls, value: str) -> str:
            return value.strip()

    for model in (Ordered, Trimmed):
        with pytest.raises(TypeError, match="validators"):
            column_of(model, "sensor")
