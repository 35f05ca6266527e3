"""The swap by exchange: new partitions, or a whole new table, take the place of the old ones.

Everything that needs a scan (indexes, checks, references) is made on staging beforehand, so the
exchange under the lock is a change of catalogs. The old tables are kept as they are, for undo.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from refresher.domain.catalog import Index, Partition, TableRef
from refresher.domain.dialect import TableDraft
from refresher.domain.frame import TableStatements, affected
from refresher.domain.pgsql import names
from refresher.domain.pgsql.names import quote
from refresher.domain.plan import TablePlan
from refresher.domain.statements import Statement

_BOUND = "penstock_bound"


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaf:
    """One partition that is exchanged, and the names it goes by."""

    partition: Partition
    fresh: TableRef
    """Its new rows, before the exchange."""

    old: TableRef
    """Its old rows, after the exchange."""


class Exchange(TableStatements):
    """Statements that exchange the partitions of one table."""

    def __init__(self, draft: TableDraft, plan: TablePlan) -> None:
        super().__init__(draft, plan)
        self._target = names.table(draft.target.ref)
        self._staging = names.table(plan.staging)
        self.leaves = [
            Leaf(
                partition=partition,
                fresh=names.own("s", draft.run, f"{draft.config.name}_{partition.number}"),
                old=names.own("u", draft.run, f"{draft.config.name}_{partition.number}"),
            )
            for partition in affected(draft.target.partitions, draft.window)
        ]

    # --- staging ---------------------------------------------------------------------------
    def stage(self) -> tuple[Statement, ...]:
        """Return what makes an empty twin of the table, with the partitions that are affected."""
        including = "including defaults including generated including storage"
        statements = [
            *self.clean(),
            self._say(
                f"create table {self._staging} (like {self._target} {including}) "
                f"partition by {self._draft.target.facts['partition_by']}",
                "make the staging table",
            ),
        ]
        for leaf in self.leaves:
            fresh = names.table(leaf.fresh)
            like = f"create table {fresh} (like {names.table(leaf.partition.ref)} {including} "
            statements += [
                self._say(f"{like}including constraints)", "make a staging partition"),
                self._say(
                    f"alter table {self._staging} attach partition {fresh} {leaf.partition.bound}",
                    "let the copy find its partition",
                ),
            ]
        return tuple(statements)

    def build(self) -> tuple[Statement, ...]:
        """Return everything that needs a scan of the new rows, so that the exchange needs none."""
        statements = []
        for number, leaf in enumerate(self.leaves):
            fresh = names.table(leaf.fresh)
            statements += [
                self._say(
                    f"alter table {self._staging} detach partition {fresh}",
                    "let go of a staging partition",
                ),
                self._say(
                    f"alter table {fresh} add constraint {_BOUND} "
                    f"check ({leaf.partition.facts['constraint']})",
                    "prove the bound of the partition",
                ),
                *self._indexes(leaf, number),
                *self._references(leaf),
                *(
                    self._say(grant, "grant what was granted")
                    for grant in grants(leaf.partition.facts, leaf.fresh)
                ),
                self._say(f"analyze {fresh}", "gather statistics of the partition"),
            ]
        return tuple(statements)

    def _indexes(self, leaf: Leaf, number: int) -> list[Statement]:
        statements = []
        for position, index in enumerate(leaf.partition.indexes):
            name = self._index("i", number, position)
            statements.append(
                self._say(
                    create_index(index, name, leaf.fresh),
                    "build an index of the partition",
                )
            )
        return statements

    def _references(self, leaf: Leaf) -> list[Statement]:
        fresh = names.table(leaf.fresh)
        statements = []
        for reference in leaf.partition.foreign_keys:
            name = quote(reference.name)
            statements.append(
                self._say(
                    f"alter table {fresh} add constraint {name} {reference.definition} not valid",
                    "add a reference",
                )
            )
            if reference.is_trusted:
                statements.append(
                    self._say(
                        f"alter table {fresh} validate constraint {name}", "check the reference"
                    )
                )
        return statements

    # --- swap ------------------------------------------------------------------------------
    def swap(self) -> list[Statement]:
        """Return the exchange itself."""
        statements = []
        for number, leaf in enumerate(self.leaves):
            statements += self._out(leaf, number, keep=leaf.old, mark="o")
        for number, leaf in self._in_order():
            statements += self._into(leaf, number, place=leaf.fresh, mark="i")
        return statements

    def undo(self) -> list[Statement]:
        """Return the exchange backwards."""
        statements = []
        for number, leaf in enumerate(self.leaves):
            statements += self._out(leaf, number, keep=leaf.fresh, mark="i")
        for number, leaf in self._in_order():
            statements += self._into(leaf, number, place=leaf.old, mark="o")
        return statements

    def _in_order(self) -> list[tuple[int, Leaf]]:
        """Return the partitions as they come in, a default one last.

        While one is attached, the server reads it for rows that belong to each that comes.
        """
        return sorted(enumerate(self.leaves), key=lambda item: item[1].partition.is_default)

    def _out(self, leaf: Leaf, number: int, *, keep: TableRef, mark: str) -> list[Statement]:
        """Return what takes the present partition away."""
        return [
            self._say(
                f"alter table {self._target} detach partition {names.table(leaf.partition.ref)}",
                "take the old partition out",
                lock="ACCESS EXCLUSIVE",
            ),
            *self._aside(leaf, number, keep=keep, mark=mark),
        ]

    def _aside(self, leaf: Leaf, number: int, *, keep: TableRef, mark: str) -> list[Statement]:
        """Return what puts a table among ours; its indexes get names of ours."""
        live = leaf.partition.ref
        statements = [
            self._say(
                f"alter index {names.table(TableRef(live.schema, index.name))} "
                f"rename to {quote(self._index(mark, number, position))}",
                "make room for the name of an index",
            )
            for position, index in enumerate(leaf.partition.indexes)
        ]
        statements += [
            self._say(
                f"alter table {names.table(live)} rename to {quote(keep.name)}",
                "rename the old rows",
            ),
            self._say(
                f"alter table {names.table(TableRef(live.schema, keep.name))} "
                f"set schema {quote(keep.schema)}",
                "put the old rows aside",
            ),
        ]
        return statements

    def _into(self, leaf: Leaf, number: int, *, place: TableRef, mark: str) -> list[Statement]:
        """Return what puts a partition in place, under the names that were there before."""
        live = leaf.partition.ref
        return [
            *self._bring(leaf, place=place),
            self._say(
                f"alter table {self._target} attach partition {names.table(live)} "
                f"{leaf.partition.bound}",
                "put the new partition in",
                lock="ACCESS EXCLUSIVE",
            ),
            self._say(
                f"alter table {names.table(live)} drop constraint if exists {_BOUND}",
                "drop the proof, which the bound replaces",
            ),
            *self._name_indexes(leaf, number, mark=mark),
        ]

    def _bring(self, leaf: Leaf, *, place: TableRef) -> list[Statement]:
        """Return what puts a table among the live ones."""
        live = leaf.partition.ref
        return [
            self._say(
                f"alter table {names.table(place)} set schema {quote(live.schema)}",
                "bring the new rows",
            ),
            self._say(
                f"alter table {names.table(TableRef(live.schema, place.name))} "
                f"rename to {quote(live.name)}",
                "rename the new rows",
            ),
        ]

    def _name_indexes(self, leaf: Leaf, number: int, *, mark: str) -> list[Statement]:
        live = leaf.partition.ref
        return [
            self._say(
                f"alter index "
                f"{names.table(TableRef(live.schema, self._index(mark, number, position)))} "
                f"rename to {quote(index.name)}",
                "give the index its name",
            )
            for position, index in enumerate(leaf.partition.indexes)
        ]

    def _index(self, mark: str, number: int, position: int) -> str:
        """Return an index's name among ours, where those of every table of a run lie together."""
        return names.own(mark, self._draft.run, f"{number}_{position}_{self._key}").name

    def after(self) -> list[Statement]:
        """Return what makes undo quick: the old partitions prove their bounds again."""
        statements = []
        for leaf in self.leaves:
            old = names.table(leaf.old)
            statements += [
                self._say(
                    f"alter table if exists {old} drop constraint if exists {_BOUND}",
                    "prepare undo",
                ),
                self._say(
                    f"alter table if exists {old} add constraint {_BOUND} "
                    f"check ({leaf.partition.facts['constraint']})",
                    "let undo be quick: prove the bound of the old partition",
                ),
            ]
        return statements

    # --- end -------------------------------------------------------------------------------
    def clean(self) -> tuple[Statement, ...]:
        """Return what removes staging."""
        return (
            self._say(f"drop table if exists {self._staging}", "remove staging"),
            *(
                self._say(f"drop table if exists {names.table(leaf.fresh)}", "remove staging")
                for leaf in self.leaves
            ),
        )

    def forget(self) -> tuple[Statement, ...]:
        """Return what removes the old partitions."""
        return tuple(
            self._say(f"drop table if exists {names.table(leaf.old)}", "forget the old rows")
            for leaf in self.leaves
        )


def grants(facts: Mapping[str, str], fresh: TableRef) -> list[str]:
    """Return what gives a new table the privileges of the old one."""
    found = facts.get("grants", "")
    return [line.replace("{table}", names.table(fresh)) for line in found.split("\n") if line]


_INDEX = re.compile(
    r"^(CREATE (?:UNIQUE )?INDEX )(?:\"(?:[^\"]|\"\")+\"|\S+)( ON )(?:ONLY )?", re.IGNORECASE
)


def create_index(index: Index, name: str, fresh: TableRef) -> str:
    """Return the statement that makes an index's twin on another table."""
    if index.constraint is not None:
        return f"alter table {names.table(fresh)} add constraint {quote(name)} {index.constraint}"
    head = _INDEX.match(index.definition)
    if head is None:
        raise ValueError(f"not the definition of an index: {index.definition!r}")
    rest = index.definition[head.end() :]
    using = rest.index(" USING ")
    return f"{head[1]}{quote(name)}{head[2]}{names.table(fresh)}{rest[using:]}"
