"""Blocks of COPY text, as PostgreSQL writes them, and what must come out."""

from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wrds_sync.adapters.postgres_copy_text import NULL, BlockParser
from wrds_sync.domain.types import CatalogColumn, ColumnPlan, plan_column
from wrds_sync.errors import UnstorableValueError

_ESCAPED = {
    "\\": r"\\",
    "\b": r"\b",
    "\f": r"\f",
    "\n": r"\n",
    "\r": r"\r",
    "\t": r"\t",
    "\v": r"\v",
}


def plan(
    base_type: str, name: str = "c", modifier: int = -1, declared: str | None = None
) -> ColumnPlan:
    return plan_column(
        CatalogColumn(name=name, source_type=base_type, base_type=base_type, modifier=modifier),
        declared,
    )


def numeric(digits: int, scale: int) -> ColumnPlan:
    return plan("numeric", modifier=(digits << 16 | scale) + 4)


def column(of: ColumnPlan, *fields: str) -> list[Any]:
    """Parse a block with one column; each field is a row, as it is on the wire."""
    block = "".join(f"{field}\n" for field in fields).encode()
    batch = BlockParser([of]).parse(block)
    assert batch.schema.field(0).type == of.stored
    batch.validate(full=True)
    return list(batch.column(0).to_pylist())


def test_null_and_the_empty_string_differ() -> None:
    assert column(plan("text"), "", NULL, "x") == ["", None, "x"]


def test_escapes_are_undone() -> None:
    fields = (r"tab\tnew\nline", r"\\n", r"\\\\", r"\\\n", r"C:\\temp\\", r"\b\f\r\v")

    assert column(plan("text"), *fields) == [
        "tab\tnew\nline",
        "\\n",
        "\\\\",
        "\\\n",
        "C:\\temp\\",
        "\b\f\r\v",
    ]


def test_what_looks_like_another_programs_null_is_a_string() -> None:
    fields = ("NULL", r"\\N", "NaN", "nan", "N/A", "null", '""', '"')

    assert column(plan("text"), *fields) == ["NULL", "\\N", "NaN", "nan", "N/A", "null", '""', '"']


def test_strings_keep_quotes_spaces_and_every_script() -> None:
    fields = ('say "no"', "  padded  ", "Zürich 東京 🏦", "a,b;c|d", "'")

    assert column(plan("bpchar"), *fields) == list(fields)


def test_a_byte_order_mark_at_the_start_of_a_block_is_part_of_the_value() -> None:
    assert column(plan("text"), "\ufeffa", "\ufeffb") == ["\ufeffa", "\ufeffb"]


def test_a_row_of_one_empty_string_is_a_row() -> None:
    assert column(plan("text"), "", "") == ["", ""]


def test_a_block_of_nulls_is_read() -> None:
    for base_type in ("text", "date", "bytea", "float8", "bool", "timestamptz"):
        assert column(plan(base_type), NULL, NULL) == [None, None]


