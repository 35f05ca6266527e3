"""The bounded value types that message fields are made of.

A message crosses trust borders, so every string has a maximum length and every time is UTC.
"""

import math
from datetime import UTC, datetime
from functools import cache
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    PlainSerializer,
    StringConstraints,
    TypeAdapter,
)
from pydantic_core import core_schema


def _to_utc(value: datetime) -> datetime:
    return value.astimezone(UTC)


def _render_utc(value: datetime) -> str:
    return value.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


class _Utc:
    """Validates a time; one that is UTC already, as nearly all are, costs no call of Python."""

    @classmethod
    def __get_pydantic_core_schema__(
        cls, source: type[datetime], handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        of_any_zone = core_schema.datetime_schema(tz_constraint="aware")
        return core_schema.union_schema(
            [
                core_schema.datetime_schema(tz_constraint=0),
                core_schema.no_info_after_validator_function(_to_utc, of_any_zone),
            ],
            mode="left_to_right",
            custom_error_type="utc_datetime",
            custom_error_message="Input should be a valid datetime with a time zone",
        )

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return handler(core_schema.datetime_schema())


UtcDatetime = Annotated[
    datetime, _Utc, PlainSerializer(_render_utc, return_type=str, when_used="json")
]
"""An aware time, normalised to UTC; a naive one is refused.

RFC 3339 with microseconds in JSON.
"""

Name = Annotated[
    str, StringConstraints(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]*$")
]
"""A configured name: source, data set, table, service.

No leading dot or hyphen, because names become parts of paths and arguments.
"""

Identifier = Annotated[str, StringConstraints(min_length=1, max_length=512)]
"""An identifier that a source gave: external ids, entity ids, event ids."""

FilePath = Annotated[str, StringConstraints(min_length=1, max_length=2048, pattern=r"^[^/]")]
"""A path below a source's root, `/`-separated, without a leading `/`.

Whether it may be opened is decided by `chassis.shares.paths`, against the server's own rules.
"""

ShortText = Annotated[str, StringConstraints(max_length=1000)]
"""A sentence for people: a reason, a message."""

LARGEST = 2**63 - 1
"""What a `bigint` of PostgreSQL holds; a larger number is a mistake or an attack."""

Whole = Annotated[int, Field(ge=0, le=LARGEST)]
"""A size, a count, a sequence."""

Ordinal = Annotated[int, Field(ge=1, le=LARGEST)]
"""Counts from one: a version."""

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
"""A SHA-256 digest in lower-case hexadecimal."""


def _is_json(value: Any) -> bool:
    """Return whether JSON has a form for `value` (it has none for NaN and infinity)."""
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_json(item) for key, item in value.items())
    if isinstance(value, list | tuple):
        return all(_is_json(item) for item in value)
    return value is None or isinstance(value, str | int)


def _only_json(value: dict[str, Any]) -> dict[str, Any]:
    if not _is_json(value):
        raise ValueError(
            "only what JSON can carry: texts, finite numbers, booleans, lists, objects"
        )
    return value


JsonObject = Annotated[dict[str, Any], AfterValidator(_only_json)]
"""A JSON object whose shape belongs to a source, not to Penstock.

What JSON cannot carry is refused where the message is made: rendering would silently write `null`
for it.
"""


class Message(BaseModel):
    """Base of everything in an envelope: frozen; readers ignore fields they do not know yet.

    Error texts name fields and never quote values, which may be secret.
    """

    model_config = ConfigDict(
        frozen=True, extra="ignore", hide_input_in_errors=True, cache_strings="keys"
    )


@cache
def column_of(model: type[BaseModel], name: str) -> TypeAdapter[list[Any]]:
    """Return what validates a list of values of one field as the model does one by one.

    Raises:
        TypeError: the model has validators of its own, which this would pass by.
    """
    own = model.__pydantic_decorators__
    if own.field_validators or own.model_validators:
        raise TypeError(f"`{model.__name__}` has validators that a column of values does not meet")
    field = model.model_fields[name]
    kind: Any = Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation
    return TypeAdapter(list[kind], config=ConfigDict(hide_input_in_errors=True))
