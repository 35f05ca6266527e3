"""What bronze keeps: versions of what a source calls by one name."""

import uuid
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from typing import Protocol, TypeAlias

from contracts.layers import BronzeOperation

_LONGEST_ID = 512  # of `contracts.types.Identifier`

ExternalKey: TypeAlias = tuple[str, str, str]
"""Entity type, source system, external id: whose versions are counted."""


class Document(Protocol):
    """Canonical JSON that may lie outside memory until it is written."""

    async def load(self) -> bytes:
        """Return the text."""
        ...


@dataclass(frozen=True, slots=True)
class InMemory:
    """Canonical JSON at hand."""

    data: bytes

    async def load(self) -> bytes:
        """Return the text."""
        return self.data


@dataclass(frozen=True, slots=True, kw_only=True)
class NewVersion:
    """What should become the latest version, unless it says nothing new."""

    operation: BronzeOperation
    entity_type: str
    source_system: str
    external_id: str
    entity_id: str | None = None
    """None for a tombstone: the entity is the one that the external id belongs to."""

    is_own_entity: bool = False
    """Nothing else ever contributes to the entity, so its order is that of the external id."""

    document: Document | None = None
    content_hash: str | None = None
    blob_key: str | None = None
    blob_sha256: str | None = None
    size_bytes: int | None = None
    source_modified_at: datetime | None = None
    sequence: int | None = None
    """Of the event behind it; None is taken as newer than everything."""

    event_id: str | None = None
    correlation_id: str | None = None
    derived_from: int | None = None
    """The id of the version that was enriched to make this one."""

    ingestion_run_id: uuid.UUID | None = None

    @property
    def key(self) -> ExternalKey:
        """Whose version it is."""
        return self.entity_type, self.source_system, self.external_id


class WriteOutcome(StrEnum):
    """What became of a `NewVersion`."""

    APPENDED = "appended"
    UNCHANGED = "unchanged"
    """The latest version says the same already."""

    DUPLICATE = "duplicate"
    """Its event, or a later one, was applied before."""

    ABSENT = "absent"
    """A tombstone for what bronze never had."""


@dataclass(frozen=True, slots=True)
class Written:
    """The answer to one `NewVersion`."""

    outcome: WriteOutcome
    entity_id: str | None
    version: int
    """The latest version now; 0 where there is none."""

    raw_id: int | None = field(default=None, compare=False)
    """Of the version, where one was appended."""


def external_id_of(path: str) -> str:
    """Return the external id of a file: its path, or for a very long one a stable abbreviation."""
    if len(path) <= _LONGEST_ID:
        return path
    digest = sha256(path.encode()).hexdigest()
    return f"{path[: _LONGEST_ID - len(digest) - 1]}~{digest}"
