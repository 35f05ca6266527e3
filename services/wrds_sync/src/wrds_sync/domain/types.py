"""Which Arrow type keeps every value of a PostgreSQL type, and how the server is asked to write it.

A type that Arrow has no exact counterpart for stays text, as PostgreSQL writes it: a guess that is
right most of the time is a silent error the rest of the time.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto

import pyarrow as pa

from wrds_sync.errors import DatasetConfigError

MAX_DECIMAL128_DIGITS = 38
MAX_DECIMAL256_DIGITS = 76

_MODIFIER_HEADER = 4
_SCALE_BITS = 0x7FF
_SCALE_SIGN = 0x400
_DECIMAL = re.compile(r"decimal(?P<bits>128|256)?\(\s*(?P<digits>\d+)\s*,\s*(?P<scale>\d+)\s*\)")

_EXACT: Mapping[str, pa.DataType] = {
    "bool": pa.bool_(),
    "int2": pa.int16(),
    "int4": pa.int32(),
    "int8": pa.int64(),
    "oid": pa.int64(),
    "float4": pa.float32(),
    "float8": pa.float64(),
    "date": pa.date32(),
    "time": pa.time64("us"),
    "timestamp": pa.timestamp("us"),
    "timestamptz": pa.timestamp("us", tz="UTC"),
    "bytea": pa.binary(),
}

_STRINGS = frozenset({"text", "varchar", "bpchar", "json"})
_NUMBERS = frozenset(
    {"bool", "int2", "int4", "int8", "float4", "float8", "date", "timestamp", "timestamptz"}
)
_CAST_AS_WRITTEN = (_NUMBERS - {"bool"}) | frozenset(
    {"text", "varchar", "oid", "numeric", "time", "timetz", "interval", "uuid", "jsonb"}
)
"""Types whose cast to text is what they write themselves; a `char(n)` would lose its padding."""


class Wire(Enum):
    """How a column travels."""

    TEXT = auto()
    """As PostgreSQL's own text output."""

    DAYS = auto()
    """A date as days since 1970: shorter, cheaper at both ends, and right before Christ."""

    HEX = auto()
    """Bytes as pairs of digits."""


class Binary(Enum):
    """How a column travels where a table is copied in PostgreSQL's binary form."""

    BYTES = auto()
    """A string's own bytes."""

    NUMBER = auto()
    """A number of fixed width."""

    JSON = auto()
    """The server's text behind a byte that tells the version."""

    UUID = auto()
    """Sixteen bytes; writing them as digits is cheaper here than there."""

    AS_TEXT = auto()
    """Cast to text by the server, and read as text travels otherwise."""


_OWN_BINARY = {"jsonb": Binary.JSON, "uuid": Binary.UUID}


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogColumn:
    """A column as the server's catalogue describes it; domains are resolved to their base type."""

    name: str
    source_type: str
    """With its modifier, as `format_type` writes it."""

    base_type: str
    """The catalogue's short name (`numeric`); empty for a type that is not PostgreSQL's own."""

    modifier: int = -1
    is_nullable: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnPlan:
    """How one column travels and is stored."""

    name: str
    source_type: str
    wire: Wire
    binary: Binary | None
    """None: there is no binary form that is known to be exact."""

    stored: pa.DataType
    is_nullable: bool = True


def plan_column(column: CatalogColumn, declared: str | None = None) -> ColumnPlan:
    """Choose the stored type: the declared one, else the one that keeps every value.

    A declared type is no cast: the server's text is read as that type, and a value that does not
    fit ends the copy. `int32` for whole numbers in a float column is therefore safe.

    Raises:
        DatasetConfigError: no such type, or none that this column could be read as.
    """
    stored = exact_type(column) if declared is None else declared_type(column, declared)
    return ColumnPlan(
        name=column.name,
        source_type=column.source_type,
        wire=_wire(column, stored),
        binary=_binary(column, stored),
        stored=stored,
        is_nullable=column.is_nullable,
    )


def exact_type(column: CatalogColumn) -> pa.DataType:
    """Return the Arrow type that keeps every value; text where there is none."""
    if column.base_type == "numeric":
        return _numeric(column.modifier)
    return _EXACT.get(column.base_type, pa.string())


def declared_type(column: CatalogColumn, declared: str) -> pa.DataType:
    """Return the type that the configuration wants for a column.

    Raises:
        DatasetConfigError: no such type, or bytes are involved, which have one form only.
    """
    wanted = _parse(column.name, declared)
    if wanted == exact_type(column):
        return wanted
    is_readable = (
        pa.types.is_string(wanted)
        or pa.types.is_integer(wanted)
        or pa.types.is_floating(wanted)
        or pa.types.is_decimal(wanted)
        or wanted in _EXACT.values()
    )
    if not is_readable or "bytea" in (column.base_type, _name_of(wanted)):
        raise DatasetConfigError(
            f"`{column.name}` is {column.source_type} and cannot be stored as `{declared}`",
            column=column.name,
        )
    return wanted


def _name_of(wanted: pa.DataType) -> str:
    return "bytea" if pa.types.is_binary(wanted) else ""


def _parse(name: str, declared: str) -> pa.DataType:
    try:
        if found := _DECIMAL.fullmatch(declared.strip()):
            digits, scale = int(found["digits"]), int(found["scale"])
            bits = found["bits"] or ("256" if digits > MAX_DECIMAL128_DIGITS else "128")
            return (pa.decimal256 if bits == "256" else pa.decimal128)(digits, scale)
        if declared == "timestamp[us, tz=UTC]":
            return pa.timestamp("us", tz="UTC")
        return pa.type_for_alias(declared)
    except ValueError as error:
        raise DatasetConfigError(
            f"`{name}`: there is no Arrow type `{declared}`", column=name
        ) from error


def _numeric(modifier: int) -> pa.DataType:
    """Return the decimal type of a `numeric`; its digits and scale are packed into the modifier."""
    if modifier < _MODIFIER_HEADER:
        return pa.string()  # any number of digits: only text keeps them all
    packed = modifier - _MODIFIER_HEADER
    digits, raw = packed >> 16, packed & _SCALE_BITS
    scale = (raw ^ _SCALE_SIGN) - _SCALE_SIGN
    # Parquet knows neither a negative scale nor one above the number of digits.
    digits, scale = (digits - scale, 0) if scale < 0 else (max(digits, scale), scale)
    if digits <= MAX_DECIMAL128_DIGITS:
        return pa.decimal128(digits, scale)
    return pa.decimal256(digits, scale) if digits <= MAX_DECIMAL256_DIGITS else pa.string()


def _wire(column: CatalogColumn, stored: pa.DataType) -> Wire:
    if column.base_type == "date" and pa.types.is_date32(stored):
        return Wire.DAYS
    return Wire.HEX if pa.types.is_binary(stored) else Wire.TEXT


def _binary(column: CatalogColumn, stored: pa.DataType) -> Binary | None:
    if column.base_type in _STRINGS and pa.types.is_string(stored):
        return Binary.BYTES
    if column.base_type in _NUMBERS and stored == _EXACT[column.base_type]:
        return Binary.NUMBER
    if column.base_type in _OWN_BINARY and pa.types.is_string(stored):
        return _OWN_BINARY[column.base_type]
    return Binary.AS_TEXT if column.base_type in _CAST_AS_WRITTEN else None
