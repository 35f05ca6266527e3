"""The first versions of what bronze has never seen, which is all of a full load.

Many of them go over as two COPYs, heads and rows, under ids that the client was given beforehand;
nothing is judged and nothing comes back. Whether a key has a head is looked up before, but not
while a load goes on: then only the first COPY finds out. A key that has one, or that somebody else
gives one at the same moment, refuses it; then, and where there are few, each gets its head on its
own, if it can.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from typing import Any, TypeAlias, TypeVar

import asyncpg

from chassis.db import Connection
from contracts.layers import BronzeOperation
from ingestor.adapters.version_rows import Places, columns, copy_heads, copy_rows
from ingestor.domain.versions import ExternalKey, NewVersion, WriteOutcome, Written

FEWEST_TO_COPY = 100
"""Below it the round trips of a COPY cost more than they save."""

_Answer = TypeVar("_Answer")
_Work = TypeVar("_Work")


Loads: TypeAlias = set[tuple[str, str]]
"""Entity types and sources of which the last many versions were all new."""


async def append_first(
    connection: Connection, versions: Mapping[int, NewVersion], *, loads: Loads
) -> dict[int, Written]:
    """Append what has no head, and only that.

    Args:
        connection: In a transaction.
        versions: By their ordinal; of different keys.
        loads: What need not be looked for, because a load goes on; kept up to date.

    Returns:
        What was appended, by its ordinal.
    """
    stored = {
        ordinal: version
        for ordinal, version in versions.items()
        if version.operation is BronzeOperation.STORED
    }
    if len(stored) < FEWEST_TO_COPY:
        return await _insert(connection, stored)
    kinds = {(version.entity_type, version.source_system) for version in stored.values()}
    if kinds <= loads:
        copied = await _copy_new(connection, stored, connection.fetch(_GIVE, len(stored)))
        if copied is not None:
            return copied
        loads -= kinds
    looking = connection.fetch(_LOOK, *_looked_for([item.key for item in stored.values()]))
    written = await _copy_new(connection, stored, looking)
    if written is None:
        return await _insert(connection, stored)
    if len(written) == len(stored):
        loads |= kinds
    return written


async def _copy_new(
    connection: Connection,
    versions: Mapping[int, NewVersion],
    request: Coroutine[Any, Any, "list[asyncpg.Record]"],
) -> dict[int, Written] | None:
    """Append what is new according to a request; None where one of it is not, after all."""
    keys = {version.key: ordinal for ordinal, version in versions.items()}
    [given], ordered = await _beside(
        request,
        # By bytes, as the statements do: two writers of the same keys wait in one order.
        work=lambda: [keys[key] for key in sorted(keys)],
    )
    known = _at(list(versions), given["places"]) if given["places"] else ()
    new = {ordinal: versions[ordinal] for ordinal in ordered if ordinal not in known}
    if len(new) < FEWEST_TO_COPY:
        return await _insert(connection, new)
    return await _copy(connection, new, given=given)


def _looked_for(keys: Sequence[ExternalKey]) -> list[list[Any]]:
    """Say each pair of entity type and source system once, because there are few."""
    pairs = list({key[:2] for key in keys})
    numbers = {pair: number for number, pair in enumerate(pairs, start=1)}
    return [
        *columns(pairs, width=2),
        [key[2] for key in keys],
        [numbers[key[:2]] for key in keys],
    ]


def _at(ordinals: Sequence[int], places: Iterable[int]) -> set[int]:
    """Pick from a list; places count from one."""
    return {ordinals[place - 1] for place in places}


async def _copy(
    connection: Connection, versions: Mapping[int, NewVersion], *, given: "asyncpg.Record"
) -> dict[int, Written] | None:
    """Write heads, and then rows; None where somebody else was first with one of them.

    Blocks are made while the server is busy with those before.
    """
    places = Places(
        versions=list(versions.values()),
        entity_ids=[version.entity_id for version in versions.values()],
        numbers=[1] * len(versions),
        raw_ids=given["ids"],
        ingested_at=given["ingested_at"],
    )
    sent = asyncio.Event()
    try:
        async with connection.transaction():
            _, written = await _beside(
                copy_heads(connection, places, sent=sent),
                work=lambda: _written(versions, places),
                after=sent,
            )
    except asyncpg.UniqueViolationError:
        return None
    await copy_rows(connection, places)
    return written


async def _beside(
    request: Coroutine[Any, Any, _Answer],
    work: Callable[[], _Work],
    *,
    after: asyncio.Event | None = None,
) -> tuple[_Answer, _Work]:
    """Do something while the server works on a request, once that is sent."""
    try:
        async with asyncio.TaskGroup() as group:
            answer = group.create_task(request)
            await (after.wait() if after else asyncio.sleep(0))
            result = work()
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from errors
    return answer.result(), result


async def _insert(connection: Connection, versions: Mapping[int, NewVersion]) -> dict[int, Written]:
    if not versions:
        return {}
    ordinals = {version.key: ordinal for ordinal, version in versions.items()}
    rows = await connection.fetch(_INSERT, *_arguments(versions.values()))
    appended = {
        ordinals[row["entity_type"], row["source_system"], row["external_id"]]: row for row in rows
    }
    if not appended:
        return {}
    places = Places(
        versions=[versions[ordinal] for ordinal in appended],
        entity_ids=[versions[ordinal].entity_id for ordinal in appended],
        numbers=[1] * len(rows),
        raw_ids=[row["raw_id"] for row in rows],
        ingested_at=rows[0]["ingested_at"],
    )
    await copy_rows(connection, places)
    return _written(appended, places)


def _arguments(versions: Iterable[NewVersion]) -> list[list[Any]]:
    rows = [
        (
            *version.key,
            version.entity_id,
            version.content_hash,
            version.blob_sha256,
            version.sequence,
        )
        for version in versions
    ]
    return columns(rows, width=7)


def _written(ordinals: Iterable[int], places: Places) -> dict[int, Written]:
    appended = WriteOutcome.APPENDED
    return {
        ordinal: Written(appended, entity_id, 1, raw_id)
        for ordinal, entity_id, raw_id in zip(
            ordinals, places.entity_ids, places.raw_ids, strict=True
        )
    }


_GIVE = """
select null as places, statement_timestamp() as ingested_at,
       array(select nextval('bronze.raw_entities_id_seq') from generate_series(1, $1)) as ids
