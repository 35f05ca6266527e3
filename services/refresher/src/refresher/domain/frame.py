"""What every engine's swap has in common: which steps there are, and in which order.

A dialect says how its engine spells a step; that writers are kept out before triggers are silenced,
that rows are noted before they are written, is said once, here.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Generic, Protocol, TypeVar

from refresher.domain.catalog import Column, Partition, Table, Trigger
from refresher.domain.dialect import TableDraft
from refresher.domain.plan import Swap, TablePlan, Window
from refresher.domain.statements import Statement, Tally
from refresher.domain.values import Value, compare

EXCHANGED = (Swap.PARTITIONS, Swap.RENAME)
"""Swaps in which tables change places, and no row is written."""

Order = Sequence[Sequence[str]]
"""Keys of tables, parents first; those in one group form a circle of references."""

ChangesT = TypeVar("ChangesT")
ChangesT_co = TypeVar("ChangesT_co", covariant=True)


class Merging(Protocol[ChangesT_co]):
    """What a dialect makes of a table of which only the differences are written."""

    def note(self) -> tuple[Statement, ...]:
        """Return what notes the difference between target and staging."""
        ...

    def changes(self) -> ChangesT_co:
        """Return what writes the differences."""
        ...

    def restores(self) -> ChangesT_co:
        """Return what takes the differences back."""
        ...


class Exchanging(Protocol):
    """What a dialect makes of a table that changes places with staging."""

    def swap(self) -> Sequence[Statement]:
        """Return the exchange itself."""
        ...

    def undo(self) -> Sequence[Statement]:
        """Return the exchange backwards."""
        ...

    def after(self) -> Sequence[Statement]:
        """Return what follows the commit."""
        ...


class TableStatements:
    """A table's decisions and names; every statement made here says which table it is about."""

    def __init__(self, draft: TableDraft, plan: TablePlan) -> None:
        self._draft = draft
        self._plan = plan
        self._key = draft.config.name

    def _say(
        self,
        sql: str,
        purpose: str,
        *,
        parameters: tuple[Value, ...] = (),
        tally: Tally | None = None,
        refuse: str | None = None,
        lock: str | None = None,
    ) -> Statement:
        return Statement(
            sql=sql,
            purpose=purpose,
            parameters=parameters,
            table=self._key,
            tally=tally,
            refuse=refuse,
            lock=lock,
        )


