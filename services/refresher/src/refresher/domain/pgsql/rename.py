"""The swap by rename: a whole new table takes the place of the old one.

Only for tables to which nothing points: views, references and publications would stay with the old
table (docs/decisions/0016). What belongs to the table itself comes along: keys, indexes, checks,
references to others, privileges, its replica identity, and the sequences that it owns.
"""

from collections.abc import Iterator

from refresher.domain.catalog import Partition, Table
from refresher.domain.dialect import TableDraft
from refresher.domain.pgsql import names
from refresher.domain.pgsql.names import quote
from refresher.domain.pgsql.switch import Exchange, Leaf, grants
from refresher.domain.plan import TablePlan
from refresher.domain.statements import Statement

_INCLUDING = (
    "including defaults including generated including storage including compression "
    "including constraints including comments including statistics"
)


def obstacles(target: Table) -> Iterator[str]:
    """Yield what keeps a whole table from changing places."""
    yield from (f"{item} would stay with the old table" for item in target.dependants)
    if target.triggers:
        yield "it has triggers"
    for column in target.columns:
        if column.identity is not None:
            yield f"the identity column {column.name} would begin anew"


class Rename(Exchange):
    """Statements that exchange a whole table."""

    def __init__(self, draft: TableDraft, plan: TablePlan) -> None:
        super().__init__(draft, plan)
        target = draft.target
        self._leaf = Leaf(
            partition=Partition(
                ref=target.ref,
                number=0,
                bound="",
                foreign_keys=target.foreign_keys,
                indexes=target.indexes,
                facts=target.facts,
            ),
            fresh=plan.staging,
            old=plan.undo,
        )
        self.leaves = [self._leaf]

    def stage(self) -> tuple[Statement, ...]:
        """Return what makes an empty twin of the table, without its indexes."""
        options = self._draft.target.facts.get("options")
        return (
            *self.clean(),
            self._say(
                f"create table {self._staging} (like {self._target} {_INCLUDING})"
                + (f" with ({options})" if options else ""),
                "make the staging table",
            ),
        )

    def build(self) -> tuple[Statement, ...]:
        """Return everything that needs a scan of the new rows, so that the exchange needs none."""
        facts = self._draft.target.facts
        return (
            *self._indexes(self._leaf, 0),
            *self._references(self._leaf),
            *(
                self._say(grant, "grant what was granted")
                for grant in grants(facts, self._plan.staging)
            ),
            *self._replica_identity(),
            self._say(f"analyze {self._staging}", "gather statistics of staging"),
        )

    def _replica_identity(self) -> list[Statement]:
        facts = self._draft.target.facts
        how = {"f": "full", "n": "nothing"}.get(facts.get("replica_identity", ""))
        for position, index in enumerate(self._draft.target.indexes):
            if index.name == facts.get("replica_index"):
                how = f"using index {quote(self._index('i', 0, position))}"
        if how is None:
            return []
        return [
            self._say(
                f"alter table {self._staging} replica identity {how}",
                "let replicas tell rows apart as before",
            )
        ]

    def swap(self) -> list[Statement]:
        """Return the exchange itself."""
        return [
            *self._free_sequences(),
            *self._aside(self._leaf, 0, keep=self._leaf.old, mark="o"),
            *self._bring(self._leaf, place=self._leaf.fresh),
            *self._name_indexes(self._leaf, 0, mark="i"),
            *self._own_sequences(),
        ]

    def undo(self) -> list[Statement]:
        """Return the exchange backwards."""
        return [
            *self._free_sequences(),
            *self._aside(self._leaf, 0, keep=self._leaf.fresh, mark="i"),
            *self._bring(self._leaf, place=self._leaf.old),
            *self._name_indexes(self._leaf, 0, mark="o"),
            *self._own_sequences(),
        ]

    def _free_sequences(self) -> list[Statement]:
        """Return what keeps sequences from going where the old table goes."""
        return [
            self._say(
                f"alter sequence {names.table(sequence.ref)} owned by none",
                "keep a sequence where it is",
            )
            for sequence in self._draft.target.sequences
            if sequence.is_owned
        ]

    def _own_sequences(self) -> list[Statement]:
        return [
            self._say(
                f"alter sequence {names.table(sequence.ref)} "
                f"owned by {self._target}.{quote(sequence.column)}",
                "give a sequence to the new table",
            )
            for sequence in self._draft.target.sequences
            if sequence.is_owned
        ]

    def after(self) -> list[Statement]:
        """Return nothing: undo needs no proof of bounds."""
        return []

    def clean(self) -> tuple[Statement, ...]:
        """Return what removes staging."""
        return (self._say(f"drop table if exists {self._staging}", "remove staging"),)