"""

# Which are known already, and ids for the others: of a sequence, so gaps are fine. By `offset` each
# key is looked up in the index; a join would read all heads for every chunk of a load.
_LOOK = """
with known as (
    select item.place
    from unnest($3::text[], $4::integer[]) with ordinality as item (external_id, pair, place)
    cross join lateral (
        select 1 from bronze.heads head
        where head.entity_type = ($1::text[])[item.pair]
            and head.source_system = ($2::text[])[item.pair]
            and head.external_id = item.external_id
        offset 0) found
), counted as (
    select array_agg(place) as places, cardinality($3) - count(*)::integer as missing from known
)
select places, statement_timestamp() as ingested_at,
       array(select nextval('bronze.raw_entities_id_seq') from generate_series(1, missing)) as ids
from counted
"""

# By bytes, as the client sorts: two writers of the same keys wait in one order, whichever way
# each of them takes.
_INSERT = """
insert into bronze.heads (entity_type, source_system, external_id, entity_id, version,
    sequence, content_hash, blob_sha256, is_deleted, ingested_at, raw_id)
select entity_type, source_system, external_id, entity_id, 1, sequence, content_hash,
       blob_sha256, false, statement_timestamp(), nextval('bronze.raw_entities_id_seq')
from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bigint[])
    as item (entity_type, source_system, external_id, entity_id, content_hash, blob_sha256,
             sequence)
order by entity_type collate "C", source_system collate "C", external_id collate "C"
on conflict do nothing
returning entity_type, source_system, external_id, raw_id, ingested_at
"""
