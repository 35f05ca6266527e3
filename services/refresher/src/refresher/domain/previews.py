"""A few rows for people: every value as text, those of production masked as by a refresh.

Values come as the databases write them. What is to be masked is read back into a value first; what
cannot be read back, or is longer than what was fetched, is not shown at all.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from refresher.domain.catalog import Column, Side, TableRef, TypeKind
from refresher.domain.masking import Masker
from refresher.domain.plan import Mask

MAX_ROWS = 50
MAX_COLUMNS = 100
FETCHED_CHARACTERS = 4000
"""Of a value; a longer one is cut, and one that would be masked is left out."""

SHOWN_CHARACTERS = 200
NOT_SHOWN = "(not shown)"

Row = tuple[str | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """Which rows are fetched: the newest by primary key."""

    side: Side
    ref: TableRef
    columns: tuple[Column, ...]
    order: tuple[str, ...] = ()
    predicate: str | None = None
    """`row_filter`: what a refresh never reads is not looked at either."""

    limit: int = MAX_ROWS


@dataclass(frozen=True, slots=True, kw_only=True)
class PreviewColumn:
    """A column of a preview."""

    name: str
    type: str
    mask_class: str | None
    """None where values are shown as they are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """Rows that may be shown."""

    columns: tuple[PreviewColumn, ...]
    rows: tuple[Row, ...]


def preview_of(
    columns: Sequence[Column], rows: Sequence[Row], *, masks: Sequence[Mask], key: bytes
) -> Preview:
    """Return the rows as they may be shown.

    Args:
        columns: What was fetched, in its order.
        rows: Texts of the database.
        masks: What happens to columns; the others pass as they are.
        key: Of the masks.
    """
    by_column = {mask.column: mask for mask in masks}
    shows = [_show(by_column.get(column.name), key) for column in columns]
    return Preview(
        columns=tuple(_column(column, by_column) for column in columns),
        rows=tuple(
            tuple(
                None if text is None else show(text) for show, text in zip(shows, row, strict=True)
            )
            for row in rows
        ),
    )


def _column(column: Column, masks: Mapping[str, Mask]) -> PreviewColumn:
    mask = masks.get(column.name)
    return PreviewColumn(
        name=column.name, type=column.type, mask_class=mask.mask_class if mask else None
    )


def _show(mask: Mask | None, key: bytes) -> Callable[[str], str | None]:
    if mask is None:
        return _cut
    masker = Masker(mask, key)
    read = _READERS.get(mask.kind, str)

    def masked(text: str) -> str | None:
        if len(text) > FETCHED_CHARACTERS:
            return NOT_SHOWN
        try:
            value = masker(read(text))
        except (ValueError, ArithmeticError):
            # Infinite dates, and whatever else Python has no value for.
            return NOT_SHOWN
        return None if value is None else _cut(_written(value))

    return masked


def _cut(text: str) -> str:
    return text if len(text) <= SHOWN_CHARACTERS else text[: SHOWN_CHARACTERS - 1] + "…"


def _written(value: Any) -> str:
    match value:
        case datetime():
            return value.isoformat(sep=" ")
        case bytes():
            return "\\x" + value.hex()
        case _:
            return str(value)


def _binary(text: str) -> bytes:
    return bytes.fromhex(text[2:])


_READERS: dict[TypeKind, Callable[[str], Any]] = {
    TypeKind.INTEGER: int,
    TypeKind.NUMERIC: Decimal,
    TypeKind.FLOAT: float,
    TypeKind.DATE: date.fromisoformat,
    TypeKind.TIMESTAMP: datetime.fromisoformat,
    TypeKind.TIMESTAMPTZ: datetime.fromisoformat,
    TypeKind.UUID: UUID,
    TypeKind.BINARY: _binary,
}
