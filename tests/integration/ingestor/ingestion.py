"""The ingestor's handler on a real database, a real object store and a real folder, under the
delivery policy; only Kafka's part, handing over records in order, is played by the test."""

import contextlib
import itertools
import json
from collections.abc import AsyncGenerator, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from chassis.blobs.open import open_blobs
from chassis.blobs.port import BlobStore
from chassis.bus.applier import Applier
from chassis.bus.codec import encode_event
from chassis.bus.records import Record
from chassis.clock import SystemClock
from chassis.db import Database
from chassis.settings import load_settings
from chassis.sources import SourcesConfig
from contracts.envelope import Event
from contracts.files import FileChange, FileChanged, FileFingerprint
from contracts.topics import FILE_CHANGED
from ingestor.adapters.postgres_catalog import PostgresCatalog
from ingestor.app import admission, handler
from ingestor.settings import IngestorSettings

MOMENT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@dataclass(slots=True)
class Ingestion:
    """A running handler, and what it has done."""

    folder: Path
    database: Database
    blobs: BlobStore
    applier: Applier
    waits: list[float]
    _sequences: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    _offsets: Iterator[int] = field(default_factory=itertools.count)

    def put(self, path: str, data: bytes) -> None:
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)

    def event(self, change: FileChange, path: str) -> Event[FileChanged]:
        """Tell of a change, as the scanner would."""
        sequence = next(self._sequences)
        size = 0
        with contextlib.suppress(OSError, ValueError):
            size = (self.folder / path).stat().st_size
        state = FileFingerprint(modified_at=MOMENT, size_bytes=size)
        return Event(
            id=f"event-{sequence}",
            type=FILE_CHANGED.name,
            source="/scanner",
            time=MOMENT,
            sequence=sequence,
            data=FileChanged(
                change=change,
                source="nas",
                path=path,
                current=None if change is FileChange.DELETED else state,
                previous=None if change is FileChange.ADDED else state,
                scan_id="scan-1",
            ),
        )

    async def receive(self, events: Sequence[Event[FileChanged]]) -> None:
        """Have a batch applied, however often it takes."""
        await self.applier.drive([self._record(event) for event in events])

    async def tell(self, change: FileChange, *paths: str) -> list[Event[FileChanged]]:
        events = [self.event(change, path) for path in paths]
        await self.receive(events)
        return events

    def _record(self, event: Event[FileChanged]) -> Record:
        value, headers = encode_event(event)
        return Record(
            topic=FILE_CHANGED.name,
            partition=0,
            offset=next(self._offsets),
            key=FILE_CHANGED.key(event.data).encode(),
            value=value,
            headers=tuple((name, text.encode()) for name, text in headers.items()),
            timestamp_ms=1_767_323_045_000,
        )

    async def rows(self, query: str, *args: Any) -> list[tuple[Any, ...]]:
        async with self.database.connection() as connection:
            return [tuple(row) for row in await connection.fetch(query, *args)]

    async def published(self) -> list[tuple[str, str, int]]:
        """What was said of bronze: operation, external id, version; in order."""
        rows = await self.rows(
            "select convert_from(value, 'utf8')::jsonb -> 'data' from meta.outbox "
            "where topic = 'bronze.stored' order by id"
        )
        return [(item["operation"], item["external_id"], item["version"]) for (item,) in rows]

    async def dead_letters(self) -> dict[str, str]:
        """Category by the path in the original message."""
        rows = await self.rows(
            "select value, headers ->> 'x-dlq-category' from meta.outbox "
            "where topic = 'file.changed.ingestor.dead'"
        )
        return {json.loads(value)["data"]["path"]: category for value, category in rows}


@contextlib.asynccontextmanager
async def open_ingestion(
    environment: dict[str, str],
    folder: Path,
    database: Database,
    *,
    kind: str = "local",
    **ingest: Any,
) -> AsyncGenerator[Ingestion]:
    settings = load_settings(
        IngestorSettings, environment={"KAFKA_BOOTSTRAP_SERVERS": "not-used:1", **environment}
    )
    sources = SourcesConfig.model_validate(
        {
            "version": 1,
            "sources": [
                {
                    "name": "nas",
                    "share": {"kind": kind, "root": str(folder) if kind == "local" else ""},
                    "ingest": {"entity_type": "transcript", "parser": "transcript_xml", **ingest},
                }
            ],
        }
    )
    waits: list[float] = []

    async def wait(seconds: float) -> None:
        waits.append(seconds)

    blobs = open_blobs(settings.blobs)
    catalog = PostgresCatalog(database)
    schemas = admission(settings, sources, database)
    async with handler(
        settings, sources, catalog=catalog, blobs=blobs, schemas=schemas
    ) as ingest_files:
        applier = Applier(
            FILE_CHANGED,
            ingest_files,
            consumer="ingestor",
            database=database,
            clock=SystemClock(),
            sleep=wait,
        )
        yield Ingestion(folder, database, blobs, applier, waits)
