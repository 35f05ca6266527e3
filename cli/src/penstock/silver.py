"""What the database tells about silver records: which there are, and where their values come from.

`silver.entities` says which tables there are, so nothing here knows the rules.
"""

import contextlib
import json
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias

import asyncpg

from chassis.db import translated_errors
from chassis.errors import PermanentError
from chassis.settings import DatabaseSettings
from contracts.errors import ErrorCategory

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

_MAX_CANDIDATES = 20


class UnknownRecordError(PermanentError):
    """There is no such entity, or no such record."""

    default_category = ErrorCategory.CONTENT_VALIDATION


@dataclass(frozen=True, slots=True)
class SilverEntity:
    """One kind of silver record."""

    entity_type: str
    table: str
    find_by: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """One value and where it comes from."""

    field: str
    value: Any
    rule: str
    source: str | None
    source_system: str | None
    external_id: str | None
    bronze_version: int | None
    losers: list[dict[str, Any]]
    as_of: datetime | None
    """When the source says that the winning record was changed, or else when bronze stored it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One bronze record behind an entity, on its way from the source."""

    source: str
    source_system: str
    external_id: str
    bronze_version: int
    operation: str
    event_id: str | None
    correlation_id: str | None
    blob_key: str | None
    linked_by: str | None
    """The identity rule that made it part of the entity; None where there was nothing to link."""

    source_modified_at: datetime | None
    stored_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Everything known about one silver record."""

    entity_type: str
    entity_id: str
    table: str
    status: str
    version: int
    score: str | None
    flags: list[str]
    updated_at: datetime | None
    values: list[Value]
    chain: list[Step]
    rejected_because: str | None


@contextlib.asynccontextmanager
async def reading_silver(database: DatabaseSettings) -> AsyncGenerator[Connection]:
    """Open a connection that writes nothing.

    Raises:
        TransientError: the database does not answer, or refuses us.
    """
    with translated_errors():
        connection = await asyncpg.connect(
            database.url.get_secret_value(),
            timeout=30,
            command_timeout=60,
            server_settings={"default_transaction_read_only": "on", "timezone": "UTC"},
        )
        try:
            await connection.set_type_codec(
                "jsonb", schema="pg_catalog", encoder=json.dumps, decoder=json.loads
            )
            yield connection
        finally:
            await connection.close(timeout=10)


async def find_entity(connection: Connection, name: str) -> SilverEntity:
    """Return the entity whose type or table has the name.

    Raises:
        UnknownRecordError: there is none; names those there are.
    """
    rows = await connection.fetch(
        "select entity_type, table_name, find_by from silver.entities order by table_name"
    )
    for row in rows:
        if name in (row["entity_type"], row["table_name"]):
            return SilverEntity(row["entity_type"], row["table_name"], tuple(row["find_by"]))
    known = ", ".join(row["table_name"] for row in rows) or "none; start a transformer first"
    raise UnknownRecordError(f"`{name}` is no silver entity; known: {known}")


async def find_record(connection: Connection, entity: SilverEntity, key: str) -> str:
    """Return the id of the record that a key means: its id, a natural key, or a source's id.

    Raises:
        UnknownRecordError: none is meant, or several are.
    """
    by_column = " or ".join(f"lower({column}::text) = lower($2)" for column in entity.find_by)
    rows = await connection.fetch(
        _FIND.format(table=entity.table, by_column=by_column or "false"),
        entity.entity_type,
        key,
        _MAX_CANDIDATES,
    )
    # An exact id wins over what is merely called so.
    found = [row["entity_id"] for row in rows if row["place"] == rows[0]["place"]]
    if not found:
        where = ", ".join(("id", "source's id", *entity.find_by))
        raise UnknownRecordError(f"nothing in silver.{entity.table} has {key!r} as {where}")
    if len(found) > 1:
        raise UnknownRecordError(f"{key!r} means several; name one: {', '.join(sorted(found))}")
    return str(found[0])


async def explain(connection: Connection, entity: SilverEntity, entity_id: str) -> Explanation:
    """Return where the values of a record come from.

    Raises:
        UnknownRecordError: silver has never seen it.
    """
    head = await connection.fetchrow(_HEAD, entity.entity_type, entity_id)
    if head is None:
        raise UnknownRecordError(f"silver has never seen {entity_id!r}")
    told = await connection.fetchval(
        f"select to_jsonb(t) from silver.{entity.table} t where entity_id = $1",  # noqa: S608
        entity_id,
    )
    chain = [Step(**dict(row)) for row in await connection.fetch(_CHAIN, *_key(entity, entity_id))]
    ages = {
        (step.source_system, step.external_id): step.source_modified_at or step.stored_at
        for step in chain
    }
    rows = await connection.fetch(_VALUES, *_key(entity, entity_id))
    return Explanation(
        entity_type=entity.entity_type,
        entity_id=entity_id,
        table=entity.table,
        status=head["status"],
        version=head["version"],
        score=None if head["score"] is None else str(head["score"]),
        flags=list(head["quality_flags"]),
        updated_at=head["updated_at"],
        values=[
            Value(
                **dict(row),
                value=(told or {}).get(row["field"]),
                as_of=ages.get((row["source_system"], row["external_id"])),
            )
            for row in rows
        ],
        chain=chain,
        rejected_because=head["rejected_because"],
    )


async def failures_of(connection: Connection, run_id: str, *, limit: int) -> list[tuple[str, str]]:
    """Return ids and reasons of records that a run rejected, oldest first."""
    rows = await connection.fetch(
        "select external_id, message from meta.record_errors "
        "where service = 'transformer' and run_id = $1::text::uuid order by id limit $2",
        run_id,
        limit,
    )
    return [(row["external_id"], row["message"]) for row in rows]


async def samples_of(connection: Connection, run_id: str) -> list[dict[str, Any]]:
    """Return the differences that a simulation has noted."""
    found = await connection.fetchval(
        "select checkpoint -> 'samples' from meta.runs where run_id = $1::text::uuid", run_id
    )
    return list(found or [])


def _key(entity: SilverEntity, entity_id: str) -> tuple[str, str]:
    return entity.entity_type, entity_id


# The names in braces come from `silver.entities`, which holds plain names only.
_FIND = """
with named as (
    select 1 as place, entity_id from silver.heads where entity_type = $1 and entity_id = $2
    union all
    select 2, entity_id from silver.{table} where {by_column}
    union all
    select 3, coalesce(x.entity_id, h.entity_id)
    from bronze.heads h
    left join meta.entity_xref x on x.entity_type = h.entity_type and x.record_id = h.entity_id
    where h.entity_type = $1 and (h.external_id = $2 or h.entity_id = $2)
), survivors as (
    select n.place, coalesce(h.merged_into, n.entity_id) as entity_id
    from named n
    left join silver.heads h on h.entity_type = $1 and h.entity_id = n.entity_id
)
select min(place) as place, entity_id from survivors group by entity_id order by 1, 2 limit $3
"""

_HEAD = """
select h.status, h.version, h.data_quality_score as score, h.quality_flags, h.updated_at,
       case when h.status = 'rejected' then (
           select e.message from meta.record_errors e
           where e.service = 'transformer' and e.source = h.entity_type
               and e.external_id = h.entity_id
           order by e.id desc limit 1) end as rejected_because
from silver.heads h where h.entity_type = $1 and h.entity_id = $2
"""

_VALUES = """
select field, rule, source, source_system, external_id, bronze_version, losers
from silver.provenance where entity_type = $1 and entity_id = $2 order by position
"""

_CHAIN = """
select l.record ->> 'source' as source, h.source_system, h.external_id,
       r.version as bronze_version, r.operation, r.event_id, r.correlation_id, r.blob_key,
       x.rule as linked_by, r.source_modified_at, r.ingested_at as stored_at
from silver.origins o
cross join jsonb_array_elements(o.records) with ordinality as l (record, place)
join bronze.heads h on h.entity_type = o.entity_type
    and h.source_system = l.record ->> 'source_system'
    and h.external_id = l.record ->> 'external_id'
join bronze.raw_entities r on r.entity_type = o.entity_type and r.entity_id = h.entity_id
    and r.source_system = h.source_system and r.external_id = h.external_id
    and r.version = (l.record ->> 'bronze_version')::integer
left join meta.entity_xref x on x.entity_type = o.entity_type and x.record_id = h.entity_id
where o.entity_type = $1 and o.entity_id = $2 order by l.place
"""
