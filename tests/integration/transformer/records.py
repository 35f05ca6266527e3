"""Bronze records of any source, as the ingestor leaves them, and what silver makes of them."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from chassis.db import Connection
from chassis.errors import TransientError
from tests.integration.transformer.hub import Hub, Settle

PERSON_RULES = """
version: 1
entity_type: person
table: persons
ruleset_version: 1
inputs:
  uniqname: {path: uniqname, type: text}
  employee: {path: employee, type: text}
  mails: {path: mails, type: texts}
  name: {path: name, type: text}
sources: [{name: a, system: a}, {name: b, system: b}, {name: c, system: c}]
identity:
  keys:
    - {name: uniqname, rule: LOWER(uniqname)}
    - {name: email, each: mails, rule: LOWER(item), max_records: 3}
  exclusive: [{name: employee, rule: employee}]
fields:
  name: {type: text, rule: name}
  employee: {type: text, rule: employee}
"""


@dataclass(slots=True)
class Records:
    """The records of one entity type behind a hub."""

    hub: Hub
    entity_type: str = "person"
    table: str = "persons"

    async def store(self, record_id: str, document: dict[str, Any] | None) -> None:
        """Append a version of `<source system>/<external id>`; None deletes it."""
        async with self.hub.database.connection() as connection:
            await self.append(connection, record_id, document)

    async def append(
        self, connection: Connection, record_id: str, document: dict[str, Any] | None
    ) -> None:
        system, _, external_id = record_id.partition("/")
        text = None if document is None else json.dumps(document)
        await connection.execute(_APPEND, self.entity_type, system, external_id, text)

    async def store_all(self, documents: Iterable[tuple[str, dict[str, Any]]]) -> None:
        """Append the first versions of many records, oldest first."""
        rows = [
            (*record_id.partition("/")[::2], json.dumps(document))
            for record_id, document in documents
        ]
        async with self.hub.database.connection() as connection, connection.transaction():
            await connection.executemany(_APPEND, [(self.entity_type, *row) for row in rows])

    async def transform(self, *record_ids: str, settle: Settle | None = None) -> None:
        events = [self.hub.event(item, entity_type=self.entity_type) for item in record_ids]
        await self.hub.apply(events, settle=settle)

    async def transform_until_done(self, *record_ids: str) -> None:
        """Do as the bus does: after a lock that took too long, try again."""
        for _ in range(10):
            try:
                return await self.transform(*record_ids)
            except TransientError as error:
                failure = error
        raise failure

    async def put(self, record_id: str, document: dict[str, Any] | None) -> None:
        """Store and transform."""
        await self.store(record_id, document)
        await self.transform(record_id)

    async def live(self) -> dict[str, str]:
        """Return the name of every entity in silver."""
        rows = await self.hub.rows(f"select entity_id, name from silver.{self.table}")
        return {row["entity_id"]: row["name"] for row in rows}

    async def members(self) -> dict[str, list[str]]:
        rows = await self.hub.rows(
            "select entity_id, array_agg(record_id order by record_id) as records "
            "from meta.entity_xref where entity_type = $1 group by 1",
            self.entity_type,
        )
        return {row["entity_id"]: row["records"] for row in rows}

    async def merged_into(self) -> dict[str, str]:
        rows = await self.hub.rows(
            "select entity_id, merged_into from silver.heads where merged_into is not null"
        )
        return {row["entity_id"]: row["merged_into"] for row in rows}

    async def refused(self) -> list[tuple[str, str, list[str]]]:
        rows = await self.hub.rows(
            "select value, reason, records from meta.refused_keys order by value"
        )
        return [(row["value"], row["reason"], row["records"]) for row in rows]

    async def picture(self) -> dict[str, Any]:
        """Return all that must be a function of bronze."""
        queries = {
            "xref": "select record_id, entity_id, group_id, first_raw_id, rule, linked_to, "
            "exclusive from meta.entity_xref order by record_id",
            "keys": "select key, value, record_id from meta.entity_keys order by 1, 2, 3",
            "refused": "select key, value, reason, records from meta.refused_keys order by 1, 2",
        }
        found: dict[str, Any] = {name: await self.hub.rows(sql) for name, sql in queries.items()}
        found["silver"] = await self.hub.digests([self.table])
        return found

    async def forget(self) -> None:
        """Empty everything that the transformer keeps."""
        await self.hub.execute(
            "truncate meta.entity_xref, meta.entity_keys, meta.refused_keys, "
            f"silver.heads, silver.{self.table}, silver.{self.table}_history, quality.history, "
            "meta.outbox, meta.record_errors cascade"
        )

    async def record_ids(self) -> Sequence[str]:
        rows = await self.hub.rows(
            "select distinct entity_id from bronze.heads where entity_type = $1 order by 1",
            self.entity_type,
        )
        return [row["entity_id"] for row in rows]


_APPEND = """
with latest as (
    select coalesce(max(version), 0) + 1 as version from bronze.heads
    where entity_type = $1::text and source_system = $2::text and external_id = $3::text
), raw as (
    insert into bronze.raw_entities (entity_type, entity_id, source_system, external_id, version,
        operation, raw_data, content_hash, ingested_at)
    select $1, $2 || '/' || $3, $2, $3, version,
        case when $4::text is null then 'tombstoned' else 'stored' end, $4::text::jsonb,
        md5($4::text), clock_timestamp()
    from latest
    returning id, version, ingested_at, content_hash, entity_id
)
insert into bronze.heads (entity_type, source_system, external_id, entity_id, version,
    content_hash, is_deleted, ingested_at, raw_id)
select $1, $2, $3, entity_id, version, content_hash, content_hash is null, ingested_at, id
from raw
on conflict (entity_type, source_system, external_id) do update
set version = excluded.version, content_hash = excluded.content_hash,
    is_deleted = excluded.is_deleted, ingested_at = excluded.ingested_at, raw_id = excluded.raw_id
"""
