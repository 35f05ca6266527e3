"""Statements as a plan shows and an adapter executes them: one object for both.

A dialect writes them (a pure function of catalogs and configuration), an executor sends them in
order and does what the fields beside the text say. Nothing is added on the way.
"""

from dataclasses import dataclass
from enum import StrEnum

from refresher.domain.values import Value


class Tally(StrEnum):
    """As what the rows that a statement affects are counted."""

    INSERTED = "inserted"
    UPDATED = "updated"
    DELETED = "deleted"
    KEPT = "kept"
    """Rows of the target that a policy protects."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """One statement."""

    sql: str
    purpose: str
    """What it is for, in a few words; plans and errors show it."""

    parameters: tuple[Value, ...] = ()
    table: str = ""
    """The key of the table that it concerns; whose tally it adds to."""

    tally: Tally | None = None
    returns_tallies: bool = False
    """A query of rows (key of a table, tally, number): for statements that write to several."""

    refuse: str | None = None
    """For a query of one number: the sentence that stops the work when the number is above 0."""

    lock: str | None = None
    """The strongest lock it takes on a live table, in the engine's words."""

    is_transactional: bool = True
    """False: must run outside a transaction."""
