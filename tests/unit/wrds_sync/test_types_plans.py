"""PostgreSQL type → Arrow type, each pair written by hand."""

import pyarrow as pa
import pytest

from wrds_sync.domain.types import Binary, CatalogColumn, Wire, plan_column
from wrds_sync.errors import DatasetConfigError


def column(base_type: str, modifier: int = -1) -> CatalogColumn:
    return CatalogColumn(name="c", source_type=base_type, base_type=base_type, modifier=modifier)


def numeric(digits: int, scale: int) -> CatalogColumn:
    """As the catalogue packs it: digits above, eleven bits of scale below, plus four."""
    return column("numeric", (digits << 16 | scale & 0x7FF) + 4)


@pytest.mark.parametrize(
    ("base_type", "stored"),
    [
        ("bool", "bool"),
        ("int2", "int16"),
        ("int4", "int32"),
        ("int8", "int64"),
        ("oid", "int64"),
        ("float4", "float"),
        ("float8", "double"),
        ("date", "date32[day]"),
        ("time", "time64[us]"),
        ("timestamp", "timestamp[us]"),
        ("timestamptz", "timestamp[us, tz=UTC]"),
        ("bytea", "binary"),
        ("varchar", "string"),
        ("bpchar", "string"),
        ("text", "string"),
        ("jsonb", "string"),
        ("uuid", "string"),
        ("interval", "string"),
        ("timetz", "string"),
        ("money", "string"),
        ("_int4", "string"),
        ("", "string"),
    ],
)
def test_a_type_is_kept_exactly_or_as_text(base_type: str, stored: str) -> None:
    assert str(plan_column(column(base_type)).stored) == stored


@pytest.mark.parametrize(
    ("digits", "scale", "stored"),
    [
        (11, 5, "decimal128(11, 5)"),
        (38, 10, "decimal128(38, 10)"),
        (39, 10, "decimal256(39, 10)"),
        (76, 0, "decimal256(76, 0)"),
        (77, 0, "string"),
        (3, -2, "decimal128(5, 0)"),
        (3, 5, "decimal128(5, 5)"),
    ],
)
def test_a_numeric_keeps_its_digits(digits: int, scale: int, stored: str) -> None:
    assert str(plan_column(numeric(digits, scale)).stored) == stored


def test_a_numeric_without_limits_stays_text() -> None:
    assert plan_column(column("numeric")).stored == pa.string()


@pytest.mark.parametrize(
    ("base_type", "declared", "stored"),
    [
        ("numeric", "float64", "double"),
        ("numeric", "double", "double"),
        ("numeric", "decimal128(20, 6)", "decimal128(20, 6)"),
        ("numeric", "decimal(40, 6)", "decimal256(40, 6)"),
        ("float8", "int32", "int32"),
        ("float8", "int64", "int64"),
        ("date", "string", "string"),
        ("timestamp", "string", "string"),
        ("timestamptz", "timestamp[us, tz=UTC]", "timestamp[us, tz=UTC]"),
    ],
)
def test_a_declared_type_is_taken(base_type: str, declared: str, stored: str) -> None:
    assert str(plan_column(column(base_type), declared).stored) == stored


@pytest.mark.parametrize(
    ("base_type", "declared"),
    [
        ("int4", "number"),
        ("numeric", "decimal128(39, 2)"),
        ("bytea", "string"),
        ("text", "binary"),
        ("text", "list<int32>"),
    ],
)
def test_an_impossible_declaration_is_refused(base_type: str, declared: str) -> None:
    with pytest.raises(DatasetConfigError, match="`c`"):
        plan_column(column(base_type), declared)


def test_a_date_travels_as_days_unless_it_is_declared_as_text() -> None:
    assert plan_column(column("date")).wire is Wire.DAYS
    assert plan_column(column("date"), "string").wire is Wire.TEXT
    assert plan_column(column("bytea")).wire is Wire.HEX


@pytest.mark.parametrize(
    ("base_type", "declared", "binary"),
    [
        ("text", None, Binary.BYTES),
        ("bpchar", None, Binary.BYTES),
        ("float8", None, Binary.NUMBER),
        ("date", None, Binary.NUMBER),
        ("timestamptz", None, Binary.NUMBER),
        ("float8", "int32", Binary.AS_TEXT),
        ("date", "string", Binary.AS_TEXT),
        ("varchar", "int32", Binary.AS_TEXT),
        ("jsonb", None, Binary.JSON),
        ("uuid", None, Binary.UUID),
        ("jsonb", "int32", Binary.AS_TEXT),
        ("time", None, Binary.AS_TEXT),
        # Their cast to text is not what they write: padding cut, `true` for `t`, `/32` added.
        ("bpchar", "int32", None),
        ("bool", "string", None),
        ("inet", None, None),
        ("bytea", None, None),
        ("_int4", None, None),
        ("", None, None),
    ],
)
def test_only_exact_ways_are_taken_in_the_binary_form(
    base_type: str, declared: str | None, binary: Binary | None
) -> None:
    assert plan_column(column(base_type), declared).binary is binary
