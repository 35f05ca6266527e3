"""Blocks of binary COPY, written by hand, and what must come out."""

import struct
from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wrds_sync.adapters.postgres_copy_binary import BinaryParser
from wrds_sync.domain.columns import ROW_MARK
from wrds_sync.domain.types import CatalogColumn, ColumnPlan, plan_column
from wrds_sync.errors import SourceUnavailableError, UnstorableValueError

HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
TRAILER = b"\xff\xff"
DAY_US = 86_400_000_000

Fields = Sequence[bytes | None]


def plan(base_type: str, name: str = "c", modifier: int = -1) -> ColumnPlan:
    return plan_column(
        CatalogColumn(name=name, source_type=base_type, base_type=base_type, modifier=modifier)
    )


def row(fields: Fields) -> bytes:
    written = [ROW_MARK, *fields]
    parts = [
        struct.pack(">i", -1) if field is None else struct.pack(">i", len(field)) + field
        for field in written
    ]
    return struct.pack(">h", len(written)) + b"".join(parts)


def column(of: ColumnPlan, *fields: bytes | None) -> list[Any]:
    block = HEADER + b"".join(row([field]) for field in fields) + TRAILER
    batch = BinaryParser([of]).parse(block)
    assert batch.schema.field(0).type == of.stored
    batch.validate(full=True)
    return list(batch.column(0).to_pylist())


def test_strings_are_their_bytes() -> None:
    fields = (b"", None, b"tab\tnew\nline", b"\\N", "Zürich 東京 🏦".encode(), b"\x0b")

    for base_type in ("text", "varchar", "bpchar", "json"):
        assert column(plan(base_type), *fields) == [
            "",
            None,
            "tab\tnew\nline",
            "\\N",
            "Zürich 東京 🏦",
            "\v",
        ]


@pytest.mark.parametrize("length", [0, 1, 3, 4, 5, 11, 12, 13])
def test_a_short_string_may_be_the_last_of_a_block(length: int) -> None:
    text = "abcdefghijklm"[:length]

    batch = BinaryParser([plan("text")]).parse(
        row([b"long enough to lie elsewhere"]) + row([text.encode()])
    )

    batch.validate(full=True)
    assert batch.column(0).to_pylist() == ["long enough to lie elsewhere", text]


def test_bytes_that_are_no_utf8_are_found_in_strings_of_any_length() -> None:
    for text in (b"\xff", b"a" * 11 + b"\xff", b"a" * 12 + b"\xff"):
        with pytest.raises(UnstorableValueError, match="`c`"):
            column(plan("text"), None, text)


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(
            st.one_of(st.none(), st.text(st.characters(exclude_categories=["Cs"]), max_size=30)),
            st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1)),
        ),
        min_size=1,
    )
)
def test_every_text_and_number_survives(values: list[tuple[str | None, int | None]]) -> None:
    plans = [plan("text", "s"), plan("int8", "n")]
    rows = [
        row([s if s is None else s.encode(), n if n is None else struct.pack(">q", n)])
        for s, n in values
    ]

    batch = BinaryParser(plans).parse(b"".join(rows))

    assert list(zip(*batch.to_pydict().values(), strict=True)) == values


def test_json_is_the_text_behind_its_version() -> None:
    fields = (b'\x01{"a": 1}', None, b'\x01"longer than twelve"', b"\x01[]", None)

    assert column(plan("jsonb"), *fields) == ['{"a": 1}', None, '"longer than twelve"', "[]", None]
    assert BinaryParser([plan("jsonb")]).parse(row([None])).column(0).to_pylist() == [None]
    for unknown in (b"\x02{}", b""):
        with pytest.raises(SourceUnavailableError):
            column(plan("jsonb"), b"\x01{}", unknown)


def test_a_uuid_is_written_with_digits() -> None:
    first, second = UUID("df2a98a5-1517-a4d2-f424-ea5dc35a5a5b"), UUID(int=0)

    assert column(plan("uuid"), first.bytes, None, second.bytes) == [
        "df2a98a5-1517-a4d2-f424-ea5dc35a5a5b",
        None,
        "00000000-0000-0000-0000-000000000000",
    ]
    with pytest.raises(SourceUnavailableError):
        column(plan("uuid"), first.bytes[:15])


