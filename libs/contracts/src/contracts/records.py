"""What a poll of a record source tells: rows of an API, a directory or a query that changed."""

from enum import StrEnum

from contracts.types import Identifier, JsonObject, Message, Name, Ordinal, Sha256


class RecordChange(StrEnum):
    """What happened to the record."""

    UPSERTED = "upserted"
    DELETED = "deleted"


class RecordChanged(Message):
    """A record at a source is new, differs from what was known, or is gone."""

    change: RecordChange
    source: Name
    entity_type: Name
    external_id: Identifier
    content_hash: Sha256 | None = None
    """Hash of the significant fields; None for a deletion."""

    hash_spec_version: Ordinal = 1
    """Version of the list of significant fields: a changed list is not a mass change."""

    record: JsonObject | None = None
    """The record itself when it is small; otherwise None and `blob_key` is set."""

    blob_key: Identifier | None = None
    scan_id: Identifier


def record_key(source: str, entity_type: str, external_id: str) -> str:
    """Return the message key of a record."""
    return f"{source}/{entity_type}/{external_id}"
