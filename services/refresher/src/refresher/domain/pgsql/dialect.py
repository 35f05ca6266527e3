"""Puts the statements of a refresh together, and decides what PostgreSQL can exchange."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cmp_to_key

from refresher.domain.catalog import Catalog, Column, Table, Trigger, TypeKind
from refresher.domain.config import LocalRows, Strategy, SyncMode, TableConfig
from refresher.domain.dialect import TableDraft
from refresher.domain.frame import (
    EXCHANGED,
    Order,
    SwapFrame,
    affected,
    is_closed,
    plain_swap,
)
from refresher.domain.pgsql import names, reading, rename
from refresher.domain.pgsql.merge import Merge, staging_ref, undo_ref
from refresher.domain.pgsql.names import quote
from refresher.domain.pgsql.rename import Rename
from refresher.domain.pgsql.switch import Exchange
from refresher.domain.pgsql.writing import Changes, write_statements
from refresher.domain.plan import Swap, TablePlan, Window
from refresher.domain.statements import Statement
from refresher.domain.values import compare

_TYPE = re.compile(r"^(?P<name>[a-z ]+?)(?:\((?P<size>\d+)(?:,(?P<scale>-?\d+))?\))?$")
_INTEGERS = ("smallint", "integer", "bigint")
_STATES = {
    "enabled": "enable trigger",
    "always": "enable always trigger",
    "replica": "enable replica trigger",
}


class PostgresDialect(SwapFrame[Changes]):
    """PostgreSQL's language."""

    SCHEMA_LOCK = "ACCESS EXCLUSIVE"

    # --- decisions -------------------------------------------------------------------------
    def choose_swap(
        self,
        config: TableConfig,
        target: Table,
        refreshed: Sequence[Table],
        capabilities: Catalog,  # noqa: ARG002 - every server we support can do the same
    ) -> tuple[Swap, str]:
        """Return how the table is swapped, and why."""
        plain, why = plain_swap(target)
        if config.strategy is Strategy.SIMPLE_COPY:
            return plain, why
        swap, what = (
            (Swap.PARTITIONS, "partitions change places")
            if _is_partitioned(target)
            else (Swap.RENAME, "the whole table changes places")
        )
        obstacle = next(_obstacles(config, target, refreshed), None)
        return (swap, what) if obstacle is None else (plain, f"no exchange: {obstacle}; {why}")

    def compare_types(self, source: Column, target: Column) -> str:
        """Return `same`, `wider` or `incompatible`."""
        if source.facts.get("binary") == "no":
            return "incompatible"
        if source.type == target.type:
            return "same"
        return "wider" if _is_wider(source, target) else "incompatible"

    def widen_window(self, window: Window, target: Table) -> Window | None:
        """Return the window extended to whole partitions; None when no partition holds it."""
        touched = affected(target.partitions, window)
        if not touched:
            return None
        high = window.high
        if high is not None and not any(
            item.upper is None or compare(item.upper, high) > 0 for item in touched
        ):
            return None
        lows = [item.lower for item in touched if item.lower is not None]
        if len(lows) < len(touched):
            return None
        lowest = min(lows, key=cmp_to_key(compare))
        return replace(window, low=lowest, deletes_missing=True)

    def check_predicate(self, predicate: str) -> str | None:
        """Return why a condition from the configuration cannot be used, or None."""
        if ";" in predicate or "--" in predicate or "/*" in predicate:
            return "must be one condition, without `;` and comments"
        if not is_closed(predicate):
            return "has brackets or quotes that do not close"
        if "$" in predicate:
            return "must not contain `$`"
        return None

    # --- statements ------------------------------------------------------------------------
    def table_plan(self, draft: TableDraft, base: TablePlan) -> TablePlan:
        """Return `base` with names and statements of one table."""
        plan = replace(base, staging=staging_ref(draft), undo=undo_ref(draft))
        is_exchanged = draft.swap in EXCHANGED
        parts = self._exchanging(draft, plan) if is_exchanged else self._merging(draft, plan)
        return replace(
            plan,
            schema=self._schema_statements(draft),
            row_mark=reading.row_mark(draft) if draft.masks else None,
            stage=parts.stage(),
            reads=reading.read_statements(draft),
            build=parts.build(),
            source_summary=reading.source_summary(draft),
            staging_summary=reading.staging_summary(draft, plan.staging),
            target_summary=reading.target_summary(draft),
            clean=parts.clean(),
            forget=parts.forget(),
        )

    # --- the frame's steps -----------------------------------------------------------------
    def _merging(self, draft: TableDraft, plan: TablePlan) -> Merge:
        return Merge(draft, plan)

    def _exchanging(self, draft: TableDraft, plan: TablePlan) -> Exchange:
        return Exchange(draft, plan) if draft.swap is Swap.PARTITIONS else Rename(draft, plan)

    def _added(self, draft: TableDraft, column: Column) -> str:
        table = names.table(draft.target.ref)
        return f"alter table {table} add column if not exists {quote(column.name)} {column.type}"

    def _widened(self, draft: TableDraft, target: Column, source: Column) -> str:  # noqa: ARG002 - the type says all
        table = names.table(draft.target.ref)
        return f"alter table {table} alter column {quote(source.name)} type {source.type}"

    def _writes(self, changes: Sequence[Changes], order: Order) -> list[Statement]:
        return write_statements(changes, order)

    def _locks(self, drafts: Sequence[TableDraft]) -> list[Statement]:
        return [_lock(draft) for draft in sorted(drafts, key=lambda item: item.target.ref)]

    def _settings(self, drafts: Sequence[TableDraft]) -> list[Statement]:
        """Return what makes few rows be looked up by their key, where otherwise all would be read.

        The server's own figure is that of a disk that turns: with it a hundredth of a table already
        looks dearer to look up than the whole table to read, and the cost would follow the table.
        """
        if not any(draft.window is not None and draft.swap is Swap.MERGE for draft in drafts):
            return []
        return [
            Statement(
                sql="set local random_page_cost = 1.1",
                purpose="look few rows up by their key",
            )
        ]

    def _sequences(
        self, drafts: Sequence[TableDraft], plans: Sequence[TablePlan]
    ) -> list[Statement]:
        pairs = sorted(zip(drafts, plans, strict=True), key=lambda pair: pair[0].swap in EXCHANGED)
        return [statement for draft, plan in pairs for statement in Merge(draft, plan).sequences()]

    def _trigger(self, draft: TableDraft, trigger: Trigger, *, on: bool) -> str | None:
        if trigger.state not in _STATES:
            return None
        what = _STATES[trigger.state] if on else "disable trigger"
        return f"alter table {names.table(draft.target.ref)} {what} {quote(trigger.name)}"


