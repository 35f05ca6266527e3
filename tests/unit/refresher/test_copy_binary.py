"""Masking inside PostgreSQL's binary COPY format, however the stream is cut into chunks."""

import struct
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refresher.adapters.copy_binary import MaskedStream, codec
from refresher.domain.catalog import TypeKind
from refresher.domain.config import MaskMethod
from refresher.domain.masking import Masker
from refresher.domain.plan import Mask
from refresher.domain.shapes import mask_text
from tests.unit.refresher.test_masking import mask

KEY = b"k" * 32
HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)


def rows(*rows_: tuple[bytes | None, ...]) -> bytes:
    out = [HEADER]
    for row in rows_:
        out.append(struct.pack(">h", len(row)))
        out += [
            struct.pack(">i", -1 if field is None else len(field)) + (field or b"") for field in row
        ]
    return b"".join([*out, struct.pack(">h", -1)])


def stream(*maskers: Masker | None) -> MaskedStream:
    return MaskedStream([(TypeKind.TEXT, "text", masker) for masker in maskers])


def personal(mask_: Mask | None = None) -> Masker:
    return Masker(mask_ or mask(TypeKind.TEXT), KEY)


@given(st.lists(st.integers(1, 40), max_size=20))
def test_chunks_of_any_size_come_out_as_the_same_stream(sizes: list[int]) -> None:
    name = mask_text("Ann", hmac_of("personal"))
    data = rows((b"1", b"Ann", None), (b"2", None, b"x"), (b"3", b"", b"Ann"))
    expected = rows((b"1", name.encode(), None), (b"2", None, b"x"), (b"3", b"", b"Ann"))
    masker = personal()
    masked = stream(None, masker, None)
    out, position = b"", 0
    for size in [*sizes, len(data)]:
        out += masked.feed(data[position : position + size])
        position += size
    assert HEADER + out[len(HEADER) :] == expected
    assert masked.rows == 3
    assert (masker.proof.masked, masker.proof.empty) == (1, 2)


def hmac_of(name: str) -> bytes:
    import hmac  # noqa: PLC0415

    return hmac.digest(KEY, name.encode(), "sha256")


def test_a_column_that_is_emptied_becomes_null() -> None:
    masked = stream(personal(mask(TypeKind.TEXT, MaskMethod.NULL)))
    assert masked.feed(rows((b"secret",))) == rows((None,))


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
