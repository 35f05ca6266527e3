"""How far a sync is, so that the next one goes on from there (S5-14, S5-19)."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict

from contracts.types import Name, UtcDatetime, Whole
from wrds_sync.domain.manifest import PartitionEntry

SyncStatus = Literal["running", "paused", "completed", "failed"]


class SyncProgress(BaseModel):
    """The checkpoint of one data set's sync; written after each partition."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    dataset: Name
    started_at: UtcDatetime
    last_checkpoint: UtcDatetime
    years_completed: list[int]
    years_remaining: list[int]
    total_rows_synced: Whole
    status: SyncStatus
    mode: Literal["full", "incremental"] = "full"
    start_year: Whole = 0
    source_modified: str | None = None
    """A checkpoint is worth nothing once the archive's table has moved on."""

    staged: list[PartitionEntry] = []
    """Partitions that are written, checked and synced, and not yet in a manifest."""

    message: str | None = None
    """Why it is paused or failed."""

    def with_partition(self, entry: PartitionEntry, *, now: datetime) -> "SyncProgress":
        """Return the checkpoint after one more partition."""
        return self.model_copy(
            update={
                "last_checkpoint": now,
                "years_completed": sorted({*self.years_completed, entry.year}),
                "years_remaining": [year for year in self.years_remaining if year != entry.year],
                "total_rows_synced": self.total_rows_synced + entry.rows,
                "staged": [*(item for item in self.staged if item.year != entry.year), entry],
            }
        )

    def ended(self, status: SyncStatus, *, now: datetime, message: str | None) -> "SyncProgress":
        """Return the last checkpoint of an attempt."""
        staged = [] if status == "completed" else self.staged
        return self.model_copy(
            update={"status": status, "last_checkpoint": now, "message": message, "staged": staged}
        )