def _is_partitioned(target: Table) -> bool:
    return "partition_by" in target.facts


def _obstacles(config: TableConfig, target: Table, refreshed: Sequence[Table]) -> Iterator[str]:
    """Yield what keeps a table or its partitions from changing places."""
    if not _is_partitioned(target):
        yield from rename.obstacles(target)
    elif not target.partitions:
        yield "the table has no partitions"
    if target.facts.get("levels") == "many":
        yield "its partitions have partitions"
    yield from _bound_by_references(target, refreshed)
    if any(item.facts.get("triggers") for item in target.partitions):
        yield "a partition has triggers of its own"
    if config.keep_rows is not None or config.local_rows is not LocalRows.OVERWRITE:
        yield "rows of the testers stay"
    if not config.truncate_target:
        yield "`truncate_target` is false"
    if config.not_carried:
        yield f"{config.not_carried[0]} is left alone"
    if config.sync_mode is not SyncMode.FULL_REPLACE:
        yield from _bound_by_window(config, target)


def _bound_by_references(target: Table, refreshed: Sequence[Table]) -> Iterator[str]:
    others = {table.ref for table in refreshed if table.ref != target.ref}
    if target.referenced_by:
        yield f"{target.referenced_by[0].table} refers to it"
    for reference in target.references:
        if reference.references in others:
            yield f"{reference.references}, to which it refers, is refreshed together with it"


def _bound_by_window(config: TableConfig, target: Table) -> Iterator[str]:
    if not _is_partitioned(target):
        yield "only a part of the rows is read"
    if (config.incremental_column,) != target.partition_key:
        yield f"it is partitioned by something else than `{config.incremental_column}`"
    if any(item.is_default for item in target.partitions):
        yield "it has a default partition"
    if any(item.lower is None for item in target.partitions):
        yield "a partition has no lower bound"


def _is_wider(source: Column, target: Column) -> bool:
    if source.kind is TypeKind.TEXT and target.kind is TypeKind.TEXT:
        names_ = {"text", "character varying"}
        first, second = _parts(source), _parts(target)
        if not {first[0], second[0]} <= names_:
            return False
        return source.length is None or (
            target.length is not None and source.length > target.length
        )
    if source.type in _INTEGERS and target.type in _INTEGERS:
        return _INTEGERS.index(source.type) > _INTEGERS.index(target.type)
    if source.kind is TypeKind.NUMERIC and target.kind is TypeKind.NUMERIC:
        # Another scale would change how every value is written.
        return (
            source.scale == target.scale
            and source.precision is not None
            and target.precision is not None
            and source.precision > target.precision
        )
    return source.type == "double precision" and target.type == "real"


def _parts(column: Column) -> tuple[str, str | None]:
    found = _TYPE.match(column.type)
    return (found["name"], found["size"]) if found else (column.type, None)


def _lock(draft: TableDraft) -> Statement:
    is_exchanged = draft.swap in EXCHANGED
    mode = "access exclusive" if is_exchanged else "share row exclusive"
    return Statement(
        sql=f"lock table {names.table(draft.target.ref)} in {mode} mode",
        purpose="keep everybody out for the moment of the exchange"
        if is_exchanged
        else "keep writers out until the swap is done",
        table=draft.config.name,
        lock=mode.upper(),
    )
