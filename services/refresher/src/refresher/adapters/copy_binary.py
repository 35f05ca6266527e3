"""Masks columns inside a stream of PostgreSQL's binary COPY format, without unpacking the rest.

The stream is a header, then per row a count of fields, each with its length before it. Only the
fields that are masked become Python values; all other bytes pass as they are. Masks are remembered
for as long as they repeat.
"""

import struct
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, TypeAlias
from uuid import UUID

from refresher.domain.catalog import TypeKind
from refresher.domain.masking import Masker, Outcome

_SIGNATURE = b"PGCOPY\n\xff\r\n\0"
_HEADER = len(_SIGNATURE) + 8
_NULL = b"\xff\xff\xff\xff"
_TRAILER = -1
_REMEMBERED = 50_000
"""Masks per column that are kept; names repeat, and a mask costs more than a look-up."""

_unpack_count = struct.Struct(">h").unpack_from
_unpack_length = struct.Struct(">i").unpack_from
_pack_length = struct.Struct(">i").pack

Decode: TypeAlias = Callable[[bytes], Any]
Encode: TypeAlias = Callable[[Any], bytes]


class MaskedStream:
    """Masks one COPY stream, chunk by chunk."""

    def __init__(self, columns: Sequence[tuple[TypeKind, str, Masker | None]]) -> None:
        """Prepare for columns in their order: kind, base type, and its masker if it has one."""
        self._fields = [
            None if masker is None else _Field(kind, base, masker) for kind, base, masker in columns
        ]
        self._rest = b""
        self._has_header = False
        self.rows = 0

    def feed(self, chunk: bytes) -> bytes:
        """Return what can be passed on: whole rows, masked."""
        data = self._rest + chunk
        start = 0
        if not self._has_header:
            if len(data) < _HEADER:
                self._rest = data
                return b""
            start = _HEADER + int.from_bytes(data[_HEADER - 4 : _HEADER], "big")
            self._has_header = True
        out: list[bytes] = []
        end, copied = self._rows(data, start, out)
        out.append(data[copied:end])
        self._rest = data[end:]
        return b"".join(out)

    def _rows(self, data: bytes, position: int, out: list[bytes]) -> tuple[int, int]:
        """Mask complete rows; return where the first incomplete one begins, and what of `data`
        has been put out.
        """
        copied, size = 0, len(data)
        fields = self._fields
        while position + 2 <= size:
            if _unpack_count(data, position)[0] == _TRAILER:
                return size, copied
            row_start, row_copied, parts = position, copied, len(out)
            position += 2
            for field in fields:
                if position + 4 > size:
                    break
                length: int = _unpack_length(data, position)[0]
                position += 4
                if length > 0:
                    position += length
                    if position > size:
                        break
                if field is not None:
                    out.append(data[copied : position - max(length, 0) - 4])
                    out.append(
                        field.null()
                        if length < 0
                        else field.mask(data[position - length : position])
                    )
                    copied = position
            else:
                self.rows += 1
                continue
            del out[parts:]
            self._uncount(data, row_start + 2)
            return row_start, row_copied
        return position, copied

    def _uncount(self, data: bytes, position: int) -> None:
        """Take back what a row was counted as that will be masked again when it is whole."""
        for field in self._fields:
            if position + 4 > len(data):
                return
            length: int = _unpack_length(data, position)[0]
            position += 4
            raw = data[position : position + max(length, 0)]
            position += max(length, 0)
            if position > len(data):
                return
            if field is not None:
                field.uncount(raw if length >= 0 else None)


class _Field:
    """One masked column."""

    def __init__(self, kind: TypeKind, base: str, masker: Masker) -> None:
        self._decode, self._encode = codec(kind, base)
        self._masker = masker
        self._counts = masker.counts
        self._known: dict[bytes, tuple[bytes, Outcome]] = {}

    def null(self) -> bytes:
        """Return a null field."""
        self._counts[Outcome.EMPTY] += 1
        return _NULL

    def mask(self, raw: bytes) -> bytes:
        """Return a field with its length."""
        known = self._known.get(raw)
        if known is None:
            known = self._make(raw)
        self._counts[known[1]] += 1
        return known[0]

    def uncount(self, raw: bytes | None) -> None:
        """Take back the counting of a value that was just masked."""
        known = None if raw is None else self._known.get(raw)
        self._counts[Outcome.EMPTY if known is None else known[1]] -= 1

    def _make(self, raw: bytes) -> tuple[bytes, Outcome]:
        masked, outcome = self._masker.apply(self._decode(raw))
        if masked is None:
            made = (_NULL, outcome)
        else:
            encoded = self._encode(masked)
            made = (_pack_length(len(encoded)) + encoded, outcome)
        if len(self._known) >= _REMEMBERED:
            self._known.clear()
        self._known[raw] = made
        return made


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
