"""The transformer's parts on a real database, and bronze as the ingestor leaves it."""

import contextlib
import itertools
import json
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from chassis.bus.delivery import Batch, Delivery
from chassis.bus.records import Record
from chassis.db import Database, Transaction
from chassis.settings import DatabaseSettings
from contracts.envelope import Event
from contracts.layers import BronzeOperation, BronzeStored
from transformer.adapters.polars_merger import PolarsMerger
from transformer.adapters.postgres_bronze import PostgresBronze
from transformer.adapters.postgres_references import PostgresReferences
from transformer.adapters.postgres_runs import PostgresRuns
from transformer.adapters.postgres_silver import PostgresSilver
from transformer.adapters.postgres_xref import PostgresXref
from transformer.adapters.silver_tables import make_tables
from transformer.domain.chunks import ChunkLimits
from transformer.domain.entity import Entity
from transformer.handlers.identify import Identify
from transformer.handlers.recompute import Recompute
from transformer.handlers.refer import Refer
from transformer.handlers.simulate import Simulate
from transformer.handlers.transform import TransformBatch
from transformer.jobs import TransformJob

MOMENT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
TABLES = ("transcripts", "transcript_turns", "provenance")
Settle = Callable[[], contextlib.AbstractAsyncContextManager[Transaction]]


@dataclass(slots=True)
class Hub:
    """A transformer without Kafka: batches are handed to it by the test."""

    database: Database
    entities: dict[str, Entity]
    recompute: Recompute
    handler: TransformBatch
    job: TransformJob
    _offsets: "itertools.count[int]" = field(default_factory=itertools.count)

    async def store(
        self,
        entity_id: str,
        external_id: str,
        document: dict[str, Any],
        *,
        entity_type: str = "transcript",
        system: str = "nas",
    ) -> None:
        """Append a version to bronze and move the head to it."""
        key = (entity_type, system, entity_id, external_id)
        await self._append(*key, document=json.dumps(document))

    async def delete(
        self,
        entity_id: str,
        external_id: str,
        *,
        entity_type: str = "transcript",
        system: str = "nas",
    ) -> None:
        """Append a tombstone."""
        await self._append(entity_type, system, entity_id, external_id, document=None)

    async def _append(self, *key: str, document: str | None) -> None:
        async with self.database.connection() as connection:
            await connection.execute(_APPEND, *key, document)

    async def transform(
        self, *entity_ids: str, entity_type: str = "transcript", settle: Settle | None = None
    ) -> None:
        """Hand the transformer one batch with an event per entity."""
        events = [self.event(entity_id, entity_type=entity_type) for entity_id in entity_ids]
        await self.apply(events, settle=settle)

    async def apply(
        self, events: Sequence[Event[BronzeStored]], *, settle: Settle | None = None
    ) -> None:
        deliveries = [Delivery(event, self._record()) for event in events]
        batch: Batch[BronzeStored] = Batch(
            deliveries, attempt=1, settle=settle or self.database.transaction
        )
        await self.handler(batch)
        assert batch.settled

    def event(self, entity_id: str, *, entity_type: str = "transcript") -> Event[BronzeStored]:
        number = next(self._offsets)
        data = BronzeStored(
            operation=BronzeOperation.STORED,
            entity_type=entity_type,
            entity_id=entity_id,
            source_system="nas",
            external_id="some.xml",
            version=1,
        )
        return Event[BronzeStored](
            id=f"event-{number}",
            type="bronze.stored",
            source="/ingestor",
            time=MOMENT,
            correlationid=f"scan-{number}",
            data=data,
        )

    def _record(self) -> Record:
        return Record("bronze.stored", 0, next(self._offsets), b"k", b"{}", (), 0)

    async def rows(self, query: str, *args: Any) -> list[dict[str, Any]]:
        async with self.database.connection() as connection:
            return [dict(row) for row in await connection.fetch(query, *args)]

    async def value(self, query: str, *args: Any) -> Any:
        async with self.database.connection() as connection:
            return await connection.fetchval(query, *args)

    async def execute(self, script: str) -> None:
        async with self.database.connection() as connection:
            await connection.execute(script)

    async def announced(self) -> list[dict[str, Any]]:
        """Return the data of the `silver.changed` events in the outbox, oldest first."""
        rows = await self.rows("select value from meta.outbox where topic = $1 order by id", SILVER)
        return [json.loads(row["value"])["data"] for row in rows]

    async def digests(self, tables: Iterable[str] = TABLES) -> dict[str, str]:
        return {
            table: await self.value("select silver.digest($1::text::regclass)", f"silver.{table}")
            for table in tables
        }


SILVER = "silver.changed"

_APPEND = """
with latest as (
    select coalesce(max(version), 0) + 1 as version
    from bronze.heads where entity_type = $1 and source_system = $2 and external_id = $4
), raw as (
    insert into bronze.raw_entities (entity_type, source_system, entity_id, external_id, version,
        operation, raw_data, content_hash, ingested_at)
    select $1, $2, $3, $4, version,
        case when $5::text is null then 'tombstoned' else 'stored' end, $5::text::jsonb,
        md5($5::text), clock_timestamp()
    from latest
    returning id, version, ingested_at, content_hash
)
insert into bronze.heads (entity_type, source_system, external_id, entity_id, version,
    content_hash, is_deleted, ingested_at, raw_id)
select $1, $2, $4, $3, version, content_hash, content_hash is null, ingested_at, id
from raw
on conflict (entity_type, source_system, external_id) do update
set version = excluded.version, content_hash = excluded.content_hash,
    is_deleted = excluded.is_deleted, ingested_at = excluded.ingested_at, raw_id = excluded.raw_id
"""


@contextlib.asynccontextmanager
async def open_hub(
    database_url: str,
    entities: dict[str, Entity],
    *,
    chunk: int = 100,
    page: int = 500,
    chunk_bytes: int = 2**20,
    bronze: PostgresBronze | None = None,
) -> AsyncGenerator[Hub]:
    settings = DatabaseSettings.model_validate({"DATABASE_URL": database_url})
    database = await Database.open(settings, "transformer")
    async with database.connection() as connection:
        await make_tables(connection, entities.values())
    merger = PolarsMerger(workers=2)
    bronze, silver = bronze or PostgresBronze(), PostgresSilver(entities.values())
    identify = Identify(PostgresXref(), merger)
    limits = ChunkLimits(chunk, chunk_bytes)
    refer = Refer(PostgresReferences(entities), entities)
    recompute = Recompute(
        bronze, silver, identify=identify, refer=refer, merger=merger, limits=limits
    )
    job = TransformJob(
        entities,
        recompute,
        simulate=Simulate(bronze, identify=identify, merger=merger, limits=limits),
        bronze=bronze,
        history=PostgresRuns(),
        database=database,
        page=page,
    )
    try:
        handler = TransformBatch(entities, recompute)
        yield Hub(database, entities, recompute, handler, job)
    finally:
        merger.close()
        await database.close()
