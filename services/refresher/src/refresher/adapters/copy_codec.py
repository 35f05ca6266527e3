"""The binary forms of PostgreSQL's types, one value at a time."""

import struct
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, TypeAlias
from uuid import UUID

from refresher.domain.catalog import TypeKind

Decode: TypeAlias = Callable[[bytes], Any]
Encode: TypeAlias = Callable[[Any], bytes]


def codec(kind: TypeKind, base: str) -> tuple[Decode, Encode]:
    """Return how a type's binary form is read and written."""
    if base == "jsonb":
        return (lambda raw: raw[1:].decode()), (lambda text: b"\x01" + text.encode())
    if kind is TypeKind.INTEGER:
        width = {"int2": 2, "int4": 4, "int8": 8}[base]
        return _read_integer, lambda number: number.to_bytes(width, "big", signed=True)
    if kind is TypeKind.FLOAT:
        form = struct.Struct(">f" if base == "float4" else ">d")
        return (lambda raw: form.unpack(raw)[0]), form.pack
    return _CODECS.get(kind, (bytes, bytes))


def _read_integer(raw: bytes) -> int:
    return int.from_bytes(raw, "big", signed=True)


_EPOCH = datetime(2000, 1, 1)  # noqa: DTZ001 - PostgreSQL counts without a zone from here
_FIRST_DAY = date(2000, 1, 1)
_MICROSECOND = timedelta(microseconds=1)


def _read_date(raw: bytes) -> date | None:
    try:
        return _FIRST_DAY + timedelta(days=_read_integer(raw))
    except OverflowError:
        return None  # infinite, or beyond the year 9999: becomes null rather than pass


def _write_date(value: date) -> bytes:
    return (value - _FIRST_DAY).days.to_bytes(4, "big", signed=True)


def _read_moment(raw: bytes) -> datetime | None:
    try:
        return _EPOCH + timedelta(microseconds=_read_integer(raw))
    except OverflowError:
        return None


def _write_moment(value: datetime) -> bytes:
    plain = value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value
    return ((plain - _EPOCH) // _MICROSECOND).to_bytes(8, "big", signed=True)


_GROUP = 4  # decimal digits in one digit of a binary numeric
_NEGATIVE, _POSITIVE = 0x4000, 0x0000
_numeric_head = struct.Struct(">HhHH")


def _read_numeric(raw: bytes) -> Decimal | None:
    count, weight, sign, scale = _numeric_head.unpack_from(raw)
    if sign not in (_NEGATIVE, _POSITIVE):
        return None  # not a number, or infinite
    digits = struct.unpack_from(f">{count}H", raw, _numeric_head.size)
    text = "".join(f"{digit:04}" for digit in digits) or "0"
    value = Decimal(text).scaleb(_GROUP * (weight - count + 1))
    value = value.quantize(Decimal(1).scaleb(-scale))
    return -value if sign == _NEGATIVE else value


def _write_numeric(value: Decimal) -> bytes:
    sign, digits, exponent = value.as_tuple()
    scale = -int(exponent)
    text = "".join(map(str, digits)).rjust(scale + 1, "0")
    whole, fraction = text[: len(text) - scale], text[len(text) - scale :]
    whole = whole.rjust(-(-len(whole) // _GROUP) * _GROUP, "0")
    fraction = fraction.ljust(-(-len(fraction) // _GROUP) * _GROUP, "0")
    joined = whole + fraction
    groups = [int(joined[place : place + _GROUP]) for place in range(0, len(joined), _GROUP)]
    weight = len(whole) // _GROUP - 1
    while groups and groups[0] == 0:
        groups.pop(0)
        weight -= 1
    while groups and groups[-1] == 0:
        groups.pop()
    head = _numeric_head.pack(
        len(groups), weight if groups else 0, _NEGATIVE if sign and groups else _POSITIVE, scale
    )
    return head + struct.pack(f">{len(groups)}H", *groups)


_CODECS: dict[TypeKind, tuple[Decode, Encode]] = {
    TypeKind.TEXT: (lambda raw: raw.decode(), lambda text: text.encode()),
    TypeKind.JSON: (lambda raw: raw.decode(), lambda text: text.encode()),
    TypeKind.NUMERIC: (_read_numeric, _write_numeric),
    TypeKind.DATE: (_read_date, _write_date),
    TypeKind.TIMESTAMP: (_read_moment, _write_moment),
    TypeKind.TIMESTAMPTZ: (_read_moment, _write_moment),
    TypeKind.UUID: (lambda raw: UUID(bytes=raw), lambda value: value.bytes),
}
