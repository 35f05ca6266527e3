"""Plans one table: what is carried, how it is masked, which rows, which way of swapping."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from refresher.domain.catalog import Catalog, Column, Extent, Table, TableRef
from refresher.domain.classify import classify
from refresher.domain.config import RefreshConfig, SyncMode, TableConfig, VerifyLevel
from refresher.domain.dialect import Dialect, TableDraft
from refresher.domain.drift import (
    ColumnDrift,
    DriftEffect,
    Stop,
    compare_columns,
    with_accepted,
)
from refresher.domain.guards import Refusal
from refresher.domain.modes import LastRefresh, ModeChoice, Situation, choose_mode
from refresher.domain.plan import CarriedColumn, Estimate, Swap, TablePlan, Window

NOWHERE = TableRef("", "")
"""Stands for names that the dialect fills in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What was asked for."""

    keys: tuple[str, ...]
    """Tables of the configuration."""

    mode: SyncMode | None = None
    """None: as configured."""

    row_limit: int | None = None
    is_forced: bool = False
    """Whether a `--force` stands behind it whose requester may force."""

    is_test: bool = False
    """Whether the environment is marked as a test."""

    has_key: bool = True
    """Whether there is a key to mask with."""

    accepted: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Table key → columns of the source as a person has accepted them."""

    stopped: Mapping[str, Stop] = field(default_factory=dict)
    """By table key: what waits for a decision, or was rejected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What was found in the databases and in our history."""

    source: Catalog
    target: Catalog
    source_extents: Mapping[str, Extent]
    """By key."""

    target_extents: Mapping[str, Extent]
    history: Mapping[str, LastRefresh]
    source_fingerprint: str
    target_fingerprint: str
    refusals: tuple[Refusal, ...] = ()
    """What the guards said."""


@dataclass(slots=True)
class Notes:
    """What a plan collects while it is made."""

    refusals: list[str] = field(default_factory=list)
    destructive: list[str] = field(default_factory=list)
    breaking: list[str] = field(default_factory=list)
    """Columns that production has lost: policy alone does not decide that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A table as both databases have it."""

    source: Table
    target: Table


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """What was decided about a table, and the plan that says it."""

    draft: TableDraft
    plan: TablePlan


class TablePlanner:
    """Plans the tables of one refresh."""

    def __init__(
        self,
        config: RefreshConfig,
        dialect: Dialect,
        *,
        request: Request,
        findings: Findings,
        plan_id: str,
        now: datetime,
    ) -> None:
        self._config = config
        self._dialect = dialect
        self._request = request
        self._findings = findings
        self._run = hashlib.sha256(plan_id.encode()).hexdigest()[:10]
        self._now = now

    def make(
        self, table: TableConfig, pair: Pair, *, refreshed: Sequence[Table], notes: Notes
    ) -> Planned | None:
        """Return the decisions and the plan; None when something refuses it."""
        before = len(notes.refusals)
        table = with_accepted(
            table,
            pair.source,
            pair.target,
            compare_types=self._dialect.compare_types,
            accepted=self._request.accepted.get(table.name),
        )
        drift = self._drift(table, pair, notes)
        self._check_predicates(table, notes)
        _check_column(table, pair, notes)
        columns, left = _carried(table, pair)
        classified = classify(
            table.name, columns, self._config.masking, unique=_unique_columns(pair)
        )
        notes.refusals.extend(classified.problems)
        if classified.masks and not self._request.has_key:
            notes.refusals.append(
                f"{table.name}: columns are to be masked, and `REFRESHER_MASKING_KEY` is not set"
            )
        swap, swap_reason = self._dialect.choose_swap(
            table, pair.target, refreshed, self._findings.target
        )
        choice = self._fit(table, pair.target, self._choose(table, pair), swap, notes)
        _check_key(table, pair.target, choice, notes)
        if len(notes.refusals) > before:
            return None
        draft = self._draft(table, pair, choice, swap)
        draft = replace(
            draft,
            columns=tuple(_carry(column) for column in columns),
            masks=classified.masks,
            added=tuple(
                item.source for item in drift if item.effect is DriftEffect.ADD and item.source
            ),
            widened=tuple(
                (item.target, item.source)
                for item in drift
                if item.effect is DriftEffect.WIDEN and item.source and item.target
            ),
        )
        plan = replace(
            self._base(draft, choice),
            swap_reason=swap_reason,
            not_carried=tuple(left),
            drift=tuple(str(item) for item in drift),
        )
        _judge_destruction(draft, plan, notes)
        return Planned(draft=draft, plan=self._dialect.table_plan(draft, plan))

    def _drift(self, table: TableConfig, pair: Pair, notes: Notes) -> list[ColumnDrift]:
        drift = compare_columns(
            pair.source,
            pair.target,
            compare_types=self._dialect.compare_types,
            not_carried=table.not_carried,
        )
        for item in drift:
            if item.effect is DriftEffect.CONFLICT:
                notes.refusals.append(f"{table.name}: {item}")
            elif item.effect is DriftEffect.GONE:
                notes.breaking.append(f"{table.name}: {item}")
        return drift

    def _check_predicates(self, table: TableConfig, notes: Notes) -> None:
        for name, predicate in (("row_filter", table.row_filter), ("keep_rows", table.keep_rows)):
            problem = self._dialect.check_predicate(predicate) if predicate else None
            if problem:
                notes.refusals.append(f"{table.name}: `{name}` {problem}")

    def _choose(self, table: TableConfig, pair: Pair) -> ModeChoice:
        situation = Situation(
            source=self._findings.source_extents[table.name],
            target=self._findings.target_extents[table.name],
            last=self._findings.history.get(table.name),
            schema_hash=pair.source.columns_hash,
            now=self._now,
        )
        return choose_mode(table, self._request.mode or table.sync_mode, situation)

    def _fit(
        self, table: TableConfig, target: Table, choice: ModeChoice, swap: Swap, notes: Notes
    ) -> ModeChoice:
        """Return the choice with its window widened to what the swap exchanges."""
        if choice.window is None or swap not in (Swap.PARTITIONS, Swap.RENAME):
            return choice
        if swap is Swap.RENAME:
            return replace(
                choice,
                mode=SyncMode.FULL_REPLACE,
                reason=f"{choice.reason}; the whole table changes places, so all of it is read",
                window=None,
            )
        widened = self._dialect.widen_window(choice.window, target)
        if widened is None:
            notes.refusals.append(
                f"{table.name}: no partition of the target holds {choice.window.column} up to "
                f"{choice.window.high}; create it first"
            )
            return choice
        return replace(
            choice, reason=f"{choice.reason}; widened to whole partitions", window=widened
        )

    def _draft(self, table: TableConfig, pair: Pair, choice: ModeChoice, swap: Swap) -> TableDraft:
        last = self._findings.history.get(table.name)
        local_after = None
        if last is not None and last.watermark is not None and table.incremental_column:
            local_after = Window(
                column=table.incremental_column,
                low=last.watermark,
                high=None,
                deletes_missing=False,
            )
        return TableDraft(
            run=self._run,
            config=table,
            source=pair.source,
            target=pair.target,
            extent=self._findings.source_extents[table.name],
            columns=(),
            added=(),
            widened=(),
            swap=swap,
            window=choice.window,
            row_limit=self._request.row_limit or table.row_limit,
            masks=(),
            local_after=local_after,
            deletes_missing=(
                choice.window.deletes_missing
                if choice.window
                # Without a window an incremental refresh found nothing to read: it deletes nothing.
                else table.truncate_target and choice.mode is SyncMode.FULL_REPLACE
            ),
            summarised=table.verify is not VerifyLevel.COUNTS,
            checksummed=table.verify is VerifyLevel.CHECKSUM,
            same_version=self._findings.source.major == self._findings.target.major,
        )

    def _base(self, draft: TableDraft, choice: ModeChoice) -> TablePlan:
        table = draft.config
        key = draft.target.primary_key
        last = self._findings.history.get(table.name)
        speed = last.rows_per_second if last else None
        # A window's share is unknown before it is read; the whole table is an upper bound.
        rows = draft.row_limit or draft.extent.rows
        return TablePlan(
            key=table.name,
            source=draft.source.ref,
            target=draft.target.ref,
            staging=NOWHERE,
            undo=NOWHERE,
            asked_mode=self._request.mode or table.sync_mode,
            mode=choice.mode,
            mode_reason=choice.reason,
            strategy=table.strategy,
            swap=draft.swap,
            swap_reason="",
            columns=draft.columns,
            primary_key=key.columns if key else (),
            window=choice.window,
            row_limit=draft.row_limit,
            masks=draft.masks,
            verify=table.verify,
            batch_size=table.batch_size or self._config.settings.default_batch_size,
            estimate=Estimate(
                rows=rows,
                bytes=draft.source.estimated_bytes,
                seconds=round(rows / speed, 1) if speed else None,
            ),
            target_rows=self._findings.target_extents[table.name].rows,
            max_row_drop=1.0 if draft.row_limit else table.max_row_drop,
            watermark=choice.watermark,
            notes=choice.notes,
            schema_hash=draft.source.columns_hash,
        )