def test_numbers_reach_their_limits() -> None:
    assert column(plan("int2"), struct.pack(">h", -32768), None) == [-32768, None]
    assert column(plan("int4"), struct.pack(">i", 2**31 - 1)) == [2147483647]
    assert column(plan("float4"), struct.pack(">f", 0.1)) == [0.10000000149011612]
    floats = column(plan("float8"), *(struct.pack(">d", x) for x in (5e-324, -0.0)), None)
    assert [None if x is None else x.hex() for x in floats] == [
        "0x0.0000000000001p-1022",
        "-0x0.0p+0",
        None,
    ]
    assert column(plan("bool"), b"\1", b"\0", None) == [True, False, None]


def test_floats_may_be_infinite_or_no_number_and_are_not_null() -> None:
    fields = [struct.pack(">d", value) for value in (float("nan"), float("-inf"))]

    assert str(column(plan("float8"), *fields, None)) == "[nan, -inf, None]"


def test_dates_are_days_since_1970() -> None:
    assert column(plan("date"), struct.pack(">i", -16072), None) == [date(1925, 12, 31), None]


def test_timestamps_count_from_2000() -> None:
    noon = datetime(2000, 1, 2, 0, 0, 0, 5)  # noqa: DTZ001 - has no zone at the source
    assert column(plan("timestamp"), struct.pack(">q", DAY_US + 5), None) == [noon, None]
    assert column(plan("timestamptz"), struct.pack(">q", 0)) == [datetime(2000, 1, 1, tzinfo=UTC)]
    # Days from year 1 to 2000, and from 2000 to the end of year 9999.
    first, last = -730_119 * DAY_US, 2_921_940 * DAY_US - 1
    assert column(plan("timestamp"), struct.pack(">q", first), struct.pack(">q", last)) == [
        datetime(1, 1, 1),  # noqa: DTZ001
        datetime(9999, 12, 31, 23, 59, 59, 999999),  # noqa: DTZ001
    ]


@pytest.mark.parametrize("value", [2**63 - 1, -(2**63), -730_119 * DAY_US - 1, 2_921_940 * DAY_US])
def test_timestamps_that_text_could_not_hold_are_refused_here_too(value: int) -> None:
    with pytest.raises(UnstorableValueError, match="`c`"):
        column(plan("timestamp"), None, struct.pack(">q", value))


def test_other_types_travel_as_text_and_are_read_as_text() -> None:
    money = plan("numeric", modifier=(11 << 16 | 5) + 4)

    assert column(money, b"-0.00001", None) == [Decimal("-0.00001"), None]
    assert column(money, None) == [None]
    assert column(plan("numeric"), b"1.500", b"NaN") == ["1.500", "NaN"]
    with pytest.raises(UnstorableValueError, match="`c`") as caught:
        column(money, b"1.00000", b"NaN")
    assert caught.value.__cause__ is None


def test_a_block_ends_before_the_last_row_that_has_begun() -> None:
    parser = BinaryParser([plan("text")])
    rows = [row([b"one"]), row([b"two"]), row([b"three"])]

    whole = len(HEADER + rows[0] + rows[1])
    assert parser.cut(HEADER + b"".join(rows)) == whole
    assert parser.cut(HEADER + b"".join(rows)[:-20]) == len(HEADER + rows[0])
    assert parser.cut(b"".join(rows)[:5]) == 0
    assert parser.parse(HEADER).num_rows == 0
    assert parser.parse(HEADER + TRAILER).num_rows == 0


def test_a_value_that_ends_like_the_stream_is_a_value() -> None:
    batch = BinaryParser([plan("int2")]).parse(row([TRAILER]))

    assert batch.column(0).to_pylist() == [-1]


@pytest.mark.parametrize(
    "block",
    [
        row([b"whole"]) + row([b"half"])[:-1],
        row([b"whole"]) + b"?" + row([b"whole"]),
        row([b"whole"]) + b"?",
        b"?" + row([b"whole"]),
        row([b"whole"])[:12],
    ],
)
def test_rows_that_do_not_fit_together_are_never_guessed_at(block: bytes) -> None:
    with pytest.raises(SourceUnavailableError):
        BinaryParser([plan("text")]).parse(block)


def test_a_number_of_another_width_is_never_guessed_at() -> None:
    with pytest.raises(SourceUnavailableError):
        column(plan("int4"), struct.pack(">q", 1))


def test_no_field_can_look_like_the_mark() -> None:
    never_in_utf8 = {0xC0, 0xC1, *range(0xF5, 0xFF)}

    assert set(ROW_MARK) <= never_in_utf8
    assert len(ROW_MARK) > len(UUID(int=0).bytes)
    assert plan("bytea").binary is None
    assert pa.types.is_binary(plan("bytea").stored)
