"""Masking inside PostgreSQL's binary COPY format, however the stream is cut into chunks."""

import hmac
import struct
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, TypeAlias
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refresher.adapters.copy_binary import MaskedStream
from refresher.adapters.copy_codec import codec
from refresher.domain.catalog import TypeKind
from refresher.domain.config import MaskMethod
from refresher.domain.masking import Masker, mask_function
from refresher.domain.shapes import mask_text
from refresher.domain.verification import MaskProof
from refresher.errors import RefreshError
from tests.unit.refresher.test_masking import mask

KEY = b"k" * 32
HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
MARK = 0x0123456789ABCDEF

Row: TypeAlias = tuple[bytes | None, ...]


def rows(*rows_: Row, marked: bool = True) -> bytes:
    out = [HEADER]
    for row in rows_:
        fields = (struct.pack(">q", MARK), *row) if marked else row
        out.append(struct.pack(">h", len(fields)))
        out += [
            struct.pack(">i", -1 if field is None else len(field)) + (field or b"")
            for field in fields
        ]
    return b"".join([*out, struct.pack(">h", -1)])


def masker_of(kind: TypeKind, method: MaskMethod = MaskMethod.SHAPE, **facts: object) -> Masker:
    return Masker(mask(kind, method, **facts), KEY)


def passed(maskers: list[Masker], *rows_: Row) -> list[Row]:
    """Return the rows that come out of a stream."""
    stream = MaskedStream(maskers, width=len(rows_[0]), mark=MARK)
    stream.add(rows(*rows_))
    out = stream.masked() + stream.end()
    assert stream.rows == len(rows_)
    return list(read(out))


def read(data: bytes) -> Iterator[Row]:
    assert data.startswith(HEADER)
    position = len(HEADER)
    while (count := struct.unpack_from(">h", data, position)[0]) >= 0:
        position += 2
        fields: list[bytes | None] = []
        for _ in range(count):
            (length,) = struct.unpack_from(">i", data, position)
            position += 4
            fields.append(None if length < 0 else data[position : position + length])
            position += max(length, 0)
        yield tuple(fields)
    assert position + 2 == len(data)


@given(st.lists(st.integers(1, 40), max_size=20))
def test_chunks_of_any_size_come_out_as_the_same_stream(sizes: list[int]) -> None:
    name = mask_text("Ann", hmac.digest(KEY, b"personal", "sha256")).encode()
    data = rows((b"Ann", b"1", None), (None, b"2", b"x"), (b"", b"3", b"Ann"))
    expected = rows((name, b"1", None), (None, b"2", b"x"), (b"", b"3", b"Ann"), marked=False)
    masker = masker_of(TypeKind.TEXT)
    stream = MaskedStream([masker], width=3, mark=MARK)
    out, position = b"", 0
    for size in [*sizes, len(data)]:
        stream.add(data[position : position + size])
        out += stream.masked()
        position += size
    assert out + stream.end() == expected
    assert stream.rows == 3
    assert (masker.proof.masked, masker.proof.empty) == (1, 2)


def test_a_column_that_is_emptied_becomes_null() -> None:
    masker = masker_of(TypeKind.TEXT, MaskMethod.NULL)
    assert passed([masker], (b"secret", b"x"), (b"", b"y")) == [(None, b"x"), (None, b"y")]


VALUES: list[tuple[TypeKind, MaskMethod, dict[str, object], list[Any]]] = [
    (TypeKind.TEXT, MaskMethod.SHAPE, {}, ["Ann", "Jürgen", "x" * 3000, "é" * 2000, "7", "a-b"]),
    (TypeKind.INTEGER, MaskMethod.NUMBER, {"type": "smallint", "base": "int2"}, [0, 7, -7, 32767]),
    (TypeKind.INTEGER, MaskMethod.NUMBER, {"type": "integer", "base": "int4"}, [0, -1, 2**31 - 1]),
    (
        TypeKind.INTEGER,
        MaskMethod.SHAPE,
        {"type": "bigint", "base": "int8"},
        [1, 10**18, -(10**18), 2**63 - 1, -(2**63), -(2**63) + 1],
    ),
    (TypeKind.DATE, MaskMethod.DAY, {"base": "date"}, [date(1, 1, 1), date(2024, 2, 29)]),
    (
        TypeKind.TIMESTAMP,
        MaskMethod.DAY,
        {"base": "timestamp"},
        [datetime(1899, 12, 31, 23, 59), datetime(9999, 12, 31)],  # noqa: DTZ001 - as the server has it
    ),
    (TypeKind.UUID, MaskMethod.SHAPE, {"base": "uuid"}, [uuid4(), UUID(int=5)]),
    (TypeKind.NUMERIC, MaskMethod.NUMBER, {"base": "numeric"}, [Decimal("12.50"), Decimal(-3)]),
    (TypeKind.JSON, MaskMethod.SHAPE, {"base": "jsonb"}, ['{"a": "Ann", "b": [1, "Bob"]}', '"x"']),
]


