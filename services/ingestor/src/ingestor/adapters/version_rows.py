"""Versions on their way to the server: arrays of small things, rows of `bronze.raw_entities`."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from chassis.db import Connection
from ingestor.adapters import copy_binary
from ingestor.adapters.copy_binary import (
    Fields,
    bigints,
    booleans,
    integers,
    moments,
    texts,
    uuids,
)
from ingestor.domain.versions import InMemory, NewVersion

_BLOCK_ROWS = 500
_BLOCK_BYTES = 256 * 1024
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
    identities: list[bytes] = field(default_factory=list)
    """Encoded, once they are."""


def columns(rows: Sequence[tuple[Any, ...]], *, width: int) -> list[list[Any]]:
    """Turn rows into the arrays that `unnest` takes."""
    return [[row[index] for row in rows] for index in range(width)]


async def copy_heads(connection: Connection, places: Places, *, sent: asyncio.Event) -> None:
    """Write first heads; set `sent` when the server has them and is still busy."""

    async def blocks() -> AsyncGenerator[bytes]:
        yield copy_binary.BEGIN
        for start in range(0, len(places.versions), _BLOCK_ROWS):
            yield _heads(places, slice(start, start + _BLOCK_ROWS))
        yield copy_binary.END
        sent.set()

    await connection.copy_to_table(
        "heads",
        schema_name="bronze",
        columns=_HEAD_COLUMNS,
        source=blocks(),
        format="binary",
        timeout=_COPY_BASE_SECONDS,
    )


async def copy_rows(connection: Connection, places: Places) -> None:
    """Write rows; documents that lie outside memory are loaded as they are sent."""
    size = sum([version.size_bytes or 0 for version in places.versions])
    await connection.copy_to_table(
        "raw_entities",
        schema_name="bronze",
        columns=_RAW_COLUMNS,
        source=_blocks(places),
        format="binary",
        timeout=_COPY_BASE_SECONDS + size / _SLOWEST_BYTES_PER_SECOND,
    )


async def _blocks(places: Places) -> AsyncGenerator[bytes]:
    yield copy_binary.BEGIN
    documents: list[bytes] = []
    start = size = 0
    for end, version in enumerate(places.versions, start=1):
        document = version.document
        if isinstance(document, InMemory):
            data: bytes | None = document.data
        else:
            data = await document.load() if document else None
        documents.append(copy_binary.document(data))
        size += len(documents[-1])
        if size >= _BLOCK_BYTES or len(documents) == _BLOCK_ROWS:
            yield _rows(places, slice(start, end), documents)
            start, size, documents = end, 0, []
    if documents:
        yield _rows(places, slice(start, None), documents)
    yield copy_binary.END


def _heads(places: Places, part: slice) -> bytes:
    identities = _identities(places, part)
    # Kept for the rows, which say the same.
    places.identities.extend(identities)
    columns = [booleans([False]), *_alike(places, part), identities]
    return copy_binary.rows(columns, width=len(_HEAD_COLUMNS), count=len(identities))


def _rows(places: Places, part: slice, documents: list[bytes]) -> bytes:
    identities = places.identities[part] or _identities(places, part)
    columns = [*_alike(places, part), *_own(places.versions[part]), identities, documents]
    return copy_binary.rows(columns, width=len(_RAW_COLUMNS), count=len(documents))


def _alike(places: Places, part: slice) -> list[Fields]:
    versions = places.versions[part]
    return [
        texts([version.entity_type for version in versions]),
        texts([version.source_system for version in versions]),
        integers(places.numbers[part]),
        texts([version.blob_sha256 for version in versions]),
        moments([places.ingested_at]),
    ]


def _identities(places: Places, part: slice) -> list[bytes]:
    versions = places.versions[part]
    columns = [
        bigints(places.raw_ids[part]),
        texts(places.entity_ids[part]),
        texts([version.external_id for version in versions]),
        texts([version.content_hash for version in versions]),
        bigints([version.sequence for version in versions]),
    ]
    return copy_binary.joined(columns, len(versions))


def _own(versions: Sequence[NewVersion]) -> list[Fields]:
    return [
        # A text itself; its `value` is a call.
        texts([version.operation for version in versions]),
        texts([version.blob_key for version in versions]),
        moments([version.source_modified_at for version in versions]),
        bigints([version.derived_from for version in versions]),
        uuids([version.ingestion_run_id for version in versions]),
        bigints([version.size_bytes for version in versions]),
        texts([version.event_id for version in versions]),
        texts([version.correlation_id for version in versions]),
    ]


_ALIKE = ("entity_type", "source_system", "version", "blob_sha256", "ingested_at")
_IDENTITIES = ("entity_id", "external_id", "content_hash", "sequence")
_HEAD_COLUMNS = ("is_deleted", *_ALIKE, "raw_id", *_IDENTITIES)
_RAW_COLUMNS = (
    *_ALIKE,
    "operation",
    "blob_key",
    "source_modified_at",
    "derived_from",
    "ingestion_run_id",
    "size_bytes",
    "event_id",
    "correlation_id",
    "id",
    *_IDENTITIES,
    "raw_data",
)
