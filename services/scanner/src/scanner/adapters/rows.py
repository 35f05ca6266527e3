"""Reads rows of the inventory, and refuses those that no scan can have written (S1-18, S1-40)."""

import contextlib
from collections.abc import Iterator

import asyncpg

from chassis.db import translate
from chassis.errors import PermanentError
from scanner.domain.changes import Announce, Change, Known
from scanner.domain.files import Fingerprint, is_believable
from scanner.errors import InventoryError

_DAMAGE_CLASSES = ("42P", "42703", "42883", "XX")
"""A table, column or function is gone, or its pages are broken."""

_STATES = frozenset({"seen", "announced", "ingested", "retired"})


@contextlib.contextmanager
def readable() -> Iterator[None]:
    """Turn what makes the inventory unreadable into `InventoryError`.

    An outage stays what it is: it is retried, and ends as no scan at all.
    """
    try:
        yield
    except asyncpg.PostgresError as error:
        translated = translate(error)
        is_damaged = (error.sqlstate or "").startswith(_DAMAGE_CLASSES)
        if is_damaged or isinstance(translated, PermanentError):
            raise InventoryError(
                f"The inventory cannot be read: {translated.message}", sqlstate=error.sqlstate
            ) from error
        raise translated from error


def read_known(row: asyncpg.Record) -> Known:
    """Return a row of the inventory.

    Raises:
        InventoryError: the row contradicts itself.
    """
    path = row["path"]
    observed = _checked(path, Fingerprint(row["modified_us"], row["size_bytes"]))
    announced = fingerprint(row, "announced")
    if row["state"] not in _STATES:
        raise InventoryError(f"The inventory has an unknown state for {path!a}", path=path)
    if (announced is None) != (row["state"] == "seen"):
        raise InventoryError(f"The inventory contradicts itself about {path!a}", path=path)
    return Known(
        path=path,
        observed=observed,
        settling_since=row["settling_since"],
        announced=None if announced is None else _checked(path, announced),
        is_present=row["is_present"],
        is_missed=row["missing_mark"] is not None,
    )


def read_announced(row: asyncpg.Record) -> Announce:
    """Return what was announced last of a row of the inventory."""
    change = Change(row["announced_change"])
    told = fingerprint(row, "announced")
    if change is Change.DELETED:
        return Announce(row["path"], change, current=None, previous=told)
    return Announce(row["path"], change, current=told, previous=fingerprint(row, "previous"))


def fingerprint(row: asyncpg.Record, prefix: str) -> Fingerprint | None:
    """Return the fingerprint in columns `<prefix>_…`, if there is one."""
    if row[f"{prefix}_modified_us"] is None:
        return None
    return Fingerprint(row[f"{prefix}_modified_us"], row[f"{prefix}_size_bytes"])


def _checked(path: str, found: Fingerprint) -> Fingerprint:
    if not is_believable(found.modified_us, found.size_bytes):
        raise InventoryError(f"The inventory has impossible metadata for {path!a}", path=path)
    return found