@pytest.mark.parametrize(("kind", "method", "facts", "values"), VALUES)
def test_a_column_is_masked_as_its_values_would_be(
    kind: TypeKind, method: MaskMethod, facts: dict[str, object], values: list[Any]
) -> None:
    masker = masker_of(kind, method, **facts)
    decode, encode = codec(kind, masker.mask.base)
    out = passed([masker], *[(encode(value), None, b"!") for value in values])
    one_by_one = mask_function(masker.mask, KEY)
    assert [decode(row[0] or b"") for row in out] == [one_by_one(value) for value in values]
    assert all(row[1:] == (None, b"!") for row in out)
    assert masker.proof == MaskProof(masked=len(values))


def test_infinite_values_become_null_beside_others_that_are_masked() -> None:
    largest = (2**63 - 1).to_bytes(8, "big")
    lowest = (-(2**63)).to_bytes(8, "big", signed=True)
    masker = masker_of(TypeKind.TIMESTAMPTZ, MaskMethod.DAY, base="timestamptz")
    out = passed([masker], (largest, b"a"), (bytes(8), b"b"), (lowest, b"c"))
    assert [row[1] for row in out] == [b"a", b"b", b"c"]
    assert (out[0][0], out[2][0]) == (None, None)
    assert out[1][0] not in (None, bytes(8))


@pytest.mark.parametrize("cut", [1, 2, 30])
def test_a_stream_that_ends_too_early_is_refused(cut: int) -> None:
    stream = MaskedStream([masker_of(TypeKind.TEXT)], width=2, mark=MARK)
    stream.add(rows((b"Ann", b"1"), (b"Bob", b"2"))[:-cut])
    stream.masked()
    with pytest.raises(RefreshError):
        stream.end()


def test_a_row_that_says_another_length_than_it_has_is_refused() -> None:
    stream = MaskedStream([masker_of(TypeKind.TEXT)], width=1, mark=MARK)
    data = rows((b"Ann",)).replace(b"\0\0\0\3Ann", b"\0\0\0\x09Ann")
    stream.add(data)
    stream.masked()
    with pytest.raises(RefreshError, match="as long as it says"):
        stream.end()


@pytest.mark.parametrize(
    ("kind", "base", "value", "raw"),
    [
        (TypeKind.TEXT, "text", "é", b"\xc3\xa9"),
        (TypeKind.INTEGER, "int4", -2, b"\xff\xff\xff\xfe"),
        (TypeKind.INTEGER, "int8", 5, b"\0\0\0\0\0\0\0\5"),
        (TypeKind.JSON, "jsonb", "{}", b"\x01{}"),
        (TypeKind.JSON, "json", "{}", b"{}"),
        (TypeKind.DATE, "date", date(2000, 1, 3), b"\0\0\0\2"),
        (TypeKind.FLOAT, "float8", 1.5, b"\x3f\xf8\0\0\0\0\0\0"),
        (TypeKind.UUID, "uuid", UUID(int=1), bytes(15) + b"\1"),
        (TypeKind.BINARY, "bytea", b"ab", b"ab"),
    ],
)
def test_binary_forms_are_read_and_written(
    kind: TypeKind, base: str, value: Any, raw: bytes
) -> None:
    decode, encode = codec(kind, base)
    assert decode(raw) == value
    assert encode(value) == raw


@pytest.mark.parametrize(
    "text", ["0", "0.00", "1", "-1", "10000", "123456.789", "0.0001", "-99999999.9999", "1e3"]
)
def test_numerics_are_read_as_they_were_written(text: str) -> None:
    decode, encode = codec(TypeKind.NUMERIC, "numeric")
    value = Decimal(text).quantize(Decimal(1)) if "e" in text else Decimal(text)
    found = decode(encode(value))
    assert (found, str(found).lstrip("-")) == (value, str(value).lstrip("-"))


def test_moments_are_counted_from_the_year_2000() -> None:
    decode, encode = codec(TypeKind.TIMESTAMPTZ, "timestamptz")
    raw = encode(datetime(2000, 1, 1, 0, 0, 1, tzinfo=UTC))
    assert int.from_bytes(raw, "big") == 1_000_000
    assert decode(raw) == datetime(2000, 1, 1, 0, 0, 1)  # noqa: DTZ001 - as the server has it


def test_infinite_values_become_null_rather_than_pass() -> None:
    largest = (2**63 - 1).to_bytes(8, "big")
    decode, _ = codec(TypeKind.TIMESTAMP, "timestamp")
    assert decode(largest) is None
    assert codec(TypeKind.DATE, "date")[0]((2**31 - 1).to_bytes(4, "big")) is None
    assert codec(TypeKind.NUMERIC, "numeric")[0](struct.pack(">HhHH", 0, 0, 0xC000, 0)) is None
