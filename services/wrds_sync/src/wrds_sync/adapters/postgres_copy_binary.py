"""Turns blocks of PostgreSQL's binary COPY into Arrow, all rows at once, a column at a time.

A row is fields one after the other, each behind its length, so a row's place follows from that of
the row before. To find all places without walking through the rows, the statement puts a mark into
each row's first field. Nothing else in a row can look like it: the mark's bytes are no UTF-8, so no
string holds them; it is longer than any number or UUID; and a length or a number of fields does not
begin with such a byte, so the mark cannot lie across two fields either. That it ends where the row
before ends is checked all the same.
"""

from collections.abc import Sequence
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

_STEP = 8
"""Of so many bytes one is looked at: the mark begins with as many that follow each other, so just
one of these is seen, and tells how far it is from the first."""

_VIEW = np.dtype(
    [("length", np.int32), ("prefix", "V4"), ("buffer", np.int32), ("offset", np.int32)]
)
"""How Arrow says where a string is."""

_SHORT_BYTES = 12
"""So long a string stands in the view itself, behind its length, with zeros behind it:"""

_SHORT_MASK = np.tri(_SHORT_BYTES + 1, _SHORT_BYTES, -1, np.uint8)

_JSON_VERSION = 1
_UUID = np.dtype("V16")
_DIGITS = np.frombuffer(bytes(range(256)).hex().encode(), np.uint16)
_DASHES = (8, 13, 18, 23)
_UUID_CHARACTERS = 36
_UUID_DIGITS = np.delete(np.arange(_UUID_CHARACTERS), _DASHES)

_SINCE_2000 = 946_684_800_000_000
"""Microseconds from Arrow's epoch to the server's."""

_FIRST_INSTANT, _LAST_INSTANT = -62_135_596_800_000_000, 253_402_300_799_999_999
"""The years 1 to 9999. What lies outside is refused, as in text: infinite, or before Christ."""


class BinaryParser:
    """Reads blocks of whole rows; safe to use from several threads."""

    form: Literal["text", "binary"] = "binary"
    null: str | None = None
    in_threads = False

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

    def cut(self, data: bytes | bytearray, end: int | None = None) -> int:
        """Return where the last row begins: whether it is whole only the next one tells."""
        return max(0, data.rfind(self._head, 0, end))

    def parse(self, block: bytes | memoryview) -> pa.RecordBatch:
        """Return the rows of a block.

        Raises:
            UnstorableValueError: a value does not fit its column's type; names the column.
            SourceUnavailableError: these are no whole rows.
        """
        data = np.frombuffer(block, np.uint8)
        rows = _Rows(data, self._starts(data), head=len(self._head), fields=len(self._plans))
        columns = [self._column(rows, number) for number in range(len(self._plans))]
        return pa.RecordBatch.from_arrays(columns, schema=self.schema)

    def _starts(self, data: "Bytes") -> "Places":
        """Find all heads: first a byte of each mark, then the rest of each."""
        distances = data[::_STEP] - np.uint8(ROW_MARK[0])
        found = np.flatnonzero(distances < _STEP)
        places = _STEP * found - distances[found] - (len(self._head) - len(ROW_MARK))
        places = places[(places >= 0) & (places <= len(data) - len(self._head))]
        words = _every(data, np.dtype(np.uint64))
        last = len(self._head) - words.itemsize
        for part in (*range(0, last, words.itemsize), last):
            word = np.frombuffer(self._head, np.uint64, 1, part)[0]
            places = places[words[places + part] == word]
        return places

    def _column(self, rows: "_Rows", number: int) -> pa.Array:
        plan = self._plans[number]
        if plan.binary is Binary.NUMBER:
            return _numbers(rows, number, plan)
        if plan.binary is Binary.UUID:
            return _uuids(rows, number)
        strings = rows.json(number) if plan.binary is Binary.JSON else rows.strings(number)
        try:
            strings.validate(full=True)
        except pa.ArrowInvalid:
            raise unstorable(plan) from None  # its text quotes the value
        reader = self._by_text.get(plan.name)
        return strings if reader is None else _read(strings, reader)


