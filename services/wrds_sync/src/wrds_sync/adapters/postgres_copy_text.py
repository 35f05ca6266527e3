"""Turns blocks of PostgreSQL's COPY text into Arrow, a column at a time, never a value at a time.

Text, not CSV: a raw newline ends a row and nothing else does, so blocks are cut without parsing;
nothing is quoted, which spares both ends a pass over every string; and NULL can be one byte that no
value contains, because COPY escapes control characters. Only strings that hold a backslash need
work, and that work is done by Arrow on whole columns.
"""

import binascii
import re
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from wrds_sync.domain.columns import arrow_schema
from wrds_sync.domain.types import ColumnPlan, Wire
from wrds_sync.errors import UnstorableValueError

NULL = "\v"
"""COPY writes a vertical tab inside a value as an escape, so a bare one is never a value."""

_DELIMITER = "\t"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_PLACEHOLDER = "\0"
"""Stands for an escaped backslash meanwhile; PostgreSQL has no NUL in text."""

_ESCAPES = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_COLUMN_NUMBER = re.compile(r"In CSV column #(\d+)")


class BlockParser:
    """Reads blocks of whole rows; safe to use from several threads."""

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

    def parse(self, block: bytes) -> pa.RecordBatch:
        """Return the rows of a block.

        Raises:
            UnstorableValueError: a value does not fit its column's type; names the column.
        """
        if block.startswith(_BYTE_ORDER_MARK):
            # Arrow drops such a mark at the start; here it is the start of a value.
            block = _BYTE_ORDER_MARK + block
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
    if not _has_backslash(column):
        return column
    column = pc.replace_substring(column, "\\\\", _PLACEHOLDER)
    if _has_backslash(column):
        for letter, meant in _ESCAPES.items():
            column = pc.replace_substring(column, "\\" + letter, meant)
    return pc.replace_substring(column, _PLACEHOLDER, "\\")


def _has_backslash(column: pa.StringArray) -> bool:
    return bool(pc.any(pc.match_substring(column, "\\")).as_py())


def _from_hex(column: pa.StringArray) -> pa.BinaryArray:
    """Decode all values at once: they lie one after the other in one buffer."""
    validity, offsets, digits = column.buffers()
    length = column.offset + len(column)
    in_digits = pa.Array.from_buffers(pa.int32(), length + 1, [None, offsets])
    in_bytes = pc.divide(in_digits, pa.scalar(2, pa.int32()))
    raw = pa.py_buffer(binascii.unhexlify(digits) if digits is not None else b"")
    buffers = [validity, in_bytes.buffers()[1], raw]
    return pa.BinaryArray.from_buffers(pa.binary(), len(column), buffers, offset=column.offset)
