"""T-SQL: puts the statements of a refresh together, and decides what SQL Server can switch."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cmp_to_key

from refresher.domain import tsql_names as names
from refresher.domain import tsql_reading as reading
from refresher.domain import tsql_types as types
from refresher.domain.catalog import Catalog, Column, Table
from refresher.domain.config import LocalRows, Strategy, SyncMode, TableConfig
from refresher.domain.dialect import TableDraft
from refresher.domain.plan import Swap, TablePlan, Window
from refresher.domain.statements import Statement
from refresher.domain.tsql_landing import drop
from refresher.domain.tsql_merge import Merge
from refresher.domain.tsql_names import quote
from refresher.domain.tsql_order import write_statements
from refresher.domain.tsql_switch import Switch, affected
from refresher.domain.values import compare

_SWITCHED = (Swap.PARTITIONS, Swap.RENAME)
_FORBIDDEN = (";", "--", "/*", "?", "\0")


class TsqlDialect:
    """SQL Server's language."""

    # --- decisions -------------------------------------------------------------------------
    def choose_swap(
        self,
        config: TableConfig,
        target: Table,
        refreshed: Sequence[Table],
        capabilities: Catalog,
    ) -> tuple[Swap, str]:
        """Return how the table is swapped, and why."""
        plain, why = (
            (Swap.MERGE, "only rows that differ are written")
            if target.primary_key
            else (Swap.REWRITE, "there is no key that tells rows apart")
        )
        if config.strategy is Strategy.SIMPLE_COPY:
            return plain, why
        obstacle = _obstacle(config, target, refreshed)
        can_switch = "switch" in capabilities.capabilities
        if obstacle is None and not can_switch:
            obstacle = _rename_obstacle(target)
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
        if predicate.count("(") != predicate.count(")") or predicate.count("'") % 2:
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
        parts = Switch(draft, plan) if draft.swap in _SWITCHED else Merge(draft, plan)
        landing = reading.load_ref(plan)
        refs = [plan.staging] if landing == plan.staging else [plan.staging, landing]
        return replace(
            plan,
            schema=_schema_statements(draft),
            stage=parts.stage(),
            reads=(reading.read_statement(draft),),
            build=parts.build(),
            source_summary=reading.source_summary(draft),
            staging_summary=reading.staging_summary(draft, plan.staging),
            target_summary=reading.target_summary(draft),
            clean=tuple(_say(draft, drop(ref), "remove staging") for ref in refs),
            forget=(_say(draft, drop(plan.undo), "forget the old rows"),),
        )

    def swap_statements(
        self,
        drafts: Sequence[TableDraft],
        plans: Sequence[TablePlan],
        order: Sequence[Sequence[str]],
    ) -> tuple[Statement, ...]:
        """Return the one transaction that swaps a component."""
        merges, switches = _split(drafts, plans)
        return (
            *_locks(drafts),
            *_triggers(drafts, on=False),
            *_hooks(drafts, before=True),
            *(statement for merge in merges for statement in merge.note()),
            *write_statements([merge.changes() for merge in merges], order),
            *(statement for switch in switches for statement in switch.swap()),
            *_hooks(drafts, before=False),
            *_triggers(drafts, on=True),
        )

    def after_statements(
        self, drafts: Sequence[TableDraft], plans: Sequence[TablePlan]
    ) -> tuple[Statement, ...]:
        """Return what follows the commit."""
        _, switches = _split(drafts, plans)
        return tuple(statement for switch in switches for statement in switch.after())

    def undo_statements(
        self,
        drafts: Sequence[TableDraft],
        plans: Sequence[TablePlan],
        order: Sequence[Sequence[str]],
    ) -> tuple[Statement, ...]:
        """Return the one transaction that puts the old rows back."""
        merges, switches = _split(drafts, plans)
        return (
            *_locks(drafts),
            *_triggers(drafts, on=False),
            *write_statements([merge.restores() for merge in merges], order),
            *(statement for switch in switches for statement in switch.undo()),
            *_triggers(drafts, on=True),
        )


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


def _schema_statements(draft: TableDraft) -> tuple[Statement, ...]:
    table = names.table(draft.target.ref)
    added = [
        Statement(
            sql=f"IF COL_LENGTH({names.literal(table)}, {names.literal(column.name)}) IS NULL "
            f"ALTER TABLE {table} ADD {types.declare(column, nullable=True)}",
            purpose=f"add the column {column.name}",
            table=draft.config.name,
            lock="SCH-M",
        )
        for column in draft.added
    ]
    widened = [
        Statement(
            sql=f"ALTER TABLE {table} ALTER COLUMN {types.declare(types.followed(target, source))}",
            purpose=f"widen {source.name} from {target.type}",
            table=draft.config.name,
            lock="SCH-M",
        )
        for target, source in draft.widened
    ]
    return (*added, *widened)


def _split(
    drafts: Sequence[TableDraft], plans: Sequence[TablePlan]
) -> tuple[list[Merge], list[Switch]]:
    pairs = list(zip(drafts, plans, strict=True))
    merges = [Merge(draft, plan) for draft, plan in pairs if draft.swap not in _SWITCHED]
    switches = [Switch(draft, plan) for draft, plan in pairs if draft.swap in _SWITCHED]
    return merges, switches


def _locks(drafts: Sequence[TableDraft]) -> list[Statement]:
    """Return the locks, in one order for everybody, so that two swaps do not wait in a circle.

    A shared lock on the whole table lets readers in and keeps writers out; a switch takes its own.
    """
    merged = [draft for draft in drafts if draft.swap not in _SWITCHED]
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


def _triggers(drafts: Sequence[TableDraft], *, on: bool) -> list[Statement]:
    """Return what silences the triggers that people wrote, or brings them back.

    A switch fires none, so there they are left alone.
    """
    return [
        _say(
            draft,
            f"ALTER TABLE {names.table(draft.target.ref)} "
            f"{'ENABLE' if on else 'DISABLE'} TRIGGER {quote(trigger.name)}",
            "restore a trigger" if on else "silence a trigger: copied rows stay as they are",
            lock="SCH-M",
        )
        for draft in drafts
        if draft.swap not in _SWITCHED
        for trigger in draft.target.triggers
        if trigger.state == "enabled"
    ]


def _hooks(drafts: Sequence[TableDraft], *, before: bool) -> list[Statement]:
    return [
        _say(draft, sql, "hook of the configuration")
        for draft in drafts
        for sql in (draft.config.hooks.before_swap if before else draft.config.hooks.after_swap)
    ]


def _say(draft: TableDraft, sql: str, purpose: str, *, lock: str | None = None) -> Statement:
    return Statement(sql=sql, purpose=purpose, table=draft.config.name, lock=lock)
