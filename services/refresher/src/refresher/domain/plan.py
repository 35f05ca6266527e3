"""The plan: what a refresh will do, decided before anything is written.

It is a value: made by a pure function, stored as JSON, shown by a dry run, approved by a person,
and executed statement by statement. Nothing that matters is decided later.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache

from pydantic import TypeAdapter

from refresher.domain.catalog import TableRef, TypeKind
from refresher.domain.config import EngineKind, MaskMethod, Strategy, SyncMode, VerifyLevel
from refresher.domain.statements import Statement
from refresher.domain.values import Value


class Swap(StrEnum):
    """How the new rows take the place of the old ones."""

    MERGE = "merge"
    """Rows that differ are deleted, updated, inserted; readers are never held up."""

    REWRITE = "rewrite"
    """A table without a key: all rows are deleted and inserted, in one transaction."""

    PARTITIONS = "partitions"
    """Partitions change places."""

    RENAME = "rename"
    """The whole table changes places."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mask:
    """What happens to one column while it is copied."""

    column: str
    kind: TypeKind
    type: str
    length: int | None
    base: str = ""
    """The base type in the engine's short name, e.g. `varchar`, `int4`."""
    mask_class: str
    method: MaskMethod
    value: str | None = None
    json_paths: tuple[tuple[str, str, MaskMethod, str | None], ...] = ()
    """Of a JSON column: path, class, method, text of `fixed`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CarriedColumn:
    """A column that is copied."""

    name: str
    kind: TypeKind
    type: str
    is_nullable: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Which rows an incremental refresh reads and replaces."""

    column: str
    low: Value
    """Inclusive."""

    high: Value | None
    """Inclusive; fixed before anything is read, so that a repetition reads the same rows. None:
    up to what the snapshot holds."""

    deletes_missing: bool
    """Whether rows of the window that the source does not have are deleted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What a refresh will cost, from statistics and earlier runs."""

    rows: int
    bytes: int
    seconds: float | None = None
    """None when there is no earlier run to learn from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TablePlan:
    """What happens to one table."""

    key: str
    """The table's name in the configuration."""

    source: TableRef
    target: TableRef
    staging: TableRef
    undo: TableRef
    """Where the rows that are replaced are kept."""

    asked_mode: SyncMode
    mode: SyncMode
    mode_reason: str
    strategy: Strategy
    swap: Swap
    swap_reason: str
    columns: tuple[CarriedColumn, ...]
    not_carried: tuple[tuple[str, str], ...] = ()
    """Column and why."""

    primary_key: tuple[str, ...] = ()
    window: Window | None = None
    row_limit: int | None = None
    masks: tuple[Mask, ...] = ()
    verify: VerifyLevel = VerifyLevel.CHECKSUM
    batch_size: int = 5000
    estimate: Estimate
    target_rows: int = 0
    """Rows of the target when the plan was made."""

    max_row_drop: float = 0.3
    watermark: Value | None = None
    """What the next incremental refresh starts from, once this one is applied."""

    drift: tuple[str, ...] = ()
    """Differences between the schemas, in words."""

    notes: tuple[str, ...] = ()
    """What the reader of the plan should know: rows that are not seen, losses, locks."""

    row_mark: int | None = None
    """What the source sends with every row that is masked, so that rows are found quickly."""

    schema_hash: str = ""
    schema: tuple[Statement, ...] = ()
    """Brings the target's columns in step; each its own short transaction."""

    stage: tuple[Statement, ...] = ()
    """Makes an empty staging table (or staging partitions); may be repeated."""

    reads: tuple[Statement, ...] = ()
    """Queries of the source, one per key range, all under one snapshot."""

    build: tuple[Statement, ...] = ()
    """Keys, indexes, constraints and statistics of staging, once it is full."""

    source_summary: Statement | None = None
    staging_summary: Statement | None = None
    """Queries of one row with equal columns: `rows`, per column `nulls_N`, `low_N`, `high_N` as
    text, and `checksum` as text; N is the position in `columns`."""

    clean: tuple[Statement, ...] = ()
    """Removes staging; may be repeated."""

    forget: tuple[Statement, ...] = ()
    """Removes what undo would need; may be repeated."""

    target_summary: Statement | None = None
    """As `staging_summary`, of the target itself: before and after an undo."""

    @property
    def copied(self) -> tuple[CarriedColumn, ...]:
        """The columns in the order in which they are copied."""
        return masked_first(self.columns, self.masks)


def masked_first(
    columns: Sequence[CarriedColumn], masks: Sequence[Mask]
) -> tuple[CarriedColumn, ...]:
    """Return the masked columns before the others: a stream is unpacked no further than them."""
    masked = {mask.column for mask in masks}
    return tuple(sorted(columns, key=lambda column: column.name not in masked))


@dataclass(frozen=True, slots=True, kw_only=True)
class ComponentPlan:
    """Tables that references connect: they are swapped together, in one transaction."""

    name: str
    """The key of its first table; unique in the plan."""

    tables: tuple[TablePlan, ...]
    """Parents before children."""

    order: tuple[tuple[str, ...], ...] = ()
    """The keys in the order of loading; those that stand together form a circle."""

    swap: tuple[Statement, ...] = ()
    """One transaction, locks included; afterwards readers see the new rows."""

    after: tuple[Statement, ...] = ()
    """What may happen after the commit: validation, statistics; may be repeated."""

    undo: tuple[Statement, ...] = ()
    """One transaction that puts the old rows back."""


class Verdict(StrEnum):
    """What may happen to a plan."""

    READY = "ready"
    """Nothing is destroyed, or policy permits it: it is applied at once."""

    NEEDS_APPROVAL = "needs_approval"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What one refresh will do."""

    plan_id: str
    engine: EngineKind
    source: str
    """Fingerprint of the source."""

    target: str
    """Fingerprint of the target."""

    components: tuple[ComponentPlan, ...] = ()
    verdict: Verdict
    destructive: tuple[str, ...] = ()
    """Why a person must look at it."""

    refusals: tuple[str, ...] = ()
    """Why it is not executed."""

    warnings: tuple[str, ...] = ()
    catalog_hash: str = ""
    """Of both catalogs; a plan whose hash has changed is stale."""

    lock_timeout_ms: int = 200
    swap_attempts: int = 50
    rows_per_second: int | None = None
    facts: dict[str, str] = field(default_factory=dict)

    @property
    def tables(self) -> tuple[TablePlan, ...]:
        """Every table of the plan."""
        return tuple(table for component in self.components for table in component.tables)


@cache
def _adapter() -> TypeAdapter[Plan]:
    return TypeAdapter(Plan)


def to_json(plan: Plan) -> str:
    """Return the plan as JSON; `from_json` restores an equal one."""
    return _adapter().dump_json(plan).decode()


def from_json(text: str) -> Plan:
    """Return the plan that `to_json` wrote."""
    return _adapter().validate_json(text)


def digest(plan: Plan) -> str:
    """Return the hash of everything in a plan: what was approved is what is executed."""
    return hashlib.sha256(to_json(plan).encode()).hexdigest()
