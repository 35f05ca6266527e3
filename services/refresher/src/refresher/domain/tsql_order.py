"""The order in which several tables are written, so that references stay whole."""

from collections.abc import Sequence
from dataclasses import dataclass

from refresher.domain import tsql_names as names
from refresher.domain.catalog import ForeignKey
from refresher.domain.dialect import TableDraft
from refresher.domain.statements import Statement, Tally
from refresher.domain.tsql_names import quote


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What writes one table's changes, by what it does."""

    draft: TableDraft
    deletes: str
    inserts: tuple[Statement, ...]
    updates: str | None = None

    @property
    def key(self) -> str:
        """The table's key."""
        return self.draft.config.name

    @property
    def is_referenced(self) -> bool:
        """Whether other rows may refer to those that go."""
        return bool(self.draft.target.referenced_by)


def write_statements(changes: Sequence[Changes], order: Sequence[Sequence[str]]) -> list[Statement]:
    """Return the writing of several tables in an order that keeps references whole.

    Rows that nothing refers to go first, so that values of unique keys are free again; then rows
    come, parents before children; then they change; then parents go, after their children. Only
    references inside a circle are switched off meanwhile, and every row is checked afterwards.
    """
    by_key = {item.key: item for item in changes}
    groups = [[by_key[key] for key in group if key in by_key] for group in order]
    every = [item for group in groups for item in group]
    circles = [group for group in groups if len(group) > 1]
    deletes = [item for item in every if not item.is_referenced]
    return [
        *(statement for group in circles for statement in _references(group, on=False)),
        *(_write(item.key, item.deletes, Tally.DELETED) for item in deletes),
        *(statement for item in every for statement in item.inserts),
        *(_write(item.key, item.updates, Tally.UPDATED) for item in every if item.updates),
        *(
            _write(item.key, item.deletes, Tally.DELETED)
            for item in reversed(every)
            if item.is_referenced
        ),
        *(statement for group in circles for statement in _references(group, on=True)),
    ]


_PURPOSES = {Tally.DELETED: "remove rows", Tally.UPDATED: "update rows"}


def _write(key: str, sql: str, tally: Tally) -> Statement:
    return Statement(sql=sql, purpose=_PURPOSES[tally], table=key, tally=tally)


def _references(group: Sequence[Changes], *, on: bool) -> list[Statement]:
    inside = {item.draft.target.ref for item in group}
    return [
        Statement(
            sql=_reference(names.table(item.draft.target.ref), key, on=on),
            purpose="check the reference for every row"
            if on
            else "switch a reference inside a circle off",
            table=item.key,
            lock="SCH-M",
        )
        for item in group
        for key in item.draft.target.foreign_keys
        if key.references in inside and key.references != key.table and key.is_enabled
    ]


def _reference(table: str, key: ForeignKey, *, on: bool) -> str:
    if not on:
        return f"ALTER TABLE {table} NOCHECK CONSTRAINT {quote(key.name)}"
    # `WITH CHECK` makes it trusted again; one that was not trusted before is left as it was.
    check = "WITH CHECK" if key.is_trusted else "WITH NOCHECK"
    return f"ALTER TABLE {table} {check} CHECK CONSTRAINT {quote(key.name)}"
