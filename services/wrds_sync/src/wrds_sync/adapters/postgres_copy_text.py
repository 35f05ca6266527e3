"""Turns blocks of PostgreSQL's COPY text into Arrow, a column at a time, never a value at a time.

Text, not CSV: a raw newline ends a row and nothing else does, so blocks are cut without parsing;
nothing is quoted, which spares both ends a pass over every string; and NULL can be one byte that no
value contains, because COPY escapes control characters. Only strings that hold a backslash need
work, and that is done on whole columns.
"""

import binascii
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from wrds_sync.domain.columns import arrow_schema
from wrds_sync.domain.types import ColumnPlan, Wire
from wrds_sync.errors import UnstorableValueError

if TYPE_CHECKING:
    Flags: TypeAlias = np.ndarray[tuple[int], np.dtype[np.bool_]]
    Positions: TypeAlias = np.ndarray[tuple[int], np.dtype[np.int64]]

NULL = "\v"
"""COPY writes a vertical tab inside a value as an escape, so a bare one is never a value."""

_DELIMITER = "\t"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_BACKSLASH = ord("\\")
_MEANING = np.arange(256, dtype=np.uint8)
"""What the byte after a backslash stands for; itself, but for these:"""

for _letter, _control in {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}.items():
    _MEANING[ord(_letter)] = ord(_control)

_COLUMN_NUMBER = re.compile(r"In CSV column #(\d+)")


class BlockParser:
    """Reads blocks of whole rows; safe to use from several threads."""

    form: Literal["text", "binary"] = "text"
    null: str | None = NULL
    in_threads = True

    def __init__(self, plans: Sequence[ColumnPlan]) -> None:
        self._plans = tuple(plans)
        self.schema = arrow_schema(plans)
        # Positions, not names: a table may well have a column called like another's position.
        self._names = [str(number) for number in range(len(self._plans))]
        self._parse = csv.ParseOptions(
            delimiter=_DELIMITER,
            quote_char=False,
            escape_char=False,
            newlines_in_values=False,
            ignore_empty_lines=False,
        )
        self._convert = csv.ConvertOptions(
            column_types=dict(
                zip(self._names, [_read_as(plan) for plan in self._plans], strict=True)
            ),
            null_values=[NULL],
            strings_can_be_null=True,
            true_values=["t"],
            false_values=["f"],
        )

    def cut(self, data: bytes | bytearray, end: int | None = None) -> int:
        """Return where the last whole row ends."""
        return data.rfind(b"\n", 0, end) + 1

    def parse(self, block: bytes | memoryview) -> pa.RecordBatch:
        """Return the rows of a block.

        Raises:
            UnstorableValueError: a value does not fit its column's type; names the column.
        """
        if block[: len(_BYTE_ORDER_MARK)] == _BYTE_ORDER_MARK:
            # Arrow drops such a mark at the start; here it is the start of a value.
            block = _BYTE_ORDER_MARK + bytes(block)
        read = csv.ReadOptions(
            column_names=self._names, use_threads=False, block_size=len(block) + 1
        )
        try:
            table = csv.read_csv(
                pa.py_buffer(block),
                read_options=read,
                parse_options=self._parse,
                convert_options=self._convert,
            )
        except pa.ArrowInvalid as error:
            raise self._unstorable(str(error)) from None  # its text quotes the value
        columns = [
            _finish(column, plan) for column, plan in zip(table.columns, self._plans, strict=True)
        ]
        return pa.RecordBatch.from_arrays(columns, schema=self.schema)

    def _unstorable(self, text: str) -> UnstorableValueError:
        found = _COLUMN_NUMBER.search(text)
        if found is None:
            return UnstorableValueError("the archive's rows cannot be read")
        return unstorable(self._plans[int(found[1])])


def unstorable(plan: ColumnPlan) -> UnstorableValueError:
    """Return the error that names a column, and never its value: the data are licensed."""
    return UnstorableValueError(
        f"`{plan.name}` ({plan.source_type}) holds a value that {plan.stored} cannot hold; "
        f"declare another type for it, for example `string`",
        column=plan.name,
    )


def _read_as(plan: ColumnPlan) -> pa.DataType:
    if plan.wire is Wire.DAYS:
        return pa.int32()
    # Arrow's reader knows no decimal256, but its cast from text does.
    by_cast = plan.wire is Wire.HEX or pa.types.is_decimal256(plan.stored)
    return pa.string() if by_cast else plan.stored


def _finish(chunks: pa.ChunkedArray, plan: ColumnPlan) -> pa.Array:
    column = chunks.chunk(0) if chunks.num_chunks == 1 else chunks.combine_chunks()
    if plan.wire is Wire.DAYS:
        return column.view(pa.date32())
    if plan.wire is Wire.HEX:
        return _from_hex(column)
    if pa.types.is_decimal256(plan.stored):
        return _cast(column, plan)
    return _unescape(column) if pa.types.is_string(plan.stored) else column


def _cast(column: pa.StringArray, plan: ColumnPlan) -> pa.Array:
    try:
        return column.cast(plan.stored)
    except pa.ArrowInvalid:
        raise unstorable(plan) from None


def _unescape(column: pa.StringArray) -> pa.StringArray:
    """Undo COPY's escapes in all values at once: they lie one after the other in one buffer."""
    validity, offsets, data = column.buffers()
    if data is None:
        return column
    text = np.frombuffer(data, np.uint8)
    is_backslash = text == _BACKSLASH
    backslashes = np.flatnonzero(is_backslash)
    if not len(backslashes):
        return column
    begins_escape = _every_other_of_a_run(backslashes)
    escapes = backslashes[begins_escape]
    kept = np.logical_not(is_backslash, out=is_backslash)
    kept[backslashes[~begins_escape]] = True
    meant = text[kept]
    meant[escapes - np.arange(len(escapes))] = _MEANING[text[escapes + 1]]
    ends = np.frombuffer(offsets, np.int32)[: column.offset + len(column) + 1]
    moved = ends - np.searchsorted(escapes, ends).astype(np.int32)
    return pa.StringArray.from_buffers(
        len(column),
        pa.py_buffer(moved),
        pa.py_buffer(meant),
        validity,
        offset=column.offset,
    )


def _every_other_of_a_run(backslashes: "Positions") -> "Flags":
    """Tell which backslashes begin an escape: of three in a row the first and the third.

    A value never ends within an escape, so a run that spans two values is even up to their border.
    """
    order = np.arange(len(backslashes))
    begins = np.concatenate(([True], np.diff(backslashes) != 1))
    run = np.maximum.accumulate(np.where(begins, order, 0))
    flags: Flags = (order - run) % 2 == 0
    return flags


def _from_hex(column: pa.StringArray) -> pa.BinaryArray:
    """Decode all values at once: they lie one after the other in one buffer."""
    validity, offsets, digits = column.buffers()
    length = column.offset + len(column)
    in_digits = pa.Array.from_buffers(pa.int32(), length + 1, [None, offsets])
    in_bytes = pc.divide(in_digits, pa.scalar(2, pa.int32()))
    raw = pa.py_buffer(binascii.unhexlify(digits) if digits is not None else b"")
    buffers = [validity, in_bytes.buffers()[1], raw]
    return pa.BinaryArray.from_buffers(pa.binary(), len(column), buffers, offset=column.offset)