def _carried(table: TableConfig, pair: Pair) -> tuple[list[Column], list[tuple[str, str]]]:
    """Return the columns that are copied, as the source has them, and why others are not."""
    columns: list[Column] = []
    left: list[tuple[str, str]] = []
    for column in pair.source.columns:
        twin = pair.target.column(column.name)
        if column.name in table.not_carried:
            left.append((column.name, "the configuration leaves it alone"))
        elif column.is_computed or (twin is not None and twin.is_computed):
            left.append((column.name, "the database computes it"))
        else:
            columns.append(column)
    left.extend(
        (column.name, "the source does not have it")
        for column in pair.target.columns
        if pair.source.column(column.name) is None and not column.is_computed
    )
    return columns, left


def _carry(column: Column) -> CarriedColumn:
    return CarriedColumn(
        name=column.name, kind=column.kind, type=column.type, is_nullable=column.is_nullable
    )


def _unique_columns(pair: Pair) -> set[str]:
    indexed = {name for index in pair.target.indexes if index.is_unique for name in index.columns}
    return indexed | {name for key in pair.target.keys for name in key.columns}


def _check_column(table: TableConfig, pair: Pair, notes: Notes) -> None:
    name = table.incremental_column
    if name is not None and not (pair.source.column(name) and pair.target.column(name)):
        notes.refusals.append(f"{table.name}: there is no column {name} to go by")


def _check_key(table: TableConfig, target: Table, choice: ModeChoice, notes: Notes) -> None:
    if target.primary_key is None and choice.mode is SyncMode.INCREMENTAL:
        notes.refusals.append(
            f"{table.name}: an incremental refresh needs a primary key, or a unique key without "
            "nulls, to tell changed rows from new ones"
        )
    if target.primary_key is None and not table.truncate_target:
        notes.refusals.append(
            f"{table.name}: without a key nothing tells new rows from old ones, so "
            "`truncate_target: false` cannot be"
        )


def _judge_destruction(draft: TableDraft, plan: TablePlan, notes: Notes) -> None:
    if plan.mode is SyncMode.FULL_REPLACE and plan.target_rows and draft.deletes_missing:
        notes.destructive.append(
            f"{plan.key}: all {plan.target_rows} rows of the target are replaced "
            f"({plan.mode_reason})"
        )
