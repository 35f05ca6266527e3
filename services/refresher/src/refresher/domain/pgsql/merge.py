"""The swap by merge: only what differs is written, and readers are never held up.

What is replaced is noted first, in the undo table: `D` rows that go, `U` rows as they were, and the
keys of `I` rows that come. The same notes drive the writing and, later, the undo.
"""
# ruff: noqa: S608 - identifiers are quoted in `names`, values are parameters

from collections.abc import Sequence

from refresher.domain.catalog import Column, TableRef, TypeKind
from refresher.domain.config import LocalRows
from refresher.domain.dialect import TableDraft
from refresher.domain.frame import TableStatements
from refresher.domain.pgsql import names
from refresher.domain.pgsql.names import quote
from refresher.domain.pgsql.reading import window_condition
from refresher.domain.pgsql.writing import Changes
from refresher.domain.plan import Swap, TablePlan
from refresher.domain.statements import Statement, Tally
from refresher.domain.values import Value

_OP = "penstock_op"
_NO_EQUALITY = ("json", "xml", "point", "line", "lseg", "box", "path", "polygon", "circle")


class Merge(TableStatements):
    """Statements of one table."""

    def __init__(self, draft: TableDraft, plan: TablePlan) -> None:
        super().__init__(draft, plan)
        self._target = names.table(draft.target.ref)
        self._staging = names.table(plan.staging)
        self._undo = names.table(plan.undo)
        self._columns = [column.name for column in draft.columns]

    # --- staging ---------------------------------------------------------------------------
    def stage(self) -> tuple[Statement, ...]:
        """Return what makes staging: the carried columns, without any index."""
        columns = names.listed(self._columns)
        create = f"create table {self._staging} as select {columns} from {self._target}"
        return (
            self._say(f"drop table if exists {self._staging}", "remove an older staging table"),
            self._say(f"{create} with no data", "make the staging table"),
        )

    def build(self) -> tuple[Statement, ...]:
        """Return what staging needs to be compared: its key, which proves uniqueness."""
        built = []
        if self._plan.primary_key:
            built.append(
                self._say(
                    f"alter table {self._staging} add primary key "
                    f"({names.listed(self._plan.primary_key)})",
                    "build the key of staging",
                )
            )
        return (*built, self._analyze(self._staging, "gather statistics of staging"))

    # --- swap ------------------------------------------------------------------------------
    def note(self) -> tuple[Statement, ...]:
        """Return what notes the difference between target and staging."""
        create = (
            f"create table {self._undo} as select ''::text as {_OP}, t.* "
            f"from {self._target} as t with no data"
        )
        statements = [
            self._say(f"drop table if exists {self._undo}", "remove older notes"),
            self._say(create, "make the table of notes"),
            *self._refuse_local_rows(),
            *self._count_kept(),
        ]
        if self._plan.swap is Swap.REWRITE:
            statements.append(self._note_all())
        else:
            statements += self._note_differences()
        return (*statements, self._analyze(self._undo, "gather statistics of the notes", _OP))

    def _analyze(self, table: str, purpose: str, *more: str) -> Statement:
        """Return what counts rows, and looks at the columns by which they are joined."""
        columns = names.listed([*more, *self._plan.primary_key])
        return self._say(f"analyze {table}{f' ({columns})' if columns else ''}", purpose)

    def changes(self) -> Changes:
        """Return what writes the differences."""
        is_rewrite = self._plan.swap is Swap.REWRITE
        return Changes(
            key=self._key,
            is_referenced=bool(self._draft.target.referenced_by),
            deletes=self._delete_all() if is_rewrite else self._delete("D"),
            inserts=self._insert_all() if is_rewrite else self._insert_new(),
            updates=None if is_rewrite else self._update_from_staging(),
        )

    def restores(self) -> Changes:
        """Return what takes the differences back."""
        is_rewrite = self._plan.swap is Swap.REWRITE
        return Changes(
            key=self._key,
            is_referenced=bool(self._draft.target.referenced_by),
            deletes=self._delete_all() if is_rewrite else self._delete("I"),
            inserts=self._insert_removed(),
            updates=None if is_rewrite else self._update_from_notes(),
        )

    def sequences(self) -> list[Statement]:
        """Return what moves sequences behind the largest number; never backwards."""
        carried = set(self._columns)
        return [
            self._say(
                f"select setval({names.literal(names.table(sequence.ref))}::regclass, top.high) "
                f"from (select max({quote(sequence.column)}) as high from {self._target}) as top, "
                f"{names.table(sequence.ref)} as now "
                "where top.high > now.last_value",
                "move the sequence behind the largest number",
            )
            for sequence in self._draft.target.sequences
            if sequence.column in carried
        ]

    # --- scope -----------------------------------------------------------------------------
    def _scope(self) -> tuple[str, tuple[Value, ...]]:
        """Return the rows of the target that a refresh may touch, as a relation."""
        conditions: list[str] = []
        parameters: tuple[Value, ...] = ()
        if self._draft.window is not None:
            condition, parameters = window_condition(self._draft.window)
            conditions.append(condition)
        conditions += self._not_kept()
        where = f" where {' and '.join(conditions)}" if conditions else ""
        return f"(select * from {self._target}{where})", parameters

    def _not_kept(self) -> list[str]:
        keep = self._draft.config.keep_rows
        return [] if keep is None else [f"(({keep}) is not true)"]

    def _same_key(self, left: str, right: str) -> str:
        return " and ".join(
            f"{left}.{quote(name)} = {right}.{quote(name)}" for name in self._plan.primary_key
        )

    def _missing(self) -> str:
        return f"not exists (select from {self._staging} as s where {self._same_key('s', 't')})"

    # --- notes -----------------------------------------------------------------------------
    def _note_differences(self) -> list[Statement]:
        every = names.listed((column.name for column in self._draft.target.columns), "t.")
        into = f"insert into {self._undo} ({_OP}, {self._all_columns()})"
        statements = []
        deletes = self._deletable()
        if deletes is not None:
            scope, condition, parameters = deletes
            statements.append(
                self._say(
                    f"{into} select 'D', {every} from {scope} as t where {condition}",
                    "note the rows that go",
                    parameters=parameters,
                )
            )
        if difference := self._difference():
            protected, parameters = self._protected()
            statements.append(
                self._say(
                    f"{into} select 'U', {every} from {protected} as t "
                    f"join {self._staging} as s on {self._same_key('s', 't')} where {difference}",
                    "note the rows that change",
                    parameters=parameters,
                )
            )
        key = names.listed(self._plan.primary_key)
        statements.append(
            self._say(
                f"insert into {self._undo} ({_OP}, {key}) "
                f"select 'I', {names.listed(self._plan.primary_key, 's.')} "
                f"from {self._staging} as s where not exists "
                f"(select from {self._target} as t where {self._same_key('s', 't')})",
                "note the rows that come",
            )
        )
        return statements

    def _protected(self) -> tuple[str, tuple[Value, ...]]:
        """Return the rows that may be changed: not the testers' own, as far as policy says so."""
        conditions = self._not_kept()
        parameters: tuple[Value, ...] = ()
        after = self._draft.local_after
        if after is not None and self._draft.config.local_rows is LocalRows.KEEP:
            conditions.append(f"({quote(after.column)} > $1) is not true")
            parameters = (after.low,)
        where = f" where {' and '.join(conditions)}" if conditions else ""
        return f"(select * from {self._target}{where})", parameters

    def _all_columns(self) -> str:
        return names.listed(column.name for column in self._draft.target.columns)

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
            condition += f" and t.{quote(after.column)} <= ${len(parameters) + 1}"
            parameters = (*parameters, after.low)
        return scope, condition, parameters

    def _difference(self) -> str | None:
        compared = [
            column
            for column in self._draft.target.columns
            if column.name in self._columns and column.name not in self._plan.primary_key
        ]
        if not compared:
            return None
        left = ", ".join(_comparable("t", column) for column in compared)
        right = ", ".join(_comparable("s", column) for column in compared)
        return f"row({left}) is distinct from row({right})"

    def _refuse_local_rows(self) -> list[Statement]:
        parameters: tuple[Value, ...]
        if self._draft.config.local_rows is not LocalRows.STOP or not self._plan.primary_key:
            return []
        kept = " and ".join(self._not_kept())
        scope = f"(select * from {self._target}{f' where {kept}' if kept else ''})"
        condition, parameters = self._missing(), ()
        if (after := self._draft.local_after) is not None:
            # No refresh has ever written beyond its watermark.
            condition, parameters = f"t.{quote(after.column)} > $1", (after.low,)
        return [
            self._say(
                f"select count(*) from {scope} as t where {condition}",
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
        return [
            self._say(
                f"select count(*) from {self._target} where ({keep}) is true",
                "count the rows that belong to testers",
                tally=Tally.KEPT,
            )
        ]

    def _note_all(self) -> Statement:
        scope, parameters = self._scope()
        return self._say(
            f"insert into {self._undo} select 'D', t.* from {scope} as t",
            "note every row",
            parameters=parameters,
        )

    # --- writing ---------------------------------------------------------------------------
    def _delete(self, operation: str) -> str:
        return (
            f"delete from {self._target} as t using {self._undo} as u "
            f"where u.{_OP} = '{operation}' and {self._same_key('u', 't')}"
        )

    def _delete_all(self) -> str:
        kept = " and ".join(self._not_kept())
        return f"delete from {self._target}{f' where {kept}' if kept else ''}"

    def _insert_new(self) -> str:
        return (
            f"insert into {self._target} ({names.listed(self._columns)}) "
            f"overriding system value select {names.listed(self._columns, 's.')} "
            f"from {self._staging} as s join {self._undo} as u "
            f"on u.{_OP} = 'I' and {self._same_key('u', 's')}"
        )

    def _insert_all(self) -> str:
        return (
            f"insert into {self._target} ({names.listed(self._columns)}) "
            f"overriding system value select {names.listed(self._columns)} from {self._staging}"
        )

    def _insert_removed(self) -> str:
        columns = [column.name for column in self._draft.target.columns if not column.is_computed]
        sql = (
            f"insert into {self._target} ({names.listed(columns)}) "
            f"overriding system value select {names.listed(columns, 'u.')} "
            f"from {self._undo} as u where u.{_OP} = 'D'"
        )
        if not self._plan.primary_key:
            return sql
        key = names.listed(self._plan.primary_key)
        changed = self._assignments("excluded", columns)
        return f"{sql} on conflict ({key}) do {f'update set {changed}' if changed else 'nothing'}"

    def _update_from_staging(self) -> str | None:
        assignments = self._assignments("s", self._columns)
        if not assignments:
            return None
        return (
            f"update {self._target} as t set {assignments} "
            f"from {self._staging} as s join {self._undo} as u "
            f"on u.{_OP} = 'U' and {self._same_key('u', 's')} where {self._same_key('s', 't')}"
        )

    def _update_from_notes(self) -> str | None:
        columns = [column.name for column in self._draft.target.columns if not column.is_computed]
        assignments = self._assignments("u", columns)
        if not assignments:
            return None
        return (
            f"update {self._target} as t set {assignments} from {self._undo} as u "
            f"where u.{_OP} = 'U' and {self._same_key('u', 't')}"
        )

    def _assignments(self, source: str, columns: Sequence[str]) -> str:
        always = {
            column.name
            for column in self._draft.target.columns
            if column.identity == "always" or column.name in self._plan.primary_key
        }
        return ", ".join(
            f"{quote(name)} = {source}.{quote(name)}" for name in columns if name not in always
        )

    # --- end -------------------------------------------------------------------------------
    def clean(self) -> tuple[Statement, ...]:
        """Return what removes staging."""
        return (self._say(f"drop table if exists {self._staging}", "remove staging"),)

    def forget(self) -> tuple[Statement, ...]:
        """Return what removes the notes."""
        return (self._say(f"drop table if exists {self._undo}", "forget the old rows"),)


def _comparable(alias: str, column: Column) -> str:
    name = f"{alias}.{quote(column.name)}"
    needs_text = column.type in _NO_EQUALITY or (
        column.kind is TypeKind.JSON and column.type != "jsonb"
    )
    return f"{name}::text" if needs_text else name


def staging_ref(draft: TableDraft) -> TableRef:
    """Return the name of a table's staging."""
    return names.own("s", draft.run, draft.config.name)


def undo_ref(draft: TableDraft) -> TableRef:
    """Return the name of a table's notes."""
    return names.own("u", draft.run, draft.config.name)
