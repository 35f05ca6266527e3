"""Where a data set stands, for people who do not read files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from wrds_sync.domain.datasets import Dataset
from wrds_sync.domain.manifest import PartitionEntry, SyncManifest
from wrds_sync.domain.progress import SyncProgress

MAX_PARTITIONS = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetState:
    """One data set at one moment."""

    dataset: Dataset
    manifest: SyncManifest | None
    kept: Sequence[str]
    progress: SyncProgress | None
    lock: Mapping[str, Any] | None
    problem: str | None = None

    @property
    def partitions(self) -> list[dict[str, Any]]:
        """The files of the present vintage, the latest year first."""
        entries = self.manifest.partitions if self.manifest else ()
        newest = sorted(entries, key=lambda entry: -entry.year)
        return [_describe(entry) for entry in newest[:MAX_PARTITIONS]]

    @property
    def told_progress(self) -> dict[str, Any] | None:
        """The last attempt, without its list of files."""
        if self.progress is None:
            return None
        return self.progress.model_dump(mode="json", exclude={"staged", "dataset"})


def _describe(entry: PartitionEntry) -> dict[str, Any]:
    wanted = {"year", "path", "rows", "size_bytes", "sha256", "lower", "upper", "written_at"}
    return entry.model_dump(mode="json", include=wanted)
