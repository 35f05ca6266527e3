"""The first versions of what bronze has never seen, which is all of a full load.

Many of them go over as two COPYs, heads and rows, under ids that the client was given beforehand;
nothing is judged and nothing comes back. That is tried until a key that has a head, or that
somebody else gives one at the same moment, refuses the first COPY, and again after many that were
all new. Otherwise, and where there are few, each gets its head on its own, if it can.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Mapping
from typing import Any, TypeAlias, TypeVar

import asyncpg

from chassis.db import Connection
from contracts.layers import BronzeOperation
from ingestor.adapters.version_rows import Places, columns, copy_heads, copy_rows
from ingestor.domain.versions import NewVersion, WriteOutcome, Written

FEWEST_TO_COPY = 100
"""Below it the round trips of a COPY cost more than they save."""

_Answer = TypeVar("_Answer")
_Work = TypeVar("_Work")


Known: TypeAlias = set[tuple[str, str]]
"""Entity types and sources of which the last many versions were not all new."""


async def append_first(
    connection: Connection, versions: Mapping[int, NewVersion], *, known: Known
) -> dict[int, Written]:
    """Append what has no head, and only that.

    Args:
        connection: In a transaction.
        versions: By their ordinal; of different keys.
        known: Of what no load goes on, so that a COPY would be in vain; kept up to date.

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
    if not kinds & known:
        copied = await _copy(connection, stored)
        if copied is not None:
            return copied
        known |= kinds
    written = await _insert(connection, stored)
    if len(written) == len(stored):
        known -= kinds
    return written


async def _copy(
    connection: Connection, versions: Mapping[int, NewVersion]
) -> dict[int, Written] | None:
    """Write heads, and then rows; None where one of them has a head.

    Blocks are made while the server is busy with those before.
    """
    [given], ordered = await _beside(
        connection.fetch(_GIVE, len(versions)), work=lambda: _in_order(versions)
    )
    chosen = [versions[ordinal] for ordinal in ordered]
    places = Places(
        versions=chosen,
        entity_ids=[version.entity_id for version in chosen],
        numbers=[1] * len(chosen),
        raw_ids=given["ids"],
        ingested_at=given["ingested_at"],
    )
    sent = asyncio.Event()
    try:
        async with connection.transaction():
            _, written = await _beside(
                copy_heads(connection, places, sent=sent),
                work=lambda: _written(ordered, places),
                after=sent,
            )
    except asyncpg.UniqueViolationError:
        return None
    await copy_rows(connection, places)
    return written


def _in_order(versions: Mapping[int, NewVersion]) -> list[int]:
    """Sort by key, by bytes as the statements do: two writers of the same keys wait in one order.

    Texts hold no NUL, and one of each is compared faster than tuples of three.
    """
    return sorted(versions, key=lambda ordinal: "\0".join(versions[ordinal].key))


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
select statement_timestamp() as ingested_at,
       array(select nextval('bronze.raw_entities_id_seq') from generate_series(1, $1)) as ids
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
