"""The records that are still to be completed, in PostgreSQL."""

from collections.abc import Mapping, Sequence

from chassis.db import Database, Transaction
from chassis.redaction import redact
from ingestor.domain.versions import ExternalKey
from ingestor.ports import EnrichmentRequest, Postponed


class PostgresEnrichments:
    """`Enrichments` on the table `bronze.enrichments`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def request(
        self, transaction: Transaction, requests: Sequence[EnrichmentRequest]
    ) -> None:
        """Ask for records to be completed; a newer version replaces the request for an older."""
        latest = {item.key: item for item in requests}
        await transaction.connection.executemany(
            _REQUEST,
            [(*key, item.source, item.raw_id, item.correlation_id) for key, item in latest.items()],
        )

    async def withdraw(self, transaction: Transaction, keys: Sequence[ExternalKey]) -> None:
        """Forget requests: their records are deleted."""
        columns = [[key[index] for key in keys] for index in range(3)]
        await transaction.connection.execute(_WITHDRAW, *columns)

    async def take(
        self, source: str, *, limit: int, lease_seconds: float
    ) -> list[EnrichmentRequest]:
        """Take requests that are due; nobody else gets them before the lease is over."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(_TAKE, source, limit, lease_seconds)
        return [
            EnrichmentRequest(
                source=source,
                entity_type=row["entity_type"],
                source_system=row["source_system"],
                external_id=row["external_id"],
                raw_id=row["raw_id"],
                correlation_id=row["correlation_id"],
                attempts=row["attempts"],
                document=row["raw_data"] or {},
            )
            for row in rows
        ]

    async def still_wanted(
        self, transaction: Transaction, requests: Sequence[EnrichmentRequest]
    ) -> set[ExternalKey]:
        """Return those whose version is still the latest, locked until the transaction ends."""
        rows = await transaction.connection.fetch(_STILL_WANTED, *_columns(requests))
        return {(row["entity_type"], row["source_system"], row["external_id"]) for row in rows}

    async def settle(self, transaction: Transaction, requests: Sequence[EnrichmentRequest]) -> None:
        """Forget requests that were answered, unless a newer one has taken their place."""
        await transaction.connection.execute(_SETTLE, *_columns(requests))

    async def postpone(self, transaction: Transaction, items: Sequence[Postponed]) -> None:
        """Have requests tried again later."""
        await transaction.connection.execute(
            _POSTPONE,
            *_columns([item.request for item in items]),
            [item.seconds for item in items],
            [redact(item.reason) for item in items],
        )

    async def waiting(self) -> Mapping[str, int]:
        """Return how many requests wait, per source."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                "select source, count(*) as times from bronze.enrichments group by source"
            )
        return {row["source"]: row["times"] for row in rows}


def _columns(
    requests: Sequence[EnrichmentRequest],
) -> tuple[list[str], list[str], list[str], list[int]]:
    return (
        [item.entity_type for item in requests],
        [item.source_system for item in requests],
        [item.external_id for item in requests],
        [item.raw_id for item in requests],
    )


_REQUEST = """
insert into bronze.enrichments
    (entity_type, source_system, external_id, source, raw_id, correlation_id)
values ($1, $2, $3, $4, $5, $6)
on conflict (entity_type, source_system, external_id) do update set
    source = excluded.source, raw_id = excluded.raw_id, correlation_id = excluded.correlation_id,
    attempts = 0, next_at = statement_timestamp(), requested_at = statement_timestamp(),
    last_error = null
"""

_WITHDRAW = """
delete from bronze.enrichments e
using unnest($1::text[], $2::text[], $3::text[]) as item (entity_type, source_system, external_id)
where e.entity_type = item.entity_type and e.source_system = item.source_system
  and e.external_id = item.external_id
"""

_TAKE = """
with due as (
    select entity_type, source_system, external_id
    from bronze.enrichments
    where source = $1 and next_at <= statement_timestamp()
    order by next_at
    limit $2
    for update skip locked
), taken as (
    update bronze.enrichments e
    set attempts = e.attempts + 1,
        next_at = statement_timestamp() + make_interval(secs => $3)
    from due
    where e.entity_type = due.entity_type and e.source_system = due.source_system
      and e.external_id = due.external_id
    returning e.*
)
select taken.*, r.raw_data
from taken
left join bronze.heads h using (entity_type, source_system, external_id)
left join bronze.raw_entities r
    on r.ingested_at = h.ingested_at and r.id = h.raw_id and h.raw_id = taken.raw_id
"""

_STILL_WANTED = """
select h.entity_type, h.source_system, h.external_id
from unnest($1::text[], $2::text[], $3::text[], $4::bigint[])
    as item (entity_type, source_system, external_id, raw_id)
join bronze.heads h using (entity_type, source_system, external_id, raw_id)
where not h.is_deleted
order by 1, 2, 3
for update of h
"""

_SETTLE = """
delete from bronze.enrichments e
using unnest($1::text[], $2::text[], $3::text[], $4::bigint[])
    as item (entity_type, source_system, external_id, raw_id)
where e.entity_type = item.entity_type and e.source_system = item.source_system
  and e.external_id = item.external_id and e.raw_id = item.raw_id
"""

_POSTPONE = """
update bronze.enrichments e
set next_at = statement_timestamp() + make_interval(secs => item.seconds), last_error = item.reason
from unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::float8[], $6::text[])
    as item (entity_type, source_system, external_id, raw_id, seconds, reason)
where e.entity_type = item.entity_type and e.source_system = item.source_system
  and e.external_id = item.external_id and e.raw_id = item.raw_id
"""