class SwapFrame(ABC, Generic[ChangesT]):
    """The transactions of a component, put together of the dialect's steps."""

    SCHEMA_LOCK: str
    """The lock that changing a column takes."""

    TRIGGER_LOCK: str | None = None
    """The lock that switching a trigger takes, where it is stronger than what is held by then."""

    # --- what a dialect says ---------------------------------------------------------------
    @abstractmethod
    def _merging(self, draft: TableDraft, plan: TablePlan) -> Merging[ChangesT]:
        """Return the maker of a merge's statements."""

    @abstractmethod
    def _exchanging(self, draft: TableDraft, plan: TablePlan) -> Exchanging:
        """Return the maker of an exchange's statements."""

    @abstractmethod
    def _added(self, draft: TableDraft, column: Column) -> str:
        """Return what adds a column that the target lacks."""

    @abstractmethod
    def _widened(self, draft: TableDraft, target: Column, source: Column) -> str:
        """Return what widens a column as the source has it."""

    @abstractmethod
    def _locks(self, drafts: Sequence[TableDraft]) -> list[Statement]:
        """Return the locks, in one order for everybody, so that swaps do not wait in a circle."""

    @abstractmethod
    def _writes(self, changes: Sequence[ChangesT], order: Order) -> list[Statement]:
        """Return the writing of several tables, in an order that keeps references whole."""

    @abstractmethod
    def _trigger(self, draft: TableDraft, trigger: Trigger, *, on: bool) -> str | None:
        """Return what silences a trigger, or brings it back as it was; None: it is left alone."""

    def _settings(self, drafts: Sequence[TableDraft]) -> list[Statement]:  # noqa: ARG002 - none
        """Return what the transaction needs to be set."""
        return []

    def _sequences(
        self,
        drafts: Sequence[TableDraft],  # noqa: ARG002 - an identity moves by itself
        plans: Sequence[TablePlan],  # noqa: ARG002
    ) -> list[Statement]:
        """Return what moves sequences behind the largest number."""
        return []

    # --- statements ------------------------------------------------------------------------
    def _schema_statements(self, draft: TableDraft) -> tuple[Statement, ...]:
        changes = [
            (self._added(draft, column), f"add the column {column.name}") for column in draft.added
        ] + [
            (self._widened(draft, target, source), f"widen {source.name} from {target.type}")
            for target, source in draft.widened
        ]
        return tuple(
            Statement(sql=sql, purpose=purpose, table=draft.config.name, lock=self.SCHEMA_LOCK)
            for sql, purpose in changes
        )

    def swap_statements(
        self, drafts: Sequence[TableDraft], plans: Sequence[TablePlan], order: Order
    ) -> tuple[Statement, ...]:
        """Return the one transaction that swaps a component."""
        merges, exchanges = self._split(drafts, plans)
        return (
            *self._locks(drafts),
            *self._settings(drafts),
            *self._triggers(drafts, on=False),
            *_hooks(drafts, before=True),
            *(statement for merge in merges for statement in merge.note()),
            *self._writes([merge.changes() for merge in merges], order),
            *(statement for exchange in exchanges for statement in exchange.swap()),
            *self._sequences(drafts, plans),
            *_hooks(drafts, before=False),
            *self._triggers(drafts, on=True),
        )

    def after_statements(
        self, drafts: Sequence[TableDraft], plans: Sequence[TablePlan]
    ) -> tuple[Statement, ...]:
        """Return what follows the commit."""
        _, exchanges = self._split(drafts, plans)
        return tuple(statement for exchange in exchanges for statement in exchange.after())

    def undo_statements(
        self, drafts: Sequence[TableDraft], plans: Sequence[TablePlan], order: Order
    ) -> tuple[Statement, ...]:
        """Return the one transaction that puts the old rows back."""
        merges, exchanges = self._split(drafts, plans)
        return (
            *self._locks(drafts),
            *self._triggers(drafts, on=False),
            *self._writes([merge.restores() for merge in merges], order),
            *(statement for exchange in exchanges for statement in exchange.undo()),
            *self._triggers(drafts, on=True),
        )

    def _split(
        self, drafts: Sequence[TableDraft], plans: Sequence[TablePlan]
    ) -> tuple[list[Merging[ChangesT]], list[Exchanging]]:
        pairs = list(zip(drafts, plans, strict=True))
        merges = [self._merging(*pair) for pair in pairs if pair[0].swap not in EXCHANGED]
        exchanges = [self._exchanging(*pair) for pair in pairs if pair[0].swap in EXCHANGED]
        return merges, exchanges

    def _triggers(self, drafts: Sequence[TableDraft], *, on: bool) -> list[Statement]:
        """Return what silences the triggers that people wrote; an exchange fires none."""
        return [
            Statement(
                sql=sql,
                purpose="restore a trigger"
                if on
                else "silence a trigger: copied rows stay as they are",
                table=draft.config.name,
                lock=self.TRIGGER_LOCK,
            )
            for draft in drafts
            if draft.swap not in EXCHANGED
            for trigger in draft.target.triggers
            if (sql := self._trigger(draft, trigger, on=on)) is not None
        ]


def _hooks(drafts: Sequence[TableDraft], *, before: bool) -> list[Statement]:
    return [
        Statement(sql=sql, purpose="hook of the configuration", table=draft.config.name)
        for draft in drafts
        for sql in (draft.config.hooks.before_swap if before else draft.config.hooks.after_swap)
    ]


def plain_swap(target: Table) -> tuple[Swap, str]:
    """Return the swap that any table allows, and why it is this one."""
    if target.primary_key:
        return Swap.MERGE, "only rows that differ are written"
    return Swap.REWRITE, "there is no key that tells rows apart"


def is_closed(predicate: str) -> bool:
    """Return whether the brackets and quotes of a condition close."""
    return predicate.count("(") == predicate.count(")") and predicate.count("'") % 2 == 0


def affected(partitions: Sequence[Partition], window: Window | None) -> list[Partition]:
    """Return the partitions that a window touches; all of them without one."""
    if window is None:
        return list(partitions)
    return [partition for partition in partitions if _touches(partition, window)]


def _touches(partition: Partition, window: Window) -> bool:
    if partition.is_default:
        return False
    if partition.upper is not None and compare(partition.upper, window.low) <= 0:
        return False
    high = window.high
    return partition.lower is None or high is None or compare(partition.lower, high) <= 0
