"""How the columns of source and target differ, and what is done about it.

New columns are added to the target and wider types are followed; whatever would lose something
stops until a person has looked. Nothing is ever dropped.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from contracts.drifts import FieldChange, FieldEffect
from refresher.domain.catalog import Column, Table
from refresher.domain.config import TableConfig


class DriftEffect(StrEnum):
    """What a difference leads to."""

    ADD = "add"
    WIDEN = "widen"
    LEAVE = "leave"
    """The target has a column of its own; it is not carried."""

    GONE = "gone"
    """The source has lost a column that was carried before: a person decides."""

    CONFLICT = "conflict"
    """The types do not fit; nothing can be copied."""


@dataclass(frozen=True, slots=True)
class ColumnDrift:
    """One column that differs."""

    effect: DriftEffect
    column: str
    source: Column | None
    target: Column | None

    def __str__(self) -> str:
        """Return the difference as a line of a diff."""
        match self.effect:
            case DriftEffect.ADD:
                return f"+ {self.column} {self.source.type if self.source else ''}: will be added"
            case DriftEffect.WIDEN:
                return f"~ {self.column} {self._change}: the target will follow"
            case DriftEffect.LEAVE:
                return f"= {self.column}: exists in the target only, and is left alone"
            case DriftEffect.GONE:
                return f"- {self.column}: the source does not have it any more"
            case DriftEffect.CONFLICT:
                return f"! {self.column} {self._change}: the types do not fit"

    @property
    def _change(self) -> str:
        return (
            f"{self.target.type if self.target else 'none'} → "
            f"{self.source.type if self.source else 'none'}"
        )


def compare_columns(
    source: Table,
    target: Table,
    *,
    compare_types: Callable[[Column, Column], str],
    not_carried: tuple[str, ...] = (),
) -> list[ColumnDrift]:
    """Return every difference that matters, in the order of the columns.

    Args:
        source: The table as production has it.
        target: The table as UAT has it.
        compare_types: `same`, `wider` or `incompatible`, of source's and target's column.
        not_carried: Columns that the configuration leaves alone.
    """
    found: list[ColumnDrift] = []
    for column in source.columns:
        if column.name in not_carried or column.is_computed:
            continue
        twin = target.column(column.name)
        if twin is None:
            found.append(ColumnDrift(DriftEffect.ADD, column.name, column, None))
        elif not twin.is_computed:
            effect = _EFFECTS.get(compare_types(column, twin))
            if effect is not None:
                found.append(ColumnDrift(effect, column.name, column, twin))
    for column in target.columns:
        if source.column(column.name) is None and not column.is_computed:
            is_own = column.name in not_carried
            effect = DriftEffect.LEAVE if is_own else DriftEffect.GONE
            found.append(ColumnDrift(effect, column.name, None, column))
    return found


_EFFECTS = {"wider": DriftEffect.WIDEN, "incompatible": DriftEffect.CONFLICT}


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """Why a table is not refreshed before a person has decided."""

    sentence: str
    """Which schema drift, and where it stands."""

    is_rejected: bool = False
    has_conflict: bool = False
    """Whether types do not fit: no force helps against that."""


def with_accepted(
    table: TableConfig,
    source: Table,
    target: Table,
    *,
    compare_types: Callable[[Column, Column], str],
    accepted: Mapping[str, str] | None,
) -> TableConfig:
    """Return the configuration with what was accepted: those columns are left alone in the target.

    Args:
        table: As configured.
        source: The table as production has it.
        target: The table as UAT has it.
        compare_types: As for `compare_columns`.
        accepted: Column → type of the source's schema that a person has accepted, if one has.
    """
    if accepted is None:
        return table
    needed = {table.incremental_column, *(target.primary_key.columns if target.primary_key else ())}
    left = []
    for item in compare_columns(
        source, target, compare_types=compare_types, not_carried=table.not_carried
    ):
        is_same = accepted.get(item.column) == (item.source.type if item.source else None)
        if item.effect in _STOPPING and is_same and item.column not in needed:
            left.append(item.column)
    return table.model_copy(update={"not_carried": (*table.not_carried, *left)}) if left else table


def field_changes(drift: Iterable[ColumnDrift]) -> tuple[FieldChange, ...]:
    """Return differences as the inbox of schema drift tells them."""
    return tuple(
        FieldChange(
            item.column,
            _FIELD_EFFECTS[item.effect],
            item.target.type if item.target else None,
            item.source.type if item.source else None,
        )
        for item in drift
        if item.effect in _FIELD_EFFECTS
    )


_STOPPING = (DriftEffect.GONE, DriftEffect.CONFLICT)
_FIELD_EFFECTS = {
    DriftEffect.ADD: FieldEffect.ADDED,
    DriftEffect.WIDEN: FieldEffect.WIDENED,
    DriftEffect.GONE: FieldEffect.REMOVED,
    DriftEffect.CONFLICT: FieldEffect.RETYPED,
}
