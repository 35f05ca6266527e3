"""T-SQL: puts the statements of a refresh together, and decides what SQL Server can switch."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cmp_to_key

from refresher.domain import tsql_names as names
from refresher.domain import tsql_reading as reading
from refresher.domain import tsql_types as types
from refresher.domain.catalog import Catalog, Column, Table, Trigger
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
from refresher.domain.plan import Swap, TablePlan, Window
from refresher.domain.statements import Statement
from refresher.domain.tsql_landing import drop
from refresher.domain.tsql_merge import Merge
from refresher.domain.tsql_names import quote
from refresher.domain.tsql_order import Changes, write_statements
from refresher.domain.tsql_switch import Switch
from refresher.domain.values import compare

_NEITHER = "this server neither switches tables nor moves them to another schema"
_FORBIDDEN = (";", "--", "/*", "?", "\0")


class TsqlDialect(SwapFrame[Changes]):
    """SQL Server's language."""

    SCHEMA_LOCK = TRIGGER_LOCK = "SCH-M"

    # --- decisions -------------------------------------------------------------------------
    def choose_swap(
        self,
        config: TableConfig,
        target: Table,
        refreshed: Sequence[Table],
        capabilities: Catalog,
    ) -> tuple[Swap, str]:
        """Return how the table is swapped, and why."""
        plain, why = plain_swap(target)
        if config.strategy is Strategy.SIMPLE_COPY:
            return plain, why
        obstacle = _obstacle(config, target, refreshed)
        can_switch = "switch" in capabilities.capabilities
        if obstacle is None and not can_switch:
            can_rename = "rename" in capabilities.capabilities
            obstacle = _rename_obstacle(target) if can_rename else _NEITHER
        if obstacle is not None:
            return plain, f"no switch, because {obstacle}; {why}"
        if target.partitions and can_switch:
            return Swap.PARTITIONS, "partitions change places"
        how = "by a switch" if can_switch else "by renaming: this server does not switch"
        return Swap.RENAME, f"the whole table changes places, {how}"

    def compare_types(self, source: Column, target: Column) -> str:
        """Return `same`, `wider` or `incompatible`."""
        return types.compare(source, target)

    def widen_window(self, window: Window, target: Table) -> Window | None:
        """Return the window extended to whole partitions; None when no partition holds it."""
        touched = affected(target.partitions, window)
        if not touched:
            return None
        column = target.column(window.column)
        lows = [item.lower for item in touched if item.lower is not None]
        if len(lows) < len(touched):
            # The first partition has no lower end, and holds the nulls too: it is exchanged only
            # when everything below the window can be read as well.
            lowest = None if column is None or column.is_nullable else types.lowest(column)
            lows = [] if lowest is None else [lowest]
        if not lows:
            return None
        return replace(window, low=min(lows, key=cmp_to_key(compare)), deletes_missing=True)

    def check_predicate(self, predicate: str) -> str | None:
        """Return why a condition from the configuration cannot be used, or None."""
        if any(text in predicate for text in _FORBIDDEN):
            return "must be one condition, without `;`, `?` and comments"
        if not is_closed(predicate):
            return "has brackets or quotes that do not close"
        return None

    # --- statements ------------------------------------------------------------------------
    def table_plan(self, draft: TableDraft, base: TablePlan) -> TablePlan:
        """Return `base` with names and statements of one table."""
        plan = replace(
            base,
            staging=names.own("s", draft.run, draft.config.name),
            undo=names.own("u", draft.run, draft.config.name),
            notes=(*base.notes, *_notes(draft)),
        )
        is_exchanged = draft.swap in EXCHANGED
        parts = self._exchanging(draft, plan) if is_exchanged else self._merging(draft, plan)
        landing = reading.load_ref(plan)
        refs = [plan.staging] if landing == plan.staging else [plan.staging, landing]
        return replace(
            plan,
            schema=self._schema_statements(draft),
            stage=parts.stage(),
            reads=(reading.read_statement(draft),),
            build=parts.build(),
            source_summary=reading.source_summary(draft),
            staging_summary=reading.staging_summary(draft, plan.staging),
            target_summary=reading.target_summary(draft),
            clean=tuple(_say(draft, drop(ref), "remove staging") for ref in refs),
            forget=(_say(draft, drop(plan.undo), "forget the old rows"),),
        )

    # --- the frame's steps -----------------------------------------------------------------
    def _merging(self, draft: TableDraft, plan: TablePlan) -> Merge:
        return Merge(draft, plan)

    def _exchanging(self, draft: TableDraft, plan: TablePlan) -> Switch:
        return Switch(draft, plan)

    def _added(self, draft: TableDraft, column: Column) -> str:
        table = names.table(draft.target.ref)
        return (
            f"IF COL_LENGTH({names.literal(table)}, {names.literal(column.name)}) IS NULL "
            f"ALTER TABLE {table} ADD {types.declare(column, nullable=True)}"
        )

    def _widened(self, draft: TableDraft, target: Column, source: Column) -> str:
        declared = types.declare(types.followed(target, source))
        return f"ALTER TABLE {names.table(draft.target.ref)} ALTER COLUMN {declared}"

    def _writes(self, changes: Sequence[Changes], order: Order) -> list[Statement]:
        return write_statements(changes, order)

    def _locks(self, drafts: Sequence[TableDraft]) -> list[Statement]:
        """Return the locks; one that is shared lets readers in and keeps writers out.

        A switch takes its own.
        """
        merged = [draft for draft in drafts if draft.swap not in EXCHANGED]
        return [
            _say(
                draft,
                "SELECT COUNT_BIG(*) FROM (SELECT TOP (1) 1 AS one "  # noqa: S608
                f"FROM {names.table(draft.target.ref)} WITH (TABLOCK, HOLDLOCK)) AS held",
                "keep writers out until the swap is done",
                lock="S",
            )
            for draft in sorted(merged, key=lambda item: item.target.ref)
        ]

    def _trigger(self, draft: TableDraft, trigger: Trigger, *, on: bool) -> str | None:
        if trigger.state != "enabled":
            return None
        what = "ENABLE" if on else "DISABLE"
        return f"ALTER TABLE {names.table(draft.target.ref)} {what} TRIGGER {quote(trigger.name)}"


