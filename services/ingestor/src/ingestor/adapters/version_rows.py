"""Versions on their way to the server: arrays of small things, rows of `bronze.raw_entities`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from chassis.db import Connection
from ingestor.adapters import copy_binary
from ingestor.adapters.copy_binary import Fields, bigints, integers, moments, texts, uuids
from ingestor.domain.versions import NewVersion

_COPY_BASE_SECONDS = 60.0
_SLOWEST_BYTES_PER_SECOND = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Places:
    """Where appended versions go."""

    versions: Sequence[NewVersion]
    entity_ids: Sequence[str | None]
    numbers: Sequence[int]
    raw_ids: Sequence[int]
    ingested_at: datetime


def columns(rows: Sequence[tuple[Any, ...]], *, width: int) -> list[list[Any]]:
    """Turn rows into the arrays that `unnest` takes."""
    return [[row[index] for row in rows] for index in range(width)]


def copy_timeout(size: int) -> float:
    """Return how long copying so many bytes may take."""
    return _COPY_BASE_SECONDS + size / _SLOWEST_BYTES_PER_SECOND


def shared_fields(places: Places) -> dict[str, Fields]:
    """Encode what rows and heads both have, by the name that a row has for it."""
    versions = places.versions
    return {
        "id": bigints(places.raw_ids),
        "entity_type": texts([version.entity_type for version in versions]),
        "entity_id": texts(places.entity_ids),
        "source_system": texts([version.source_system for version in versions]),
        "external_id": texts([version.external_id for version in versions]),
        "version": integers(places.numbers),
        "content_hash": texts([version.content_hash for version in versions]),
        "blob_sha256": texts([version.blob_sha256 for version in versions]),
        "sequence": bigints([version.sequence for version in versions]),
        "ingested_at": moments([places.ingested_at] * len(versions)),
    }


def own_fields(versions: Sequence[NewVersion]) -> dict[str, Fields]:
    """Encode what only rows have, but for the document."""
    return {
        # A text itself; its `value` is a call.
        "operation": texts([version.operation for version in versions]),
        "blob_key": texts([version.blob_key for version in versions]),
        "size_bytes": bigints([version.size_bytes for version in versions]),
        "source_modified_at": moments([version.source_modified_at for version in versions]),
        "event_id": texts([version.event_id for version in versions]),
        "correlation_id": texts([version.correlation_id for version in versions]),
        "derived_from": bigints([version.derived_from for version in versions]),
        "ingestion_run_id": uuids([version.ingestion_run_id for version in versions]),
    }


async def copy_versions(connection: Connection, places: Places) -> None:
    """Write the rows of these versions."""
    fields = shared_fields(places) | own_fields(places.versions)
    await copy_rows(connection, places.versions, fields)


async def copy_rows(
    connection: Connection, versions: Sequence[NewVersion], fields: Mapping[str, Fields]
) -> None:
    """Write rows; documents that lie outside memory are loaded as they are sent."""
    documents = [version.document for version in versions]
    await connection.copy_to_table(
        "raw_entities",
        schema_name="bronze",
        columns=[*fields, "raw_data"],
        source=copy_binary.rows_with_documents(list(fields.values()), documents),
        format="binary",
        timeout=copy_timeout(sum([version.size_bytes or 0 for version in versions])),
    )
