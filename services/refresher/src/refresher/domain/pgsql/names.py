"""Names in PostgreSQL: the one place where identifiers are quoted, and where ours are made."""

import hashlib
from collections.abc import Iterable

from refresher.domain.catalog import TableRef

OWN_SCHEMA = "penstock_refresh"
"""Staging, undo and notes lie in a schema of our own in the target."""

_LONGEST = 63


def quote(name: str) -> str:
    """Return an identifier as SQL takes it, whatever it contains."""
    if "\0" in name:
        raise ValueError("an identifier cannot contain a null character")
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """Return a text as SQL takes it; only for statements that take no parameters."""
    return "E'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


def table(ref: TableRef) -> str:
    """Return a table's name as SQL takes it."""
    return f"{quote(ref.schema)}.{quote(ref.name)}"


def listed(names: Iterable[str], prefix: str = "") -> str:
    """Return columns, separated by commas."""
    return ", ".join(f"{prefix}{quote(name)}" for name in names)


def own(kind: str, run: str, name: str) -> TableRef:
    """Return the name of a table of ours: its kind, its run, and what it stands for."""
    text = f"{kind}_{run}_{name}"
    if len(text.encode()) > _LONGEST:
        mark = hashlib.sha256(name.encode()).hexdigest()[:6]
        kept = text.encode()[: _LONGEST - 7].decode("utf-8", "ignore")
        text = f"{kept}_{mark}"
    return TableRef(OWN_SCHEMA, text)
