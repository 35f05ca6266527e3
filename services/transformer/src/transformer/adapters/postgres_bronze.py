"""Reads the bronze tables, which belong to the ingestor; never writes them."""

from collections.abc import Callable, Sequence
from datetime import datetime

import asyncpg

from chassis.db import Connection
from transformer.domain.records import Head


class PostgresBronze:
    """The heads of bronze with their records.

    Args:
        place: Makes a statement about other heads of the same form out of one about bronze's.
    """

    def __init__(self, place: Callable[[str], str] = str) -> None:
        self._place = place

    async def heads(
        self, connection: Connection, entity_type: str, entity_ids: Sequence[str]
    ) -> list[Head]:
        """Return the heads of entities, tombstones included, as of now, in one statement."""
        rows = await connection.fetch(self._place(_HEADS), entity_type, list(entity_ids))
        return [head_of(row) for row in rows]

    async def heads_within(
        self, connection: Connection, entity_type: str, entity_ids: Sequence[str], *, limit: int
    ) -> list[Head] | None:
        """Return the same if the records have no more bytes than that, about; else None."""
        query = self._place(_HEADS_WITHIN)
        rows = await connection.fetch(query, entity_type, list(entity_ids), limit)
        return [head_of(row) for row in rows] if all(row["fits"] for row in rows) else None

    async def sizes(
        self, connection: Connection, entity_type: str, entity_ids: Sequence[str]
    ) -> dict[str, int]:
        """Return how many bytes the records behind each entity have, about."""
        rows = await connection.fetch(self._place(_SIZES), entity_type, list(entity_ids))
        return {row["entity_id"]: row["size_bytes"] for row in rows}

    async def page(
        self,
        connection: Connection,
        entity_type: str,
        *,
        after: str,
        limit: int,
        changed_since: datetime | None = None,
    ) -> list[str]:
        """Return the next entity ids behind `after`, in order."""
        if changed_since is None:
            rows = await connection.fetch(_PAGE, entity_type, after, limit)
        else:
            rows = await connection.fetch(_PAGE_SINCE, entity_type, after, limit, changed_since)
        return [row["entity_id"] for row in rows]

    async def count(
        self, connection: Connection, entity_type: str, *, changed_since: datetime | None = None
    ) -> int:
        """Return how many entities `page` will give."""
        found: int
        if changed_since is None:
            found = await connection.fetchval(_COUNT, entity_type)
        else:
            found = await connection.fetchval(_COUNT_SINCE, entity_type, changed_since)
        return found


def head_of(row: asyncpg.Record) -> Head:
    """Read a head from the first columns of a row."""
    return Head._make(row[: len(Head._fields)])


# A record without a file behind it is as large as PostgreSQL keeps it. Four bytes suffice to say
# that it is too large, and eight are summed up as `numeric`.
_SIZE = """least(coalesce(r.size_bytes, pg_column_size(r.raw_data), 0), 2147483647)::integer"""

# `offset 0` keeps each entity's lookup apart: joined in any other way, all heads may be read.
_OF_ENTITIES = f"""
from unnest($2::text[]) as wanted (entity_id)
cross join lateral (
    select h.entity_id, h.source_system, h.external_id, h.version, h.is_deleted, h.ingested_at,
           r.raw_data, {_SIZE} as size_bytes
    from bronze.heads h
    join bronze.raw_entities r on r.ingested_at = h.ingested_at and r.id = h.raw_id
    where h.entity_type = $1 and h.entity_id = wanted.entity_id
    offset 0) h
"""  # noqa: S608 - made of constants

_HEADS = f"""
select h.entity_id, h.source_system, h.external_id, h.version, h.is_deleted,
       h.ingested_at as stored_at, h.raw_data::text as document
{_OF_ENTITIES}
"""

_SIZES = f"""
select h.entity_id, sum(h.size_bytes)::bigint as size_bytes
{_OF_ENTITIES}
group by h.entity_id
"""

_HEADS_WITHIN = f"""
select entity_id, source_system, external_id, version, is_deleted, ingested_at as stored_at,
       case when so_far <= $3::bigint then raw_data::text end as document,
       so_far <= $3::bigint as fits
from (select h.*, sum(h.size_bytes) over (rows unbounded preceding) as so_far {_OF_ENTITIES}) found
"""  # noqa: S608 - made of constants

_PAGE = """
select distinct entity_id from bronze.heads
where entity_type = $1 and entity_id > $2
order by entity_id limit $3
"""

_COUNT = "select count(distinct entity_id) from bronze.heads where entity_type = $1"

# What has a new head has a version of that time; versions have an index that answers it alone,
# and partitions by time.
_PAGE_SINCE = """
select distinct entity_id from bronze.raw_entities
where entity_type = $1 and entity_id > $2 and ingested_at >= $4
order by entity_id limit $3
"""

_COUNT_SINCE = """
select count(distinct entity_id) from bronze.raw_entities
where entity_type = $1 and ingested_at >= $2
"""
