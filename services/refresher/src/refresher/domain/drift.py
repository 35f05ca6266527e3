"""How the columns of source and target differ, and what is done about it.

New columns are added to the target and wider types are followed; whatever would lose something
stops until a person has looked. Nothing is ever dropped.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from refresher.domain.catalog import Column, Table


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
