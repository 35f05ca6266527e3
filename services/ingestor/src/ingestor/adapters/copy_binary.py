"""The binary form of COPY, made a column at a time.

The driver encodes value by value, which for a full load is most of the client's work. A field is
the same bytes in every table, so what heads and rows have in common is made once, and a value that
a whole column shares is made once, too.
"""

import uuid
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import chain, repeat
from struct import Struct
from typing import TypeAlias, TypeVar

from ingestor.domain.versions import Document

Fields: TypeAlias = Sequence[bytes]
"""Of a column, one for each row: length and value."""

_Value = TypeVar("_Value")

_SIGNATURE = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_END = b"\xff\xff"
_NULL = b"\xff\xff\xff\xff"
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_BLOCK_BYTES = 256 * 1024
_JSONB_VERSION = 1

_count = Struct(">h").pack
_length = Struct(">i").pack
_integer = Struct(">ii").pack
_bigint = Struct(">iq").pack
_jsonb = Struct(">ib").pack


def texts(values: Sequence[str | None]) -> Fields:
    """Encode a column of type `text`."""
    return _fields(values, _text)


def integers(values: Sequence[int | None]) -> Fields:
    """Encode a column of type `integer`."""
    return _fields(values, lambda value: _integer(4, value))


def bigints(values: Sequence[int | None]) -> Fields:
    """Encode a column of type `bigint`."""
    return _fields(values, lambda value: _bigint(8, value))


def booleans(values: Sequence[bool | None]) -> Fields:
    """Encode a column of type `boolean`."""
    return _fields(values, lambda value: _length(1) + bytes([value]))


def moments(values: Sequence[datetime | None]) -> Fields:
    """Encode a column of type `timestamptz`."""
    return _fields(values, lambda value: _bigint(8, (value - _EPOCH) // timedelta(microseconds=1)))


def uuids(values: Sequence[uuid.UUID | None]) -> Fields:
    """Encode a column of type `uuid`."""
    return _fields(values, lambda value: _length(16) + value.bytes)


def _text(value: str) -> bytes:
    data = value.encode()
    return _length(len(data)) + data


def _fields(values: Sequence[_Value | None], encode: Callable[[_Value], bytes]) -> Fields:
    first, last = values[0], values[-1]
    if first == last and values.count(first) == len(values):
        return [_NULL if first is None else encode(first)] * len(values)
    return [_NULL if value is None else encode(value) for value in values]


def rows(columns: Sequence[Fields]) -> bytes:
    """Return a whole COPY of small rows."""
    pieces = chain.from_iterable(zip(repeat(_count(len(columns))), *columns, strict=False))
    return b"".join((_SIGNATURE, *pieces, _END))


async def rows_with_documents(
    columns: Sequence[Fields], documents: Iterable[Document | None]
) -> AsyncGenerator[bytes]:
    """Yield a COPY whose last column is of type `jsonb`, a block at a time.

    A document that lies outside memory is loaded when its turn comes.
    """
    pieces, size = [_SIGNATURE], 0
    heading = repeat(_count(len(columns) + 1))
    for row, document in zip(zip(heading, *columns, strict=False), documents, strict=True):
        pieces += row
        if document is None:
            pieces.append(_NULL)
            continue
        data = await document.load()
        pieces += (_jsonb(len(data) + 1, _JSONB_VERSION), data)
        size += len(data)
        if size >= _BLOCK_BYTES:
            yield b"".join(pieces)
            pieces, size = [], 0
    yield b"".join((*pieces, _END))