@settings(deadline=None)
@given(st.lists(st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"))))
def test_every_text_survives(texts: list[str]) -> None:
    fields = ["".join(_ESCAPED.get(letter, letter) for letter in text) for text in texts]
    if fields:
        assert column(plan("text"), *fields) == texts


@settings(deadline=None)
@given(st.lists(st.one_of(st.none(), st.binary(max_size=40)), min_size=1))
def test_every_byte_survives(values: list[bytes | None]) -> None:
    fields = [NULL if value is None else value.hex() for value in values]

    assert column(plan("bytea"), *fields) == values


def test_numerics_are_decimals_of_their_own_precision() -> None:
    assert column(numeric(11, 5), "181.54339", "-0.00001", "0.00000", NULL) == [
        Decimal("181.54339"),
        Decimal("-0.00001"),
        Decimal("0.00000"),
        None,
    ]


def test_thirty_eight_and_seventy_six_digits_are_exact() -> None:
    long = "1" * 28 + ".0123456789"
    longer = "-" + "9" * 66 + ".0123456789"

    assert column(numeric(38, 10), long) == [Decimal(long)]
    assert column(numeric(76, 10), longer, NULL) == [Decimal(longer), None]


def test_a_numeric_without_limits_keeps_every_digit_and_trailing_zero() -> None:
    fields = ("3.14159265358979323846264338327950288419716939937510", "1.500", "NaN", "Infinity")

    assert column(plan("numeric"), *fields) == list(fields)


def test_floats_are_exact_to_the_last_bit() -> None:
    fields = ("0.1", "1.6666666666666665", "5e-324", "1.7976931348623157e+308", "-0")

    values = column(plan("float8"), *fields)

    assert [value.hex() for value in values] == [float(field).hex() for field in fields]


def test_floats_may_be_infinite_or_no_number_and_are_not_null() -> None:
    values = column(plan("float8"), "NaN", "Infinity", "-Infinity", NULL)

    assert str(values) == "[nan, inf, -inf, None]"


def test_single_floats_stay_single() -> None:
    batch = BlockParser([plan("float4")]).parse(b"0.1\n3.4028235e+38\n1e-45\n")

    expected = pa.array([0.1, 3.4028235e38, 1e-45], pa.float32())
    assert batch.column(0).equals(expected)


def test_integers_reach_their_limits() -> None:
    assert column(plan("int2"), "-32768", "32767") == [-32768, 32767]
    assert column(plan("int8"), "-9223372036854775808") == [-9223372036854775808]
    assert column(plan("oid"), "4294967295") == [4294967295]


def test_booleans_are_booleans() -> None:
    assert column(plan("bool"), "t", "f", NULL) == [True, False, None]


def test_dates_reach_from_the_bronze_age_to_the_far_future() -> None:
    batch = BlockParser([plan("date")]).parse(b"0\n-735635\n-2440588\n2145031948\n")

    days = batch.column(0).cast(pa.int32()).to_pylist()
    assert days == [0, -735635, -2440588, 2145031948]
    assert batch.column(0)[0].as_py() == date(1970, 1, 1)


def test_times_keep_microseconds() -> None:
    assert column(plan("time"), "23:59:59.999999", "00:00:00", "12:30:00.5") == [
        time(23, 59, 59, 999999),
        time(0),
        time(12, 30, 0, 500000),
    ]


def test_timestamps_keep_microseconds_and_are_in_utc() -> None:
    assert column(plan("timestamp"), "1925-12-31 16:00:00.000001", "9999-12-31 23:59:59.5") == [
        datetime(1925, 12, 31, 16, 0, 0, 1),  # noqa: DTZ001 - has no zone at the source
        datetime(9999, 12, 31, 23, 59, 59, 500000),  # noqa: DTZ001
    ]
    batch = BlockParser([plan("timestamptz")]).parse(b"2024-03-10 07:00:00+00\n")
    assert batch.column(0).cast(pa.int64()).to_pylist() == [
        int(datetime(2024, 3, 10, 7, tzinfo=UTC).timestamp()) * 1_000_000
    ]


def test_whole_numbers_in_a_float_column_may_be_declared_integers() -> None:
    assert column(plan("float8", declared="int32"), "10001", NULL) == [10001, None]


@pytest.mark.parametrize(
    ("of", "field"),
    [
        (numeric(11, 5), "NaN"),
        (numeric(11, 5), "Infinity"),
        (numeric(60, 5), "NaN"),
        (plan("timestamp"), "infinity"),
        (plan("timestamp"), "-infinity"),
        (plan("timestamptz"), "0044-03-15 12:00:00+00 BC"),
        (plan("timestamp"), "12024-01-01 00:00:00"),
        (plan("time"), "24:00:00"),
        (plan("float8", declared="int32"), "10001.5"),
        (plan("float8", declared="int32"), "1e+15"),
        (plan("numeric", declared="decimal128(10, 2)"), "1.001"),
        (plan("numeric", declared="decimal128(10, 2)"), "123456789.00"),
    ],
)
def test_a_value_that_does_not_fit_ends_the_copy_and_names_the_column(
    of: ColumnPlan, field: str
) -> None:
    with pytest.raises(UnstorableValueError, match="`c`") as caught:
        column(of, NULL, field)

    assert caught.value.facts["column"] == "c"
    assert field not in str(caught.value)  # licensed data stay out of logs
    assert caught.value.__cause__ is None


def test_the_right_column_is_named_in_a_wide_row() -> None:
    plans = [plan("text", f"c{number}") for number in range(30)]
    plans[17] = plan("int4", "bad")

    with pytest.raises(UnstorableValueError, match="`bad`"):
        BlockParser(plans).parse(b"\t".join([b"x"] * 30) + b"\n")


def test_columns_may_be_called_like_anything() -> None:
    plans = [plan("text", "1"), plan("text", "0"), plan("int4", 'we"ird')]

    batch = BlockParser(plans).parse(b"a\tb\t3\n")

    assert batch.to_pylist() == [{"1": "a", "0": "b", 'we"ird': 3}]


def test_bytes_that_are_no_utf8_end_the_copy() -> None:
    with pytest.raises(UnstorableValueError, match="`c`"):
        BlockParser([plan("text")]).parse(b"\xff\xfe\n")
