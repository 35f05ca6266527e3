"""The binary form of COPY, made a column at a time.

The driver encodes value by value, which for a full load is most of the client's work. A field is
the same bytes in every table, so what heads and rows have in common is made once, and a value that
a whole column shares is made once, too.
"""

import uuid
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import chain, repeat, takewhile
from struct import Struct
from typing import TypeAlias, TypeVar

Fields: TypeAlias = list[bytes] | bytes
"""Of a column: length and value, for each row or for all of them."""

BEGIN = b"PGCOPY\n\xff\r\n\0" + bytes(8)
END = b"\xff\xff"

_Value = TypeVar("_Value")

_NULL = b"\xff\xff\xff\xff"
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_JSONB_VERSION = b"\x01"

_count = Struct(">h").pack
_length = Struct(">i").pack
_integer = Struct(">ii").pack
_bigint = Struct(">iq").pack


def texts(values: Sequence[str | None]) -> Fields:
    """Encode a column of type `text`."""
    return _alike(values, _text) or [
        _NULL if value is None else _length(len(data := value.encode())) + data for value in values
    ]


def integers(values: Sequence[int | None]) -> Fields:
    """Encode a column of type `integer`."""
    return _fields(values, lambda value: _integer(4, value))


def bigints(values: Sequence[int | None]) -> Fields:
    """Encode a column of type `bigint`."""
    return _alike(values, lambda value: _bigint(8, value)) or [
        _NULL if value is None else _bigint(8, value) for value in values
    ]


def booleans(values: Sequence[bool | None]) -> Fields:
    """Encode a column of type `boolean`."""
    return _fields(values, lambda value: _length(1) + bytes([value]))


def moments(values: Sequence[datetime | None]) -> Fields:
    """Encode a column of type `timestamptz`."""
    return _fields(values, lambda value: _bigint(8, (value - _EPOCH) // timedelta(microseconds=1)))


def uuids(values: Sequence[uuid.UUID | None]) -> Fields:
    """Encode a column of type `uuid`."""
    return _fields(values, lambda value: _length(16) + value.bytes)


def document(data: bytes | None) -> bytes:
    """Encode a field of type `jsonb`."""
    return _NULL if data is None else b"".join((_length(len(data) + 1), _JSONB_VERSION, data))


def joined(columns: Sequence[Fields], count: int) -> list[bytes]:
    """Make one piece of several columns, for use in more than one table."""
    return [*map(b"".join, zip(*_each(columns, count), strict=True))]


def rows(columns: Sequence[Fields], *, width: int, count: int) -> bytes:
    """Return rows.

    Args:
        columns: Or pieces of several; those that are alike in all rows cost least at the front.
        width: How many columns of the table that makes.
        count: Of the rows.
    """
    alike = [*takewhile(lambda column: isinstance(column, bytes), columns)]
    heading = b"".join([_count(width), *chain.from_iterable(_each(alike, 1))])
    others = _each(columns[len(alike) :], count)
    return b"".join(chain.from_iterable(zip(repeat(heading, count), *others, strict=True)))


def _each(columns: Sequence[Fields], count: int) -> list[Iterable[bytes]]:
    return [repeat(item, count) if isinstance(item, bytes) else item for item in columns]


def _text(value: str) -> bytes:
    data = value.encode()
    return _length(len(data)) + data


def _fields(values: Sequence[_Value | None], encode: Callable[[_Value], bytes]) -> Fields:
    return _alike(values, encode) or [_NULL if value is None else encode(value) for value in values]


def _alike(values: Sequence[_Value | None], encode: Callable[[_Value], bytes]) -> bytes | None:
    """Encode what all rows have, if they have the same; none of it is empty."""
    first, last = values[0], values[-1]
    if first != last or values.count(first) < len(values):
        return None
    return _NULL if first is None else encode(first)
