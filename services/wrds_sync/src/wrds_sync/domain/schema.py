"""The registered columns of a data set, and what a change of them means (S5-23)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Self

from pydantic import BaseModel, ConfigDict

from contracts.drifts import FieldChange, FieldEffect
from contracts.types import Name, Ordinal
from wrds_sync.domain.tables import ColumnInfo


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaDrift:
    """How observed columns differ from the registered ones."""

    new_columns: tuple[str, ...] = ()
    removed_columns: tuple[str, ...] = ()
    changed_types: Mapping[str, tuple[str, str]]
    """Column → type as registered, type as seen now."""

    @property
    def has_breaking_changes(self) -> bool:
        """Whether files of both shapes could not be read as one data set."""
        return bool(self.removed_columns or self.changed_types)

    def __bool__(self) -> bool:
        return bool(self.new_columns or self.has_breaking_changes)

    def describe(self) -> str:
        """Return the difference in words."""
        parts = []
        if self.new_columns:
            parts.append(f"new: {', '.join(self.new_columns)}")
        if self.removed_columns:
            parts.append(f"removed: {', '.join(self.removed_columns)}")
        for name, (before, after) in sorted(self.changed_types.items()):
            parts.append(f"{name} was {before} and is {after}")
        return "; ".join(parts) or "no difference"


class DatasetSchema(BaseModel):
    """Columns in stored order, with their Arrow types."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    dataset: Name
    version: Ordinal = 1
    columns: dict[str, str]

    @classmethod
    def of_columns(cls, dataset: str, columns: Iterable[ColumnInfo]) -> Self:
        """Return the schema of a table or file."""
        return cls(dataset=dataset, columns={item.name: item.stored_type for item in columns})

    def detect_drift(self, actual: "DatasetSchema") -> SchemaDrift:
        """Compare with what was observed; the order of columns does not count."""
        return SchemaDrift(
            new_columns=tuple(name for name in actual.columns if name not in self.columns),
            removed_columns=tuple(name for name in self.columns if name not in actual.columns),
            changed_types={
                name: (stored, actual.columns[name])
                for name, stored in self.columns.items()
                if name in actual.columns and actual.columns[name] != stored
            },
        )

    def changes(self, actual: "DatasetSchema") -> tuple[FieldChange, ...]:
        """Return the difference column by column, as the inbox tells it."""
        drift = self.detect_drift(actual)
        return (
            *(_change(name, FieldEffect.REMOVED, self, actual) for name in drift.removed_columns),
            *(_change(name, FieldEffect.RETYPED, self, actual) for name in drift.changed_types),
            *(_change(name, FieldEffect.ADDED, self, actual) for name in drift.new_columns),
        )

    def replaced(self, actual: "DatasetSchema") -> "DatasetSchema":
        """Return the next version, with the columns as they are seen now."""
        return self.model_copy(update={"version": self.version + 1, "columns": actual.columns})

    def extended(self, actual: "DatasetSchema") -> "DatasetSchema":
        """Return the next version, with the new columns at the end."""
        added = {name: kind for name, kind in actual.columns.items() if name not in self.columns}
        return self.model_copy(
            update={"version": self.version + 1, "columns": self.columns | added}
        )


def _change(
    name: str, effect: FieldEffect, before: DatasetSchema, after: DatasetSchema
) -> FieldChange:
    return FieldChange(name, effect, before.columns.get(name), after.columns.get(name))