def _obstacle(config: TableConfig, target: Table, refreshed: Sequence[Table]) -> str | None:
    """Return what keeps a table from being switched, or None."""
    others = {table.ref for table in refreshed if table.ref != target.ref}
    beside = [key.references for key in target.references if key.references in others]
    is_incremental = config.sync_mode is not SyncMode.FULL_REPLACE and bool(target.partitions)
    column = config.incremental_column
    reasons = (
        ("no_switch" in target.facts, target.facts.get("no_switch", "")),
        (
            target.referenced_by,
            "".join(f"{key.table} refers to it" for key in target.referenced_by[:1]),
        ),
        (beside, "".join(f"{ref}, to which it refers, is refreshed with it" for ref in beside[:1])),
        (config.keep_rows or config.local_rows is not LocalRows.OVERWRITE, "rows of testers stay"),
        (not config.truncate_target, "`truncate_target` is false"),
        (config.not_carried, "columns of the target are left alone"),
        (
            is_incremental and (column,) != target.partition_key,
            f"it is partitioned by something else than `{column}`",
        ),
        (
            is_incremental and target.facts.get("range") == "left",
            "its partition function is RANGE LEFT, whose bounds belong to the partition below",
        ),
    )
    return next((reason for holds, reason in reasons if holds), None)


def _rename_obstacle(target: Table) -> str | None:
    """Return what a rename would leave behind with the old table, or None."""
    if target.partitions:
        return "this server does not switch, and partitions cannot be renamed"
    if target.triggers:
        return "this server does not switch, and triggers do not follow a rename"
    if target.dependants:
        return f"this server does not switch, and {target.dependants[0]} does not follow a rename"
    if target.facts.get("grants"):
        return "this server does not switch, and permissions do not follow a rename"
    if any(column.default for column in target.columns):
        return "this server does not switch, and names of defaults do not follow a rename"
    return None


def _notes(draft: TableDraft) -> list[str]:
    notes = []
    if draft.source.facts.get("snapshot") != "yes":
        notes.append(
            "the source database does not allow snapshot isolation, so the load will be refused: "
            "have ALLOW_SNAPSHOT_ISOLATION set, or read from a readable secondary"
        )
    masked = {mask.column for mask in draft.masks}
    if landing := reading.landing_columns(draft.columns, masked):
        notes.append(f"{', '.join(landing)}: lands as text first, so that no digit is lost")
    if draft.config.parallel > 1:
        notes.append("`parallel` is not used: SQL Server cannot share a snapshot")
    return notes


def _say(draft: TableDraft, sql: str, purpose: str, *, lock: str | None = None) -> Statement:
    return Statement(sql=sql, purpose=purpose, table=draft.config.name, lock=lock)
