"""The order in which the rows of several tables are written, so that references stay whole."""
# ruff: noqa: S608 - put together from statements of `merge`

from collections.abc import Sequence
from dataclasses import dataclass

from refresher.domain.pgsql import names
from refresher.domain.statements import Statement, Tally


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """The statements that write one table's changes, by what they do."""

    key: str
    is_referenced: bool
    deletes: str | None = None
    inserts: str | None = None
    updates: str | None = None


def write_statements(changes: Sequence[Changes], order: Sequence[Sequence[str]]) -> list[Statement]:
    """Return the writing of several tables in an order that keeps references whole.

    Rows that nothing refers to go first, so that values of unique keys are free again; then rows
    come, parents before children; then they change; then parents go, after their children.
    """
    by_key = {item.key: item for item in changes}
    groups = [[by_key[key] for key in group if key in by_key] for group in order]
    leaves = [item for group in groups for item in group if not item.is_referenced]
    statements = [_write(item.key, item.deletes, Tally.DELETED) for item in leaves if item.deletes]
    for group in groups:
        statements += _together(
            [(item.key, item.inserts) for item in group if item.inserts], Tally.INSERTED
        )
    statements += [
        _write(item.key, item.updates, Tally.UPDATED)
        for group in groups
        for item in group
        if item.updates
    ]
    for group in reversed(groups):
        parents = [item for item in group if item.is_referenced and item.deletes]
        statements += _together(
            [(item.key, item.deletes) for item in parents if item.deletes], Tally.DELETED
        )
    return statements


_PURPOSES = {
    Tally.DELETED: "remove rows",
    Tally.INSERTED: "insert rows",
    Tally.UPDATED: "update rows",
}


def _write(key: str, sql: str, tally: Tally) -> Statement:
    return Statement(sql=sql, purpose=_PURPOSES[tally], table=key, tally=tally)


def _together(writes: Sequence[tuple[str, str]], tally: Tally) -> list[Statement]:
    """Return one statement for tables that refer to each other in a circle.

    References are checked at the end of a statement, so inside one there is no first and last.
    """
    if len(writes) < 2:  # noqa: PLR2004 - a circle has two at least
        return [_write(key, sql, tally) for key, sql in writes]
    parts = ", ".join(
        f"part_{number} as ({sql} returning 1)" for number, (_, sql) in enumerate(writes)
    )
    counts = " union all ".join(
        f"select {names.literal(key)}, '{tally.value}', (select count(*) from part_{number})"
        for number, (key, _) in enumerate(writes)
    )
    return [
        Statement(
            sql=f"with {parts} {counts}",
            purpose=f"{_PURPOSES[tally]} of tables that refer to each other",
            returns_tallies=True,
        )
    ]
