"""What the archive changed in the past (C-40)."""

from pydantic import BaseModel, ConfigDict

from contracts.types import Identifier, Name, UtcDatetime, Whole


class PartitionChange(BaseModel):
    """How one partition differs between two vintages."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    year: Whole
    rows_before: Whole
    rows_after: Whole
    added: Whole
    removed: Whole
    changed: Whole
    """Rows with the same key and other values; 0 where the data set has no key."""

    changed_columns: dict[str, int] = {}
    """Column → rows in which it changed."""

    examples: tuple[str, ...] = ()
    """A few keys of changed or removed rows."""

    @property
    def is_restatement(self) -> bool:
        """Whether something that was published is no longer so."""
        return bool(self.changed or self.removed)

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed)


class RestatementReport(BaseModel):
    """How a vintage differs from the one before."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    dataset: Name
    vintage: Identifier
    previous: Identifier
    found_at: UtcDatetime
    partitions: tuple[PartitionChange, ...]

    @property
    def added(self) -> int:
        """Rows that are new."""
        return sum(item.added for item in self.partitions)

    @property
    def removed(self) -> int:
        """Rows that are gone."""
        return sum(item.removed for item in self.partitions)

    @property
    def changed(self) -> int:
        """Rows with other values."""
        return sum(item.changed for item in self.partitions)

    @property
    def restated_years(self) -> list[int]:
        """Partitions in which published rows changed or went."""
        return [item.year for item in self.partitions if item.is_restatement]