class _Rows:
    """Where the fields of all rows of a block are; nothing is read before they have been found."""

    def __init__(self, data: "Bytes", starts: "Places", *, head: int, fields: int) -> None:
        self._data = data
        self.count = len(starts)
        lengths = np.empty((fields, len(starts)), np.int64)
        self._begins = np.empty_like(lengths)
        self._ends = np.empty_like(lengths)
        at = starts + head
        words = _every(data, np.dtype(">i4"))
        for field in range(fields):
            try:
                lengths[field] = words[at]
            except IndexError:
                raise _no_rows() from None
            np.add(at, _LENGTH_BYTES, out=self._begins[field])
            at = np.add(self._begins[field], np.maximum(lengths[field], 0), out=self._ends[field])
        self._is_null = lengths < 0
        self._check(starts, at)

    def _check(self, starts: "Places", ends: "Places") -> None:
        """Make sure that every row begins where the one before it ends."""
        data = self._data
        has_header = data[: len(_SIGNATURE)].tobytes() == _SIGNATURE
        expected = np.concatenate(([_HEADER_BYTES if has_header else 0], ends))
        end = len(data)
        if expected[-1] == end - len(_END) and data[-len(_END) :].tobytes() == _END:
            end -= len(_END)
        if not np.array_equal(expected, np.concatenate((starts, [end]))):
            raise _no_rows()

    def nulls(self, field: int) -> "Flags | None":
        """Return where the field is null; None if nowhere."""
        is_null: Flags = self._is_null[field]
        return is_null if is_null.any() else None

    def numbers(self, field: int, kind: np.dtype[Any]) -> "Numbers":
        """Return the field as numbers; where it is null, any."""
        begins, nulls = self._begins[field], self.nulls(field)
        fits = self._ends[field] - begins == kind.itemsize
        if not (fits if nulls is None else fits | nulls).all():
            raise _no_rows()
        places = begins if nulls is None else np.where(nulls, 0, begins)
        return _every(self._data, kind)[places].astype(kind.newbyteorder("="))

    def json(self, field: int) -> pa.StringArray:
        """Return the field as strings, without the version in front of each."""
        begins = self._begins[field]
        has_version = self._ends[field] > begins
        is_known = self._data[np.where(has_version, begins, 0)] == _JSON_VERSION
        if not (has_version & is_known | self._is_null[field]).all():
            raise _no_rows()
        return self.strings(field, skipped=1)

    def strings(self, field: int, *, skipped: int = 0) -> pa.StringArray:
        """Return the field as strings.

        Through views of the block, as Arrow can tell from them how much room all need, and makes
        it once. Any other way it guesses, and moves what it has when the guess was wrong.
        """
        begins = self._begins[field] + skipped
        lengths = np.maximum(self._ends[field] - begins, 0)
        views = np.zeros(len(begins), _VIEW)
        views["length"], views["offset"] = lengths, begins
        is_short = lengths <= _SHORT_BYTES
        is_long = ~is_short
        views["prefix"][is_long] = _every(self._data, _VIEW["prefix"])[begins[is_long]]
        words = views.view(np.uint8).reshape(-1, _VIEW.itemsize)
        words[is_short, -_SHORT_BYTES:] = self._short(begins[is_short], lengths[is_short])
        buffers = [_validity(self.nulls(field)), pa.py_buffer(views), pa.py_buffer(self._data)]
        return pa.Array.from_buffers(pa.string_view(), len(views), buffers).cast(pa.string())

    def _short(self, begins: "Places", lengths: "Places") -> "Bytes":
        """Return the bytes of short strings, zeros behind them: a view holds these itself."""
        places = np.minimum(begins, len(self._data) - _SHORT_BYTES)
        found = _every(self._data, np.dtype(("V", _SHORT_BYTES)))[places]
        words: Bytes = found.view(np.uint8).reshape(-1, _SHORT_BYTES) * _SHORT_MASK[lengths]
        if len(words):
            # The block may end less than twelve bytes behind the last one's begin.
            last = self._data[begins[-1] : begins[-1] + lengths[-1]]
            words[-1] = 0
            words[-1, : len(last)] = last
        return words


def _every(data: "Bytes", kind: np.dtype[Any]) -> "Numbers":
    """See a number at each place; they overlap and are not aligned."""
    return np.ndarray((max(0, len(data) - kind.itemsize + 1),), kind, data, strides=(1,))


def _numbers(rows: _Rows, field: int, plan: ColumnPlan) -> pa.Array:
    # By its buffers: `pa.array` looks for masks, and imports a module of numpy's for that.
    kind, nulls = plan.stored, rows.nulls(field)
    if pa.types.is_boolean(kind):
        values = np.packbits(rows.numbers(field, np.dtype(np.uint8)) != 0, bitorder="little")
    else:
        wire = pa.int32() if pa.types.is_date(kind) else kind
        wire = pa.int64() if pa.types.is_timestamp(kind) else wire
        values = rows.numbers(field, np.dtype(wire.to_pandas_dtype()).newbyteorder(">"))
        if pa.types.is_timestamp(kind):
            values = _since_1970(values, nulls, plan)
    return pa.Array.from_buffers(kind, rows.count, [_validity(nulls), pa.py_buffer(values)])


def _uuids(rows: _Rows, field: int) -> pa.StringArray:
    found = rows.numbers(field, _UUID).view(np.uint8).reshape(-1, _UUID.itemsize)
    values = np.full((rows.count, _UUID_CHARACTERS), ord("-"), np.uint8)
    values[:, _UUID_DIGITS] = _DIGITS[found].view(np.uint8)
    offsets = (np.arange(rows.count + 1) * _UUID_CHARACTERS).astype(np.int32)
    buffers = [_validity(rows.nulls(field)), pa.py_buffer(offsets), pa.py_buffer(values)]
    return pa.Array.from_buffers(pa.string(), rows.count, buffers)


def _validity(nulls: "Flags | None") -> pa.Buffer | None:
    return None if nulls is None else pa.py_buffer(np.packbits(~nulls, bitorder="little"))


def _since_1970(values: "Numbers", nulls: "Flags | None", plan: ColumnPlan) -> "Numbers":
    # Compared before the sum, which would overflow for the infinite ones.
    is_told = (values >= _FIRST_INSTANT - _SINCE_2000) & (values <= _LAST_INSTANT - _SINCE_2000)
    if not (is_told if nulls is None else is_told | nulls).all():
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
