"""The swap by merge: only what differs is written.

What is replaced is noted first, in the undo table: `D` rows that go, `U` rows as they were, and the
keys of `I` rows that come. The same notes drive the writing and, later, the undo.
"""

from collections.abc import Sequence

from refresher.domain import tsql_names as names
from refresher.domain import tsql_types as types
from refresher.domain.catalog import Column
from refresher.domain.config import LocalRows
from refresher.domain.dialect import TableDraft
from refresher.domain.frame import TableStatements
from refresher.domain.plan import Swap, TablePlan
from refresher.domain.statements import Statement, Tally
from refresher.domain.tsql_landing import (
    arrival_statements,
    drop,
    landing_statements,
    own_schema,
    statistics,
)
from refresher.domain.tsql_names import quote
from refresher.domain.tsql_order import Changes
from refresher.domain.tsql_reading import window_condition
from refresher.domain.values import Value

_OP = quote("penstock_op")


class Merge(TableStatements):
    """Statements of one table."""

    def __init__(self, draft: TableDraft, plan: TablePlan) -> None:
        super().__init__(draft, plan)
        self._target = names.table(draft.target.ref)
        self._staging = names.table(plan.staging)
        self._undo = names.table(plan.undo)
        self._columns = [column.name for column in draft.columns]
        self._own = [column for column in draft.target.columns if not column.is_computed]

    # --- staging ---------------------------------------------------------------------------
    def stage(self) -> tuple[Statement, ...]:
        """Return what makes staging: the carried columns, as a heap."""
        columns = ", ".join(types.declare(column) for column in self._carried())
        return (
            self._say(own_schema(), "make the schema of our own tables"),
            self._say(drop(self._plan.staging), "remove an older staging table"),
            self._say(f"CREATE TABLE {self._staging} ({columns})", "make the staging table"),
            *landing_statements(self._draft, self._plan),
        )

    def build(self) -> tuple[Statement, ...]:
        """Return what staging needs to be compared: its key, which proves uniqueness."""
        statements = list(arrival_statements(self._draft, self._plan))
        if self._plan.primary_key:
            columns = names.listed(self._plan.primary_key)
            add = f"ALTER TABLE {self._staging} ADD PRIMARY KEY CLUSTERED ({columns})"
            statements.append(self._say(add, "build the key of staging"))
        told = statistics(self._draft, self._plan.staging, "gather statistics of staging")
        return (*statements, *told)

    def _carried(self) -> list[Column]:
        """Return the carried columns as the target will have them."""
        widened = {
            source.name: types.followed(target, source) for target, source in self._draft.widened
        }
        added = {column.name: types.as_added(column) for column in self._draft.added}
        found = {column.name: column for column in self._draft.target.columns} | added | widened
        return [found[name] for name in self._columns]

    # --- notes -----------------------------------------------------------------------------
    def note(self) -> tuple[Statement, ...]:
        """Return what notes the difference between target and staging."""
        declared = ", ".join(types.declare(column, nullable=True) for column in self._noted())
        create = f"CREATE TABLE {self._undo} ({_OP} char(1) NOT NULL, {declared})"
        return (
            self._say(drop(self._plan.undo), "remove older notes"),
            self._say(create, "make the table of notes"),
            *self._refuse_local_rows(),
            *self._count_kept(),
            *([self._note_all()] if self._is_rewrite else self._note_differences()),
        )

    def changes(self) -> Changes:
        """Return what writes the differences."""
        return Changes(
            draft=self._draft,
            deletes=self._delete_all() if self._is_rewrite else self._delete("D"),
            inserts=self._with_identity(
                self._columns, self._insert_all() if self._is_rewrite else self._insert_new()
            ),
            updates=None if self._is_rewrite else self._update_from_staging(),
        )

    def restores(self) -> Changes:
        """Return what takes the differences back."""
        columns = [column.name for column in self._noted()]
        return Changes(
            draft=self._draft,
            deletes=self._delete_all() if self._is_rewrite else self._delete("I"),
            inserts=self._with_identity(columns, self._insert_removed(columns)),
            updates=None if self._is_rewrite else self._update_from_notes(),
        )

    @property
    def _is_rewrite(self) -> bool:
        return self._plan.swap is Swap.REWRITE

    def _noted(self) -> list[Column]:
        """Return every column that can be written, those that a refresh adds included."""
        known = {column.name for column in self._own}
        return [*self._own, *(column for column in self._draft.added if column.name not in known)]

    def _note_differences(self) -> list[Statement]:
        columns = [column.name for column in self._noted()]
        into = f"INSERT INTO {self._undo} ({_OP}, {names.listed(columns)})"
        every = names.listed(columns, "t.")
        statements = []
        if (deletes := self._deletable()) is not None:
            scope, condition, parameters = deletes
            sql = f"{into} SELECT 'D', {every} FROM {scope} AS t WHERE {condition}"  # noqa: S608
            statements.append(self._say(sql, "note the rows that go", parameters=parameters))
        if difference := self._difference():
            protected, parameters = self._protected()
            sql = (
                f"{into} SELECT 'U', {every} FROM {protected} AS t "  # noqa: S608
                f"INNER JOIN {self._staging} AS s ON {self._same_key('s', 't')} WHERE {difference}"
            )
            statements.append(self._say(sql, "note the rows that change", parameters=parameters))
        sql = (
            f"INSERT INTO {self._undo} ({_OP}, {names.listed(self._plan.primary_key)}) "  # noqa: S608
            f"SELECT 'I', {names.listed(self._plan.primary_key, 's.')} "
            f"FROM {self._staging} AS s WHERE NOT EXISTS "
            f"(SELECT 1 FROM {self._target} AS t WHERE {self._same_key('s', 't')})"
        )
        statements.append(self._say(sql, "note the rows that come"))
        return statements

    def _note_all(self) -> Statement:
        columns = [column.name for column in self._noted()]
        scope, parameters = self._scope()
        sql = (
            f"INSERT INTO {self._undo} ({_OP}, {names.listed(columns)}) "  # noqa: S608
            f"SELECT 'D', {names.listed(columns, 't.')} FROM {scope} AS t"
        )
        return self._say(sql, "note every row", parameters=parameters)

    def _refuse_local_rows(self) -> list[Statement]:
        if self._draft.config.local_rows is not LocalRows.STOP or not self._plan.primary_key:
            return []
        condition = self._missing()
        parameters: tuple[Value, ...] = ()
        if (after := self._draft.local_after) is not None:
            # No refresh has ever written beyond its watermark.
            place = names.bound(after.low, self._draft.target.column(after.column))
            condition, parameters = f"t.{quote(after.column)} > {place}", (after.low,)
        scope = self._relation(self._not_kept())
        return [
            self._say(
                f"SELECT COUNT_BIG(*) FROM {scope} AS t WHERE {condition}",  # noqa: S608
                "look for rows of the testers",
                parameters=parameters,
                refuse=f"{self._key}: the target has rows that production lacks, and "
                "`local_rows` is `stop`",
            )
        ]

    def _count_kept(self) -> list[Statement]:
        keep = self._draft.config.keep_rows
        if keep is None:
            return []
        count = f"SELECT COUNT_BIG(*) FROM {self._target} WHERE ({keep})"  # noqa: S608
        return [self._say(count, "count the rows that belong to testers", tally=Tally.KEPT)]

    # --- scope -----------------------------------------------------------------------------
    def _relation(self, conditions: Sequence[str]) -> str:
        where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
        return f"(SELECT * FROM {self._target}{where})"  # noqa: S608

    def _scope(self) -> tuple[str, tuple[Value, ...]]:
        """Return the rows of the target that a refresh may touch, as a relation."""
        conditions: list[str] = []
        parameters: tuple[Value, ...] = ()
        if self._draft.window is not None:
            condition, parameters = window_condition(self._draft.window, self._draft)
            conditions.append(condition)
        return self._relation([*conditions, *self._not_kept()]), parameters

    def _not_kept(self) -> list[str]:
        keep = self._draft.config.keep_rows
        return [] if keep is None else [f"CASE WHEN ({keep}) THEN 1 ELSE 0 END = 0"]

    def _protected(self) -> tuple[str, tuple[Value, ...]]:
        """Return the rows that may be changed: not the testers' own, as far as policy says so."""
        conditions = self._not_kept()
        parameters: tuple[Value, ...] = ()
        after = self._draft.local_after
        if after is not None and self._draft.config.local_rows is LocalRows.KEEP:
            column = quote(after.column)
            place = names.bound(after.low, self._draft.target.column(after.column))
            conditions.append(f"({column} <= {place} OR {column} IS NULL)")
            parameters = (after.low,)
        return self._relation(conditions), parameters

    def _deletable(self) -> tuple[str, str, tuple[Value, ...]] | None:
        """Return (relation, condition, parameters) of the rows that go; None for none at all."""
        if not self._draft.deletes_missing:
            return None
        scope, parameters = self._scope()
        condition = self._missing()
        if self._draft.config.local_rows is LocalRows.KEEP:
            after = self._draft.local_after
            if after is None:
                return None
            place = names.bound(after.low, self._draft.target.column(after.column))
            condition += f" AND t.{quote(after.column)} <= {place}"
            parameters = (*parameters, after.low)
        return scope, condition, parameters

    def _missing(self) -> str:
        same = self._same_key("s", "t")
        return f"NOT EXISTS (SELECT 1 FROM {self._staging} AS s WHERE {same})"  # noqa: S608

    def _same_key(self, left: str, right: str) -> str:
        return " AND ".join(
            f"{left}.{quote(name)} = {right}.{quote(name)}" for name in self._plan.primary_key
        )

    def _difference(self) -> str | None:
        compared = [c for c in self._carried() if c.name not in self._plan.primary_key]
        if not compared:
            return None
        left = ", ".join(types.exact(f"s.{quote(c.name)}", c.type) for c in compared)
        right = ", ".join(types.exact(f"t.{quote(c.name)}", c.type) for c in compared)
        # EXCEPT holds nulls equal, as `=` does not.
        return f"EXISTS (SELECT {left} EXCEPT SELECT {right})"

    # --- writing ---------------------------------------------------------------------------
    def _delete(self, operation: str) -> str:
        return (
            f"DELETE t FROM {self._target} AS t INNER JOIN {self._undo} AS u "
            f"ON {self._same_key('u', 't')} WHERE u.{_OP} = '{operation}'"
        )

    def _delete_all(self) -> str:
        kept = " AND ".join(self._not_kept())
        return f"DELETE FROM {self._target}{f' WHERE {kept}' if kept else ''}"  # noqa: S608

    def _insert_new(self) -> str:
        return (
            f"INSERT INTO {self._target} ({names.listed(self._columns)}) "  # noqa: S608
            f"SELECT {names.listed(self._columns, 's.')} FROM {self._staging} AS s "
            f"INNER JOIN {self._undo} AS u ON {self._same_key('u', 's')} WHERE u.{_OP} = 'I'"
        )

    def _insert_all(self) -> str:
        columns = names.listed(self._columns)
        return f"INSERT INTO {self._target} ({columns}) SELECT {columns} FROM {self._staging}"  # noqa: S608

    def _insert_removed(self, columns: Sequence[str]) -> str:
        sql = (
            f"INSERT INTO {self._target} ({names.listed(columns)}) "  # noqa: S608
            f"SELECT {names.listed(columns, 'u.')} FROM {self._undo} AS u WHERE u.{_OP} = 'D'"
        )
        if not self._plan.primary_key:
            return sql
        # A tester may have put a row in its place; the update has seen to that one.
        same = self._same_key("u", "t")
        return f"{sql} AND NOT EXISTS (SELECT 1 FROM {self._target} AS t WHERE {same})"  # noqa: S608

    def _update_from_staging(self) -> str | None:
        assignments = self._assignments("s", self._columns)
        if not assignments:
            return None
        return (
            f"UPDATE t SET {assignments} FROM {self._target} AS t "  # noqa: S608
            f"INNER JOIN {self._staging} AS s ON {self._same_key('s', 't')} "
            f"INNER JOIN {self._undo} AS u ON {self._same_key('u', 't')} WHERE u.{_OP} = 'U'"
        )

    def _update_from_notes(self) -> str | None:
        assignments = self._assignments("u", [column.name for column in self._noted()])
        if not assignments:
            return None
        return (
            f"UPDATE t SET {assignments} FROM {self._target} AS t "  # noqa: S608
            f"INNER JOIN {self._undo} AS u ON {self._same_key('u', 't')} "
            f"WHERE u.{_OP} IN ('U', 'D')"
        )

    def _assignments(self, source: str, columns: Sequence[str]) -> str:
        fixed = {column.name for column in self._draft.target.columns if column.identity}
        fixed |= set(self._plan.primary_key)
        return ", ".join(
            f"t.{quote(name)} = {source}.{quote(name)}" for name in columns if name not in fixed
        )

    def _with_identity(self, columns: Sequence[str], insert: str) -> tuple[Statement, ...]:
        """Return an insertion that may write the table's own numbers."""
        statement = self._say(insert, "insert rows", tally=Tally.INSERTED)
        drawn = {column.name for column in self._draft.target.columns if column.identity}
        if not drawn & set(columns):
            return (statement,)
        switch = f"SET IDENTITY_INSERT {self._target}"
        return (
            self._say(f"{switch} ON", "allow numbers to be given"),
            statement,
            self._say(f"{switch} OFF", "let the table draw its numbers again"),
        )
