"""What must hold afterwards, read from the stores alone: nothing lost, nothing done twice."""

from collections import Counter
from dataclasses import dataclass

import asyncpg
from aiokafka import AIOKafkaConsumer

from contracts.topics import FILE_CHANGED
from tests.support.estate import Estate, call_of

_QUIET_MS = 2000


@dataclass(frozen=True, slots=True)
class Stores:
    """Where to look."""

    database_url: str
    bootstrap_servers: str


async def violations(stores: Stores, estate: Estate) -> list[str]:
    """Return every way in which the stores differ from what happened on the share."""
    connection = await asyncpg.connect(stores.database_url)
    try:
        return [
            *await _bronze(connection, estate),
            *await _silver(connection, estate),
            *await _left_over(connection),
            *await _events(stores.bootstrap_servers, estate),
        ]
    finally:
        await connection.close()


async def _bronze(connection: "asyncpg.Connection[asyncpg.Record]", estate: Estate) -> list[str]:
    rows = await connection.fetch(
        "select external_id, array_agg(blob_sha256 order by version) as states, "
        "array_agg(version order by version) as versions "
        "from bronze.raw_entities group by external_id"
    )
    found = {row["external_id"]: list(row["states"]) for row in rows}
    problems = [
        f"bronze {path}: versions {found.get(path)} instead of {states}"
        for path, states in estate.states.items()
        if found.get(path) != states
    ]
    problems += [f"bronze {path}: never existed" for path in set(found) - set(estate.states)]
    problems += [
        f"bronze {row['external_id']}: version numbers {row['versions']}"
        for row in rows
        if list(row["versions"]) != list(range(1, len(row["versions"]) + 1))
    ]
    return problems


async def _silver(connection: "asyncpg.Connection[asyncpg.Record]", estate: Estate) -> list[str]:
    rows = await connection.fetch(
        "select entity_id, (select count(*) from silver.transcript_turns turn "
        "where turn.entity_id = call.entity_id) as turns from silver.transcripts call"
    )
    found = {row["entity_id"]: row["turns"] for row in rows}
    expected = {call_of(path): 2 for path in estate.living()}
    problems = [f"silver {call}: missing" for call in expected.keys() - found.keys()]
    problems += [f"silver {call}: should be retired" for call in found.keys() - expected.keys()]
    problems += [f"silver {call}: {turns} turns" for call, turns in found.items() if turns != 2]
    history = await connection.fetch(
        "select entity_id, array_agg(operation order by version) as operations "
        "from silver.transcripts_history group by entity_id"
    )
    states = {row["entity_id"]: list(row["operations"]) for row in history}
    for path, expected_states in estate.states.items():
        operations = ["retired" if state is None else "upserted" for state in expected_states]
        if states.get(call_of(path)) != operations:
            problems.append(f"history {path}: {states.get(call_of(path))} instead of {operations}")
    return problems


async def _left_over(connection: "asyncpg.Connection[asyncpg.Record]") -> list[str]:
    # Scans go on and report their progress, so a few young events are always on their way.
    waiting = await connection.fetchval(
        "select count(*) from meta.outbox "
        "where created_at < clock_timestamp() - interval '15 seconds'"
    )
    failed = await connection.fetchval("select count(*) from meta.record_errors")
    problems = [f"outbox: {waiting} events were never sent"] if waiting else []
    return problems + ([f"record errors: {failed}"] if failed else [])


async def _events(bootstrap_servers: str, estate: Estate) -> list[str]:
    """A repeated publication is the same event: one id, one state, however many copies."""
    ids: dict[str, Counter[str]] = {}
    for record in await read_topic(bootstrap_servers, FILE_CHANGED.name):
        headers = dict(record[1])
        ids.setdefault(record[0], Counter())[headers["ce_id"].decode()] += 1
    problems = []
    for path, states in estate.states.items():
        distinct = len(ids.get(f"transcripts/{path}", ()))
        if distinct != len(states):
            problems.append(f"events {path}: {distinct} distinct events for {len(states)} changes")
    return problems


async def read_topic(
    bootstrap_servers: str, topic: str
) -> list[tuple[str, tuple[tuple[str, bytes], ...]]]:
    """Return (key, headers) of every record of a topic."""
    consumer = AIOKafkaConsumer(
        topic,
        bootstrap_servers=bootstrap_servers,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    )
    await consumer.start()
    try:
        partitions = consumer.assignment()
        ends = await consumer.end_offsets(partitions)
        records: list[tuple[str, tuple[tuple[str, bytes], ...]]] = []
        while any([await consumer.position(tp) < end for tp, end in ends.items()]):
            polled = await consumer.getmany(timeout_ms=_QUIET_MS)
            for batch in polled.values():
                records.extend((record.key.decode(), tuple(record.headers)) for record in batch)
        return records
    finally:
        await consumer.stop()
