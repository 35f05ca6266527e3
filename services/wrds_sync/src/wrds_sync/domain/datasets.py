"""A data set of the mirror, as its configuration says it."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from wrds_sync.domain.tables import Selection

SLO_FULL = timedelta(hours=4)
SLO_INCREMENTAL = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What every partition must satisfy before it is published."""

    key: tuple[str, ...] = ()
    """No two rows of a partition may agree in all of these."""

    required: tuple[str, ...] = ()
    """Columns that are never null."""

    max_shrink: float = 0.1
    """A partition may lose this share of its rows; a larger loss looks like a broken feed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """What is mirrored, whence, and where to."""

    name: str
    vendor: str
    frequency: str
    selection: Selection
    rules: Rules = field(default_factory=Rules)
    start_year: int = 2000
    look_back_years: int = 1
    """An incremental sync reads these latest years again, on top of those that differ."""

    frozen_after_days: int | None = None
    """Days without any change at the archive that are suspicious; None for a table that ended."""

    is_daily: bool = True
    """Whether it must be there at 8 AM ET after every session."""

    @property
    def folder(self) -> str:
        """The folder of its files, below the storage's root."""
        return f"wrds/{self.vendor}/{self.frequency}"

    def path_of(self, year: int) -> str:
        """Return where readers find a partition."""
        return f"{self.folder}/{year or 'all'}.parquet"

    @property
    def is_partitioned(self) -> bool:
        """Whether it is divided by years."""
        return self.selection.date_column is not None


def slo(mode: str) -> timedelta:
    """Return how long a sync may take (S5-50)."""
    return SLO_FULL if mode == "full" else SLO_INCREMENTAL


def is_frozen(dataset: Dataset, *, seen_at: datetime | None, now: datetime) -> bool:
    """Return whether the archive's table has not moved for suspiciously long."""
    if dataset.frozen_after_days is None or seen_at is None:
        return False
    return now - seen_at > timedelta(days=dataset.frozen_after_days)
