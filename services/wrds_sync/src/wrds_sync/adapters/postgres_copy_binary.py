"""Turns blocks of PostgreSQL's binary COPY into Arrow, all rows at once, a column at a time.

A row is fields one after the other, each behind its length, so a row's place follows from that of
the row before. To find all places without walking through the rows, the statement puts a mark into
each row's first field. Nothing else in a row can look like it: the mark's bytes are no UTF-8, so no
string holds them; it is longer than any number; and a length or a number of fields does not begin
with such a byte, so the mark cannot lie across two fields either. That it ends where the row before
ends is checked all the same.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from wrds_sync.adapters.postgres_copy_text import NULL, BlockParser, unstorable
from wrds_sync.domain.columns import ROW_MARK, arrow_schema
from wrds_sync.domain.types import Binary, ColumnPlan
from wrds_sync.errors import SourceUnavailableError

if TYPE_CHECKING:
    Bytes: TypeAlias = np.ndarray[tuple[int], np.dtype[np.uint8]]
    Flags: TypeAlias = np.ndarray[tuple[int], np.dtype[np.bool_]]
    Numbers: TypeAlias = np.ndarray[tuple[int], np.dtype[Any]]
    Places: TypeAlias = np.ndarray[tuple[int], np.dtype[np.int64]]

_SIGNATURE = b"PGCOPY\n\xff\r\n\0"
_HEADER_BYTES = len(_SIGNATURE) + 8
_END = b"\xff\xff"
_LENGTH_BYTES = 4

_SINCE_2000 = 946_684_800_000_000
"""Microseconds from Arrow's epoch to the server's."""

_FIRST_INSTANT, _LAST_INSTANT = -62_135_596_800_000_000, 253_402_300_799_999_999
"""The years 1 to 9999. What lies outside is refused, as in text: infinite, or before Christ."""


class BinaryParser:
    """Reads blocks of whole rows; safe to use from several threads."""

    form: Literal["text", "binary"] = "binary"
    null: str | None = None

    def __init__(self, plans: Sequence[ColumnPlan]) -> None:
        self._plans = tuple(plans)
        self.schema = arrow_schema(plans)
        fields = (len(self._plans) + 1).to_bytes(2, "big")
        self._head = fields + len(ROW_MARK).to_bytes(_LENGTH_BYTES, "big") + ROW_MARK
        self._by_text = {
            plan.name: BlockParser([plan])
            for plan in self._plans
            if plan.binary is Binary.AS_TEXT and not pa.types.is_string(plan.stored)
        }

    def cut(self, data: bytes) -> int:
        """Return where the last row begins: whether it is whole only the next one tells."""
        return max(0, data.rfind(self._head))

    def parse(self, block: bytes) -> pa.RecordBatch:
        """Return the rows of a block.

        Raises:
            UnstorableValueError: a value does not fit its column's type; names the column.
            SourceUnavailableError: these are no whole rows.
        """
        starts = np.fromiter(self._starts(block), np.int64)
        rows = _Rows(block, starts + len(self._head))
        columns = [self._column(rows, plan) for plan in self._plans]
        rows.check(starts, _HEADER_BYTES if block.startswith(_SIGNATURE) else 0)
        return pa.RecordBatch.from_arrays(columns, schema=self.schema)

    def _starts(self, block: bytes) -> Iterator[int]:
        found = block.find(self._head)
        while found >= 0:
            yield found
            found = block.find(self._head, found + len(self._head))

    def _column(self, rows: "_Rows", plan: ColumnPlan) -> pa.Array:
        rows.advance()
        if plan.binary is Binary.NUMBER:
            return _numbers(rows, plan)
        strings = rows.strings()
        try:
            strings.validate(full=True)
        except pa.ArrowInvalid:
            raise unstorable(plan) from None  # its text quotes the value
        reader = self._by_text.get(plan.name)
        return strings if reader is None else _read(strings, reader)


class _Rows:
    """The same field of all rows of a block, then the next."""

    def __init__(self, block: bytes, first: "Places") -> None:
        self._block = block
        self._bytes = np.frombuffer(block, np.uint8)
        self._next = first
        self._places = first
        self._lengths = np.zeros(len(first), np.int64)
        self.is_null = np.zeros(len(first), np.bool_)

    def advance(self) -> None:
        """Go on to the next field."""
        lengths = _gather(self._bytes, self._next, np.dtype(">i4"))
        self.is_null = lengths < 0
        self._lengths = np.maximum(lengths, 0).astype(np.int64)
        self._places = self._next + _LENGTH_BYTES
        self._next = self._places + self._lengths
        if len(self._next) and int(self._next.max()) > len(self._bytes):
            raise _no_rows()

    def check(self, starts: "Places", begin: int) -> None:
        """Make sure that every row begins where the one before it ends."""
        expected = np.concatenate(([begin], self._next))
        end = len(self._block)
        if self._block.endswith(_END) and expected[-1] == end - len(_END):
            end -= len(_END)
        if not np.array_equal(expected, np.concatenate((starts, [end]))):
            raise _no_rows()

    def numbers(self, kind: np.dtype[Any]) -> "Numbers":
        """Return the field as numbers; where it is null, any."""
        if not (self.is_null | (self._lengths == kind.itemsize)).all():
            raise _no_rows()
        places = np.where(self.is_null, 0, self._places)
        return _gather(self._bytes, places, kind).astype(kind.newbyteorder("="))

    def strings(self) -> pa.StringArray:
        """Return the field as strings: of a block cut into fields and what lies between them, every
        other piece.
        """
        count = len(self._places)
        ends = np.zeros(2 * count + 1, np.int32)
        ends[:-1:2] = self._places
        ends[1::2] = self._places + self._lengths
        ends[-1] = ends[-2] if count else 0
        pieces = pa.StringArray.from_buffers(
            2 * count, pa.py_buffer(ends), pa.py_buffer(self._block)
        )
        return pieces.take(pa.array(np.arange(0, 2 * count, 2), mask=self.is_null))


def _gather(data: "Bytes", places: "Places", kind: np.dtype[Any]) -> "Numbers":
    """Read a number at each place; they overlap and are not aligned."""
    if not len(places):
        return np.empty(0, kind)
    if int(places.max()) + kind.itemsize > len(data):
        raise _no_rows()
    every = np.ndarray((len(data) - kind.itemsize + 1,), kind, data, strides=(1,))
    return every[places]


def _numbers(rows: _Rows, plan: ColumnPlan) -> pa.Array:
    kind = plan.stored
    if pa.types.is_boolean(kind):
        return pa.array(rows.numbers(np.dtype(np.uint8)) != 0, mask=rows.is_null)
    wire = pa.int32() if pa.types.is_date(kind) else kind
    wire = pa.int64() if pa.types.is_timestamp(kind) else wire
    values = rows.numbers(np.dtype(wire.to_pandas_dtype()).newbyteorder(">"))
    if pa.types.is_timestamp(kind):
        values = _since_1970(values, rows.is_null, plan)
    return pa.array(values, wire, mask=rows.is_null).view(kind)


def _since_1970(values: "Numbers", is_null: "Flags", plan: ColumnPlan) -> "Numbers":
    # Compared before the sum, which would overflow for the infinite ones.
    is_told = (values >= _FIRST_INSTANT - _SINCE_2000) & (values <= _LAST_INSTANT - _SINCE_2000)
    if not (is_told | is_null).all():
        raise unstorable(plan)
    moved: Numbers = values + _SINCE_2000
    return moved


def _read(strings: pa.StringArray, reader: BlockParser) -> pa.Array:
    """Read a column of texts as COPY text is read; none of these types needs an escape."""
    lines = pc.binary_join_element_wise(strings.fill_null(NULL), "", "\n")
    _, offsets, data = lines.buffers()
    end = int(np.frombuffer(offsets, np.int32)[lines.offset + len(lines)]) if len(lines) else 0
    return reader.parse(data[:end].to_pybytes() if end else b"").column(0)


def _no_rows() -> SourceUnavailableError:
    return SourceUnavailableError("the archive's binary rows cannot be read")
