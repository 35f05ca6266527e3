"""Lists in files that people export: a preamble, a header, rows, and legal text at the end."""

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

BYTE_ORDER_MARK = "\ufeff"


class ListFormatError(ValueError):
    """The text is not the list that the configuration describes."""


@dataclass(frozen=True, slots=True)
class ListFormat:
    """How the list is written."""

    header: tuple[str, ...]
    """Columns that its header line has, among others."""

    delimiter: str = ","


@dataclass(frozen=True, slots=True)
class ParsedList:
    """The rows of a list, each a mapping of column to text."""

    rows: list[dict[str, str]]
    damaged: list[str] = field(default_factory=list)
    """Lines between header and end that are no rows."""


def parse_list(text: str, form: ListFormat) -> ParsedList:
    """Return the rows between the header and the first blank line after it.

    A line of separators or of no-break spaces is blank too. Cells are trimmed.

    Raises:
        ListFormatError: there is no header line, or it names a column twice.
    """
    lines = _lines(text.removeprefix(BYTE_ORDER_MARK), form.delimiter)
    header = _find_header(lines, form.header)
    parsed = ParsedList([])
    for number, cells in lines:
        if not any(cells):
            break
        if len(cells) == len(header):
            parsed.rows.append(dict(zip(header, cells, strict=True)))
        else:
            parsed.damaged.append(
                f"line {number} has {len(cells)} cells, the header has {len(header)}"
            )
    return parsed


def _lines(text: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        for cells in reader:
            yield reader.line_num, [cell.strip() for cell in cells]
    except csv.Error as error:
        raise ListFormatError(f"line {reader.line_num}: {error}") from error


def _find_header(lines: Iterator[tuple[int, list[str]]], columns: Sequence[str]) -> list[str]:
    for number, cells in lines:
        if set(columns) <= set(cells):
            # Excel pads every line with separators.
            header = cells[: max(index for index, name in enumerate(cells) if name) + 1]
            if len(set(header)) != len(header):
                raise ListFormatError(f"the header in line {number} names a column twice")
            return header
    raise ListFormatError(f"no line has the columns {', '.join(columns)}")
