"""Frames into tables by COPY: polars writes the text, so that no value passes through Python."""

import io
from collections.abc import AsyncGenerator, Sequence

import polars as pl

from chassis.db import Connection
from transformer.domain.provenance import readable
from transformer.domain.rules import ColumnType

# Hardly any text holds these, so hardly any must be quoted; polars quotes what does.
_DELIMITER = "\x1f"
_QUOTE = "\x1e"


async def copy_frame(
    connection: Connection, table: str, frame: pl.DataFrame, *, columns: Sequence[str]
) -> None:
    """Copy a frame into a staging table of the session; its columns go to `columns`, in order."""
    await connection.copy_to_table(
        table,
        source=_text(frame),
        columns=list(columns),
        schema_name="pg_temp",
        format="csv",
        delimiter=_DELIMITER,
        quote=_QUOTE,
        null="",
    )


async def _text(frame: pl.DataFrame) -> AsyncGenerator[bytes]:
    buffer = io.BytesIO()
    frame.write_csv(buffer, include_header=False, separator=_DELIMITER, quote_char=_QUOTE)
    yield buffer.getvalue()


def as_text(kind: ColumnType, name: str) -> pl.Expr:
    """Return a column of the rules in the form that COPY reads."""
    return array(name) if kind is ColumnType.TEXTS else readable(kind, name)


def array(name: str) -> pl.Expr:
    """Return lists of texts as PostgreSQL writes arrays."""
    text = pl.element().str.replace_all("\\", "\\\\", literal=True)
    text = text.str.replace_all('"', '\\"', literal=True)
    return _braced(name, pl.concat_str(pl.lit('"'), text, pl.lit('"')))


def array_of_numbers(name: str) -> pl.Expr:
    """Return lists of numbers as PostgreSQL writes arrays."""
    return _braced(name, pl.element().cast(pl.String))


def _braced(name: str, item: pl.Expr) -> pl.Expr:
    items = pl.col(name).list.eval(item.fill_null("NULL")).list.join(",")
    return pl.concat_str(pl.lit("{"), items, pl.lit("}")).alias(name)
