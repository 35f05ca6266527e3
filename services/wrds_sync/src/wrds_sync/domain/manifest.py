"""What a data set consists of, as one document: the commit point of every sync.

A manifest names a *vintage*: all partitions as they were at one completed sync, each by its
immutable file. A reader that keeps the manifest keeps the vintage; `superseded` ones stay readable
until they are purged.
"""

import hashlib
from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from contracts.types import Identifier, Name, Ordinal, Sha256, UtcDatetime, Whole
from wrds_sync.domain.schema import DatasetSchema
from wrds_sync.errors import ManifestError


class _Document(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PartitionEntry(_Document):
    """One file of a vintage."""

    year: Whole
    """0 stands for a data set in one file."""

    path: Identifier
    """Where readers look for the newest version, below the storage's root."""

    object: Identifier
    """The immutable file of this very version, below the storage's root."""

    rows: Whole
    size_bytes: Whole
    sha256: Sha256
    """The identity of the file."""

    md5: str = Field(pattern=r"^[0-9a-f]{32}$")
    """Kept for readers of the original manifests."""

    content_hash: str | None = None
    """The archive's own hash of the rows when they were copied; compared, never computed here."""

    source_rows: Whole | None = None
    """The archive's count when the copy was decided upon."""

    lower: Identifier | None = None
    upper: Identifier | None = None
    """Smallest and largest date in the file, ISO."""

    schema_version: Ordinal = 1
    written_at: UtcDatetime


class SyncManifest(_Document):
    """A vintage of a data set."""

    dataset: Name
    vintage: Identifier
    """Sorts by time: `20240301T120000Z-1a2b3c4d5e6f7a8b`."""

    previous: Identifier | None = None
    """The vintage before this one."""

    mode: Name
    start_year: Whole
    is_complete: bool = True
    """False while the first sync of a data set still adds years."""

    source_table: Identifier
    source_modified: str | None = None
    """The archive's own `Last modified`, for skipping and for finding frozen feeds."""

    source_modified_seen_at: UtcDatetime | None = None
    """When that text was first seen."""

    synced_at: UtcDatetime
    """When a sync last found the mirror equal to the archive; moves without a new vintage."""

    written_at: UtcDatetime
    fencing: Whole
    """The writer's token; a smaller one never replaces it."""

    schema_: DatasetSchema = Field(alias="schema")
    partitions: tuple[PartitionEntry, ...]

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    @property
    def rows(self) -> int:
        """All rows."""
        return sum(item.rows for item in self.partitions)

    @property
    def size_bytes(self) -> int:
        """All files."""
        return sum(item.size_bytes for item in self.partitions)

    def by_year(self) -> dict[int, PartitionEntry]:
        """Return the partitions by year."""
        return {item.year: item for item in self.partitions}

    def to_json(self) -> str:
        """Return the document."""
        return self.model_dump_json(by_alias=True, indent=2)

    @classmethod
    def from_json(cls, text: str | bytes) -> "SyncManifest":
        """Read a document.

        Raises:
            ManifestError: it is not a manifest.
        """
        try:
            return cls.model_validate_json(text)
        except ValueError as error:
            raise ManifestError(f"not a manifest: {type(error).__name__}") from error

    def check_against(self, registered: DatasetSchema) -> None:
        """Make sure that readers can rely on the registered schema.

        Raises:
            ManifestError: columns or types differ from the registry's.
        """
        if self.schema_.dataset != registered.dataset or self.dataset != registered.dataset:
            raise ManifestError(
                f"{self.dataset}: the registry's schema is that of {registered.dataset}"
            )
        drift = registered.detect_drift(self.schema_)
        if drift.has_breaking_changes or drift.new_columns:
            raise ManifestError(
                f"{self.dataset}: the manifest disagrees with the schema registry: "
                f"{drift.describe()}"
            )
        latest = max((item.schema_version for item in self.partitions), default=1)
        if latest > registered.version:
            raise ManifestError(
                f"{self.dataset}: a partition has schema version {latest}, "
                f"the registry knows {registered.version}"
            )


def vintage_name(now: datetime, partitions: tuple[PartitionEntry, ...]) -> str:
    """Return a name that tells when, and whether the content is the same."""
    digest = hashlib.sha256()
    for item in sorted(partitions, key=lambda entry: entry.year):
        digest.update(f"{item.year}:{item.sha256}\n".encode())
    return f"{now:%Y%m%dT%H%M%S}Z-{digest.hexdigest()[:16]}"


def has_same_content(vintage: str, other: str) -> bool:
    """Return whether two vintages consist of equal files."""
    return vintage.rpartition("-")[2] == other.rpartition("-")[2]
