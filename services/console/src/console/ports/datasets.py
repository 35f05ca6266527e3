"""The mirror of WRDS: what is there, how old it is, what was restated, who writes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from pydantic import BaseModel, ConfigDict, Field

from console.domain.paging import Page
from console.ports.runs import RunLine


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume:
    """The file system that the mirror writes to."""

    name: str
    total_bytes: int
    free_bytes: int
    level: str
    observed_at: datetime

    @property
    def used_share(self) -> float:
        """What is not free, from 0 to 1."""
        return 1 - self.free_bytes / self.total_bytes if self.total_bytes else 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetLine:
    """A data set in the list."""

    dataset: str
    vendor: str
    frequency: str
    source_table: str
    vintage: str | None
    is_complete: bool | None
    synced_at: datetime | None
    rows: int | None
    size_bytes: int | None
    partition_count: int
    source_modified: str | None
    progress: Mapping[str, Any] | None
    lock: Mapping[str, Any] | None
    problem: str | None
    observed_at: datetime
    restated_at: datetime | None
    """When rows that had been published were last found changed or gone."""

    run: RunLine | None

    @property
    def state(self) -> str:
        """Return one word for it, the most urgent first."""
        if self.run is not None and self.run.is_open:
            return str(self.run.status)
        if self.problem is not None:
            return "damaged"
        if self.run is not None and str(self.run.status) in ("failed", "abandoned"):
            return "failed"
        if self.vintage is None:
            return "never synced"
        return "mirrored" if self.is_complete else "incomplete"


@dataclass(frozen=True, slots=True, kw_only=True)
class Vintage:
    """A state of a data set that was published."""

    vintage: str
    previous: str | None
    written_at: datetime
    synced_at: datetime
    rows: int
    size_bytes: int
    partitions: int
    source_modified: str | None
    is_kept: bool
    """Whether its files are still there."""

    rows_added: int | None
    """Against the one before; None where nothing was restated."""

    rows_removed: int | None
    rows_changed: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Restatement:
    """How a vintage differs from the one before."""

    vintage: str
    previous: str
    found_at: datetime
    rows_added: int
    rows_removed: int
    rows_changed: int
    partitions: Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class WriterLease:
    """Who may write a data set, as the database says."""

    holder: str
    token: int
    acquired_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetDetail:
    """Everything about a data set but its history."""

    line: DatasetLine
    partitions: Sequence[Mapping[str, Any]]
    restatements: Sequence[Restatement]
    runs: Sequence[RunLine]
    lease: WriterLease | None


class VintageFilter(BaseModel):
    """Which vintages."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    cursor: str = Field("", max_length=200)


class Datasets(Protocol):
    """What the mirror has written down."""

    async def list(self) -> Sequence[DatasetLine]:
        """Return every data set of the configuration, by vendor and name."""
        ...

    async def volumes(self) -> Sequence[Volume]:
        """Return the disks."""
        ...

    async def find(self, dataset: str) -> DatasetDetail | None:
        """Return a data set."""
        ...

    async def vintages(self, dataset: str, wanted: VintageFilter) -> Page[Vintage]:
        """Return what was published, the newest first."""
        ...
