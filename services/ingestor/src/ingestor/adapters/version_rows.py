"""Versions on their way to the server: arrays of small things, rows of `bronze.raw_entities`.

Everything here is done a column at a time: for a million versions a call or an object each is what
costs, not the values.
"""

from collections.abc import AsyncGenerator, AsyncIterable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter
from typing import Any

import orjson

from chassis.db import Connection
from ingestor.domain.versions import Document, InMemory, NewVersion

_COPY_BASE_SECONDS = 60.0
_SLOWEST_BYTES_PER_SECOND = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Places:
    """Where appended versions go: one of each for each version, or a constant without end."""

    versions: Sequence[NewVersion]
    entity_ids: Sequence[str | None]
    numbers: Iterable[int]
    raw_ids: Sequence[int]
    ingested_at: Iterable[datetime]


@dataclass(frozen=True, slots=True)
class RawRows:
    """Rows of `bronze.raw_entities`, ready to be sent."""

    columns: Sequence[str]
    records: Iterable[tuple[Any, ...]] | AsyncIterable[tuple[Any, ...]]
    size_bytes: int


def columns(rows: Sequence[tuple[Any, ...]], *, width: int) -> list[list[Any]]:
    """Turn rows into the arrays that `unnest` takes."""
    return [[row[index] for row in rows] for index in range(width)]


def copy_timeout(size: int) -> float:
    """Return how long copying so many bytes may take."""
    return _COPY_BASE_SECONDS + size / _SLOWEST_BYTES_PER_SECOND


async def copy_versions(connection: Connection, rows: RawRows) -> None:
    """Write the rows; documents that lie outside memory are loaded as they are sent."""
    await connection.copy_records_to_table(
        "raw_entities",
        schema_name="bronze",
        columns=rows.columns,
        records=rows.records,
        timeout=copy_timeout(rows.size_bytes),
    )


def raw_rows(places: Places) -> RawRows:
    """Return what to write; a column that says nothing is left out."""
    versions = places.versions
    facts: dict[str, Iterable[Any]] = {
        "id": places.raw_ids,
        "entity_id": places.entity_ids,
        "version": places.numbers,
        "ingested_at": places.ingested_at,
        "entity_type": [version.entity_type for version in versions],
        "source_system": [version.source_system for version in versions],
        "external_id": [version.external_id for version in versions],
        # A text itself; its `value` is a call.
        "operation": [version.operation for version in versions],
    }
    for name in _OPTIONAL:
        values = [*map(attrgetter(name), versions)]
        if values.count(None) < len(values):
            facts[name] = values
    documents = [version.document for version in versions]
    is_at_hand = all(item is None or isinstance(item, InMemory) for item in documents)
    if is_at_hand:
        facts["raw_data"] = [*map(_at_hand, documents)]
    records = zip(*facts.values(), strict=False)
    return RawRows(
        columns=[*facts] if is_at_hand else [*facts, "raw_data"],
        records=records if is_at_hand else _loaded(records, documents),
        size_bytes=sum([version.size_bytes or 0 for version in versions]),
    )


def _at_hand(document: Document | None) -> orjson.Fragment | None:
    # JSON already: the codec passes a fragment through as it is.
    return orjson.Fragment(document.data) if isinstance(document, InMemory) else None


async def _loaded(
    rows: Iterable[tuple[Any, ...]], documents: Iterable[Document | None]
) -> AsyncGenerator[tuple[Any, ...]]:
    for row, document in zip(rows, documents, strict=False):
        yield (*row, orjson.Fragment(await document.load()) if document else None)


_OPTIONAL = (
    "content_hash",
    "blob_key",
    "blob_sha256",
    "size_bytes",
    "source_modified_at",
    "sequence",
    "event_id",
    "correlation_id",
    "derived_from",
    "ingestion_run_id",
)
