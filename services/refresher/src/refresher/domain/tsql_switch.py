"""The swap by switch: partitions, or whole tables, change places as a change of catalogs.

Staging and the table that keeps the old rows are twins of the target: same columns, same indexes,
same partition scheme, so that partition n of the one fits partition n of the other, with no check
to prove a range and no file group to compare.
"""

from refresher.domain import tsql_names as names
from refresher.domain import tsql_types as types
from refresher.domain.catalog import Check, Column, ForeignKey, Index, TableRef
from refresher.domain.dialect import TableDraft
from refresher.domain.frame import TableStatements, affected
from refresher.domain.plan import Swap, TablePlan
from refresher.domain.statements import Statement
from refresher.domain.tsql_landing import (
    arrival_statements,
    drop,
    landing_statements,
    own_schema,
    statistics,
)
from refresher.domain.tsql_names import quote

_SCHEMA_LOCK = "SCH-M"


class Switch(TableStatements):
    """Statements that switch one table, or its partitions."""

    def __init__(self, draft: TableDraft, plan: TablePlan) -> None:
        super().__init__(draft, plan)
        self._target = names.table(draft.target.ref)
        self._staging = names.table(plan.staging)
        self._undo = names.table(plan.undo)
        self._numbers = [
            partition.number for partition in affected(draft.target.partitions, draft.window)
        ]

    @property
    def _is_rename(self) -> bool:
        """Whether the whole table must be renamed: this server does not switch."""
        return (
            self._plan.swap is Swap.RENAME
            and self._draft.target.facts.get("switch", "yes") != "yes"
        )

    # --- staging ---------------------------------------------------------------------------
    def stage(self) -> tuple[Statement, ...]:
        """Return what makes staging: a twin as a bare heap."""
        return (
            self._say(own_schema(), "make the schema of our own tables"),
            *self._twin(self._plan.staging),
            *landing_statements(self._draft, self._plan),
        )

    def build(self) -> tuple[Statement, ...]:
        """Return what needs a scan of the new rows, so that the switch needs none."""
        return (
            *arrival_statements(self._draft, self._plan),
            *self._finish(self._plan.staging),
            *self._references(self._plan.staging),
            *statistics(self._draft, self._plan.staging, "gather statistics of staging"),
        )

    def _twin(self, ref: TableRef) -> list[Statement]:
        added = [types.as_added(column) for column in self._draft.added]
        widened = {
            source.name: types.followed(target, source) for target, source in self._draft.widened
        }
        columns = [widened.get(column.name, column) for column in self._draft.target.columns]
        declared = ", ".join(_declare(column) for column in (*columns, *added))
        space = self._draft.target.facts.get("space")
        return [
            self._say(drop(ref), "remove an older table of the same name"),
            self._say(
                f"CREATE TABLE {names.table(ref)} ({declared}){f' ON {space}' if space else ''}",
                "make a twin of the table",
            ),
        ]

    def _finish(self, ref: TableRef) -> list[Statement]:
        """Return indexes and checks, clustered index first."""
        table = self._draft.target
        twin = names.table(ref)
        ordered = sorted(table.indexes, key=lambda item: item.facts.get("clustered") != "yes")
        statements = [
            self._say(_index(index, twin, self._own(ref, index.name)), "build an index")
            for index in ordered
        ]
        for check in table.checks:
            statements += self._constrain(
                ref, check, f"CHECK {check.definition}", purpose="add a check and prove it"
            )
        return statements

    def _references(self, ref: TableRef) -> list[Statement]:
        """Return the references that a table must prove before its rows move to the target.

        A table that keeps old rows has none: it would hold on to rows of tables that are refreshed
        in the meantime.
        """
        statements = []
        for key in self._draft.target.foreign_keys:
            definition = (
                f"FOREIGN KEY ({names.listed(key.columns)}) REFERENCES "
                f"{names.table(key.references)} ({names.listed(key.referenced_columns)})"
                f"{_actions(key.on_delete)}"
            )
            statements += self._constrain(
                ref, key, definition, purpose="add a reference and prove it"
            )
        return statements

    def _constrain(
        self, ref: TableRef, item: Check | ForeignKey, definition: str, *, purpose: str
    ) -> list[Statement]:
        """Return what adds a constraint, as trusted and as enabled as the target's."""
        twin, name = names.table(ref), quote(self._own(ref, item.name))
        trust = "CHECK" if item.is_trusted else "NOCHECK"
        statements = [
            self._say(
                f"ALTER TABLE {twin} WITH {trust} ADD CONSTRAINT {name} {definition}", purpose
            )
        ]
        if not item.is_enabled:
            switch = f"ALTER TABLE {twin} NOCHECK CONSTRAINT {name}"
            statements.append(self._say(switch, "as the target has it"))
        return statements

    # --- swap ------------------------------------------------------------------------------
    def swap(self) -> list[Statement]:
        """Return the switch itself: old rows out, new rows in."""
        if self._is_rename:
            return [
                *self._rename_out(self._plan.undo),
                *self._rename_in(self._plan.staging),
                *self._let_go(self._plan.undo),
            ]
        return [
            # Here and not before: the old rows of a swap that is done must never be dropped.
            *self._twin(self._plan.undo),
            *self._finish(self._plan.undo),
            *self._refuse_losses(),
            *self._moves(self._staging, self._undo),
            *self._reseed(),
        ]

    def undo(self) -> list[Statement]:
        """Return the switch backwards; staging was removed after the swap."""
        if self._is_rename:
            return [
                *self._rename_out(self._plan.staging),
                *self._rename_in(self._plan.undo),
                *self._let_go(self._plan.staging),
                *self._hold_on(),
            ]
        return [
            *self._twin(self._plan.staging),
            *self._finish(self._plan.staging),
            *self._references(self._plan.undo),
            *self._moves(self._undo, self._staging),
            *self._reseed(),
        ]

    def _let_go(self, ref: TableRef) -> list[Statement]:
        """Return what keeps a table that was put aside from holding on to rows of others."""
        return [
            self._say(
                f"ALTER TABLE {names.table(ref)} "
                f"NOCHECK CONSTRAINT {quote(self._own(ref, key.name))}",
                "let go of a reference",
            )
            for key in self._draft.target.foreign_keys
        ]

    def _hold_on(self) -> list[Statement]:
        """Return what proves the references of a table that has come back."""
        return [
            self._say(
                f"ALTER TABLE {self._target} WITH {'CHECK' if key.is_trusted else 'NOCHECK'} "
                f"CHECK CONSTRAINT {quote(key.name)}",
                "check the reference for every row",
            )
            for key in self._draft.target.foreign_keys
            if key.is_enabled
        ]

    def _refuse_losses(self) -> list[Statement]:
        """Return what stops a switch that would empty columns which only the target has."""
        carried = {column.name for column in self._draft.columns}
        return [
            Statement(
                sql=f"SELECT COUNT_BIG(*) FROM {self._target} "  # noqa: S608
                f"WHERE {quote(column.name)} IS NOT NULL",
                purpose="look for values that staging does not have",
                table=self._key,
                refuse=f"{self._key}: the column {column.name} is not carried, and a switch would "
                "empty it; use `simple_copy`",
            )
            for column in self._draft.target.columns
            if column.name not in carried and not _is_made(column)
        ]

    def _moves(self, fresh: str, old: str) -> list[Statement]:
        """Return what moves the target's rows to `old`, and those of `fresh` to the target."""
        if self._plan.swap is Swap.RENAME:
            pairs = [("", "")]
        else:
            pairs = [(f" PARTITION {number}", f" PARTITION {number}") for number in self._numbers]
        statements = []
        for here, there in pairs:
            statements += [
                self._say(
                    f"ALTER TABLE {self._target} SWITCH{here} TO {old}{there}",
                    "move the old rows out",
                    lock=_SCHEMA_LOCK,
                ),
                self._say(
                    f"ALTER TABLE {fresh} SWITCH{there} TO {self._target}{here}",
                    "move the new rows in",
                    lock=_SCHEMA_LOCK,
                ),
            ]
        return statements

    def _reseed(self) -> list[Statement]:
        """Return what moves the identity behind the largest number; a switch leaves it behind."""
        if not any(column.identity for column in self._draft.target.columns):
            return []
        sql = f"DBCC CHECKIDENT ({names.literal(self._target)}, RESEED) WITH NO_INFOMSGS"
        return [self._say(sql, "move the identity behind the largest number")]

    def after(self) -> list[Statement]:
        """Return what follows the commit."""
        return list(statistics(self._draft, self._draft.target.ref, "gather statistics"))

    # --- renaming --------------------------------------------------------------------------
    def _own(self, ref: TableRef, name: str) -> str:
        """Return the name of a twin's constraint: they are unique in a schema, tables or not."""
        return names.own(ref.name[0], self._draft.run, name).name

    def _rename_out(self, keep: TableRef) -> list[Statement]:
        live = self._draft.target.ref
        return [
            *(self._rename_part(name, self._own(keep, name)) for name in self._constraints()),
            self._rename(names.table(live), keep.name),
            self._say(
                f"ALTER SCHEMA {quote(keep.schema)} "
                f"TRANSFER {names.table(TableRef(live.schema, keep.name))}",
                "put the old table aside",
                lock=_SCHEMA_LOCK,
            ),
        ]

    def _rename_in(self, place: TableRef) -> list[Statement]:
        live = self._draft.target.ref
        return [
            self._say(
                f"ALTER SCHEMA {quote(live.schema)} TRANSFER {names.table(place)}",
                "bring the new table",
                lock=_SCHEMA_LOCK,
            ),
            self._rename(names.table(TableRef(live.schema, place.name)), live.name),
            *(self._rename_part(self._own(place, name), name) for name in self._constraints()),
        ]

    def _constraints(self) -> list[str]:
        table = self._draft.target
        found = [index.name for index in table.indexes if index.constraint is not None]
        found += [check.name for check in table.checks]
        return found + [key.name for key in table.foreign_keys]

    def _rename_part(self, name: str, to: str) -> Statement:
        return self._rename(names.table(TableRef(self._draft.target.ref.schema, name)), to)

    def _rename(self, name: str, to: str) -> Statement:
        # `sp_rename` takes the new name as it is: quoted, the quotes become part of it.
        return self._say(
            f"EXECUTE sp_rename @objname = {names.literal(name)}, "
            f"@newname = {names.literal(to)}, @objtype = N'OBJECT'",
            "rename",
            lock=_SCHEMA_LOCK,
        )

    # --- end -------------------------------------------------------------------------------
    def clean(self) -> tuple[Statement, ...]:
        """Return what removes staging."""
        return (self._say(drop(self._plan.staging), "remove staging"),)

    def forget(self) -> tuple[Statement, ...]:
        """Return what removes the old rows."""
        return (self._say(drop(self._plan.undo), "forget the old rows"),)


