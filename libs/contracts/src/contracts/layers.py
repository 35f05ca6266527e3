"""What the bronze and the silver layer tell about themselves."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from contracts.types import Identifier, Message, Name, Ordinal, Sha256, Whole


class BronzeOperation(StrEnum):
    """What bronze did with what a source announced."""

    STORED = "stored"
    TOMBSTONED = "tombstoned"
    UNCHANGED = "unchanged"
    """Nothing was appended: the latest version says the same.

    Answers the announcement.
    """


class BronzeStored(Message):
    """Bronze took what a source announced: a version was appended, or none was needed."""

    operation: BronzeOperation
    entity_type: Name
    entity_id: Identifier
    """The entity to which the version contributes; several external ids may share one."""

    source_system: Name
    external_id: Identifier
    version: Whole
    """Counts the versions of (source system, entity type, external id); 0 means there is none."""

    content_hash: Sha256 | None = None
    """Hash of the parsed content; None for a tombstone."""

    blob_key: Identifier | None = None
    """Where the raw bytes lie; None where the record itself is the raw form."""


class SilverOperation(StrEnum):
    """What happened to the silver record."""

    UPSERTED = "upserted"
    RETIRED = "retired"


class SilverChanged(Message):
    """A silver record was written or retired; not sent when a recomputation changed nothing."""

    operation: SilverOperation
    entity_type: Name
    entity_id: Identifier
    version: Ordinal
    """Counts the states of the record in its history."""

    quality_score: Annotated[str, Field(pattern=r"^(0\.[0-9]{2}|1\.00)$")] | None = None
    """Two decimals, `0.00` to `1.00`; None when retired."""

    quality_flags: tuple[Name, ...] = ()
    merged_into: Identifier | None = None
    """Only when retired: the entity of which this one has become part."""


def entity_key(entity_type: str, entity_id: str) -> str:
    """Return the message key of a bronze or silver entity."""
    return f"{entity_type}/{entity_id}"
