"""The bronze layer in PostgreSQL.

Small things (keys, hashes, sequences) go to the server as arrays: what has no head gets one at
once, the rest is judged there in one statement; documents go over once, by COPY, and only those
that are new. Locks are taken in order before anything is judged, on entities where several
external ids share one and on heads: versions, and the sequences of their events, therefore have
one order per entity, and two writers do not wait for each other in a circle.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from chassis.db import Connection, Database, Transaction
from chassis.logs import redact
from ingestor.adapters.first_versions import Known, append_first
from ingestor.adapters.version_rows import Places, columns, copy_rows
from ingestor.domain.versions import ExternalKey, NewVersion, WriteOutcome, Written
from ingestor.ports import RecordError

CHUNK = 5000
"""Versions judged and copied at a time; arrays of keys, not documents."""


class PostgresCatalog:
    """Answers for the `bronze` schema."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: Known = set()

    async def sequences(self, keys: Sequence[ExternalKey]) -> Mapping[ExternalKey, int]:
        """Return the sequence of the last event applied to each key that has one."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(_SEQUENCES, *columns(keys, width=3))
        return {
            (row["entity_type"], row["source_system"], row["external_id"]): row["sequence"]
            for row in rows
        }

    async def insert_raw_entity(self, transaction: Transaction, entity: NewVersion) -> Written:
        """Append one version, if it says something new."""
        return (await self.append(transaction, [entity]))[0]

    async def bulk_insert_raw_entities(
        self, transaction: Transaction, entities: Sequence[NewVersion]
    ) -> int:
        """Append versions, a thousand at a time and the rest; return how many were new."""
        written = await self.append(transaction, entities)
        return sum(item.outcome is WriteOutcome.APPENDED for item in written)

    async def append(
        self, transaction: Transaction, versions: Sequence[NewVersion]
    ) -> list[Written]:
        """Append what is new, in order per key; one answer each, in the given order."""
        if not versions:
            return []
        connection = transaction.connection
        await _lock_entities(connection, versions)
        written: dict[int, Written] = {}
        for ordinals in _rounds([version.key for version in versions]):
            chosen = {item: versions[item] for item in ordinals}
            written |= await self._append(connection, chosen)
        return [written[ordinal] for ordinal in range(len(versions))]

    async def _append(
        self, connection: Connection, versions: Mapping[int, NewVersion]
    ) -> dict[int, Written]:
        written = await append_first(connection, versions, known=self._known)
        rest = {ordinal: item for ordinal, item in versions.items() if ordinal not in written}
        return written | await _judge(connection, rest) if rest else written

    async def record_errors(self, transaction: Transaction, errors: Sequence[RecordError]) -> None:
        """Write the failures beside what succeeded."""
        if not errors:
            return
        rows = [
            (
                item.source,
                _storable(item.external_id),
                item.error.category.value,
                type(item.error).__name__,
                _storable(redact(item.error.message)),
                item.attempts,
                _storable(item.event_id),
            )
            for item in errors
        ]
        await transaction.connection.execute(
            _RECORD_ERRORS, self._database.service, *columns(rows, width=7)
        )

    async def create_partitions(self) -> int:
        """Create the partitions of the coming months; return how many were missing."""
        async with self._database.connection() as connection:
            created: int = await connection.fetchval("select bronze.create_partitions()")
        return created


async def _lock_entities(connection: Connection, versions: Sequence[NewVersion]) -> None:
    rows = [(*version.key, version.entity_id) for version in versions if not version.is_own_entity]
    if rows:
        await connection.execute(_LOCK_ENTITIES, *columns(rows, width=4))


def _rounds(keys: Sequence[ExternalKey]) -> Iterator[Sequence[int]]:
    """Yield the ordinals to write together: no key twice, earlier versions of a key first."""
    for ordinals in _repetitions(keys):
        for start in range(0, len(ordinals), CHUNK):
            yield ordinals[start : start + CHUNK]


def _repetitions(keys: Sequence[ExternalKey]) -> Iterable[Sequence[int]]:
    if len(set(keys)) == len(keys):
        return [range(len(keys))]
    seen: dict[ExternalKey, int] = defaultdict(int)
    rounds: dict[int, list[int]] = defaultdict(list)
    for ordinal, key in enumerate(keys):
        rounds[seen[key]].append(ordinal)
        seen[key] += 1
    return rounds.values()


async def _judge(connection: Connection, versions: Mapping[int, NewVersion]) -> dict[int, Written]:
    """Append to what has a head, if it says something new."""
    keys = [item.key for item in versions.values()]
    await connection.execute(_LOCK_HEADS, *columns(keys, width=3))
    rows = await connection.fetch(_JUDGE, *_arguments(versions))
    appended = [row for row in rows if row["raw_id"] is not None]
    if appended:
        places = Places(
            versions=[versions[row["ordinal"]] for row in appended],
            entity_ids=[row["entity_id"] for row in appended],
            numbers=[row["version"] for row in appended],
            raw_ids=[row["raw_id"] for row in appended],
            ingested_at=appended[0]["ingested_at"],
        )
        await copy_rows(connection, places)
    return {
        row["ordinal"]: Written(
            WriteOutcome(row["outcome"]), row["entity_id"], row["version"], row["raw_id"]
        )
        for row in rows
    }


def _arguments(versions: Mapping[int, NewVersion]) -> list[list[Any]]:
    rows = [
        (
            ordinal,
            *version.key,
            version.entity_id,
            version.operation.value,
            version.content_hash,
            version.blob_sha256,
            version.sequence,
            version.derived_from is not None,
        )
        for ordinal, version in versions.items()
    ]
    return columns(rows, width=10)


def _storable(text: str) -> str:
    """Return a text as PostgreSQL takes it: what was refused for its NUL can still be listed."""
    return text.replace("\0", "\ufffd")


_SEQUENCES = """
select entity_type, source_system, external_id, head.sequence
from unnest($1::text[], $2::text[], $3::text[]) as item (entity_type, source_system, external_id)
join bronze.heads head using (entity_type, source_system, external_id)
where head.sequence is not null
"""

# The update never happens: its false condition is looked at after the row is locked.
_LOCK_ENTITIES = """
with incoming as (
    select *
    from unnest($1::text[], $2::text[], $3::text[], $4::text[])
        as item (entity_type, source_system, external_id, entity_id)
)
insert into bronze.entities as entity (entity_type, entity_id)
select entity_type, entity_id from incoming where entity_id is not null
union
select head.entity_type, head.entity_id
from incoming
join bronze.heads head using (entity_type, source_system, external_id)
order by 1, 2
on conflict (entity_type, entity_id) do update set first_seen_at = entity.first_seen_at where false
"""

# Locks in the order of the keys, before they are judged.
_LOCK_HEADS = """
select 1
from unnest($1::text[], $2::text[], $3::text[]) as item (entity_type, source_system, external_id)
join bronze.heads head using (entity_type, source_system, external_id)
order by entity_type collate "C", source_system collate "C", external_id collate "C"
for update of head
"""

_JUDGE = """
with incoming as (
    select *
    from unnest($1::integer[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[],
                $7::text[], $8::text[], $9::bigint[], $10::boolean[])
        as item (ordinal, entity_type, source_system, external_id, entity_id, operation,
                 content_hash, blob_sha256, sequence, is_derived)
), judged as (
    select incoming.*, head.version as head_version, head.entity_id as head_entity_id,
           coalesce(head.announced_hash, head.content_hash) as head_announced_hash,
           case
               when incoming.sequence <= head.sequence then 'duplicate'
               when operation = 'stored'
                   and (head.version is null or head.is_deleted
                        or case when incoming.is_derived then head.content_hash
                                else coalesce(head.announced_hash, head.content_hash) end
                            is distinct from incoming.content_hash)
                   then 'appended'
               when head.version is null then 'absent'
               when operation = 'tombstoned' and not head.is_deleted then 'appended'
               else 'unchanged'
           end as outcome
    from incoming
    left join bronze.heads head using (entity_type, source_system, external_id)
), placed as (
    select *, coalesce(entity_id, head_entity_id) as owner_id,
           coalesce(head_version, 0) + 1 as next,
           nextval('bronze.raw_entities_id_seq') as raw_id
    from judged
    where outcome = 'appended'
), appended as (
    insert into bronze.heads as head (entity_type, source_system, external_id, entity_id, version,
        sequence, content_hash, blob_sha256, is_deleted, ingested_at, raw_id, announced_hash)
    select entity_type, source_system, external_id, owner_id, next, sequence, content_hash,
           blob_sha256, operation = 'tombstoned', statement_timestamp(), raw_id,
           case when is_derived then head_announced_hash end
    from placed
    on conflict (entity_type, source_system, external_id) do update set
        entity_id = excluded.entity_id, version = excluded.version,
        sequence = coalesce(excluded.sequence, head.sequence),
        content_hash = excluded.content_hash, blob_sha256 = excluded.blob_sha256,
        is_deleted = excluded.is_deleted, ingested_at = excluded.ingested_at,
        raw_id = excluded.raw_id, announced_hash = excluded.announced_hash
), advanced as (
    update bronze.heads head set sequence = judged.sequence
    from judged
    where judged.outcome = 'unchanged' and judged.sequence is not null
        and head.entity_type = judged.entity_type and head.source_system = judged.source_system
        and head.external_id = judged.external_id
)
select judged.ordinal, judged.outcome, placed.raw_id, statement_timestamp() as ingested_at,
       coalesce(judged.entity_id, judged.head_entity_id) as entity_id,
       coalesce(placed.next, judged.head_version, 0) as version
from judged
left join placed using (ordinal)
"""

_RECORD_ERRORS = """
insert into meta.record_errors
    (service, source, external_id, category, error_class, message, attempts, event_id)
select $1, item.*
from unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::integer[], $8::text[])
    as item
"""