def _is_made(column: Column) -> bool:
    """Return whether the server fills a column of staging as it filled the target's."""
    return column.is_computed and column.type != "sql_variant"


def _declare(column: Column) -> str:
    """Return a column of a twin: also what the database computes must be the same."""
    computed = column.facts.get("computed")
    if computed is not None:
        persisted = " PERSISTED" if column.facts.get("persisted") == "yes" else ""
        not_null = " NOT NULL" if persisted and not column.is_nullable else ""
        return f"{quote(column.name)} AS {computed}{persisted}{not_null}"
    extras = ""
    if column.facts.get("sparse") == "yes":
        extras += " SPARSE"
    if column.identity:
        extras += f" IDENTITY({column.identity})"
    if column.facts.get("rowguidcol") == "yes":
        extras += " ROWGUIDCOL"
    head, _, null = types.declare(column).rpartition(
        " NOT NULL" if not column.is_nullable else " NULL"
    )
    return f"{head}{extras}{' NULL' if column.is_nullable else ' NOT NULL'}{null}"


def _index(index: Index, table: str, name: str) -> str:
    if index.constraint is not None:
        return f"ALTER TABLE {table} ADD CONSTRAINT {quote(name)} {index.constraint}"
    return index.definition.replace("{index}", quote(index.name)).replace("{table}", table)


def _actions(on_delete: str) -> str:
    return "" if on_delete == "no action" else f" ON DELETE {on_delete.upper()}"
