"""Names and values in T-SQL: the one place where they are quoted, and where ours are made."""

import hashlib
from collections.abc import Iterable

from refresher.domain.catalog import Column, TableRef
from refresher.domain.values import Value, ValueType

OWN_SCHEMA = "penstock_refresh"
"""Staging, undo and notes lie in a schema of our own in the target."""

_LONGEST = 128
_ISO = 126
_COARSE = ("datetime", "smalldatetime")


def quote(name: str) -> str:
    """Return an identifier as SQL takes it, whatever it contains."""
    if "\0" in name:
        raise ValueError("an identifier cannot contain a null character")
    return "[" + name.replace("]", "]]") + "]"


def literal(text: str) -> str:
    """Return a text as SQL takes it; only for statements that take no parameters."""
    return "N'" + text.replace("'", "''") + "'"


def table(ref: TableRef) -> str:
    """Return a table's name as SQL takes it."""
    return f"{quote(ref.schema)}.{quote(ref.name)}"


def listed(names: Iterable[str], prefix: str = "") -> str:
    """Return columns, separated by commas."""
    return ", ".join(f"{prefix}{quote(name)}" for name in names)


def own(kind: str, run: str, name: str) -> TableRef:
    """Return the name of a table of ours: its kind, its run, and what it stands for."""
    text = f"{kind}_{run}_{name}"
    if len(text) > _LONGEST:
        mark = hashlib.sha256(name.encode()).hexdigest()[:6]
        text = f"{text[: _LONGEST - 7]}_{mark}"
    return TableRef(OWN_SCHEMA, text)


def bound(value: Value, column: Column | None) -> str:
    """Return the place of a parameter, converted to its column's type.

    Parameters travel as text with every digit: a driver that guesses their types rounds
    `datetime2(7)`, and compares `varchar` columns in a way that no index supports.
    """
    kind = column.type if column is not None else _DEFAULT_TYPES[value.type]
    match value.type:
        case ValueType.TIMESTAMP if kind in _COARSE:
            # Not every server reads ISO 8601 into these.
            return f"CONVERT({kind}, CONVERT(datetime2(7), ?, {_ISO}))"
        case ValueType.DATE | ValueType.TIMESTAMP:
            return f"CONVERT({kind}, ?, {_ISO})"
        case _:
            return f"CONVERT({kind}, ?)"


_DEFAULT_TYPES = {
    ValueType.INTEGER: "bigint",
    ValueType.NUMERIC: "decimal(38, 10)",
    ValueType.DATE: "date",
    ValueType.TIMESTAMP: "datetime2(7)",
    ValueType.TIMESTAMPTZ: "datetimeoffset(7)",
    ValueType.TEXT: "nvarchar(4000)",
}
