"""Bronze events to silver rows on a real PostgreSQL."""

import asyncio
import contextlib
import dataclasses
import functools
import json
from collections.abc import AsyncGenerator
from decimal import Decimal
from typing import Any

import asyncpg
import pytest
from prometheus_client import REGISTRY

from chassis.db import Transaction
from tests.integration.transformer.hub import Hub, open_hub
from tests.support.eventually import eventually
from tests.unit.transformer.calls import CALL, SECTIONS, document, path_of

PATH = path_of()


@pytest.mark.covers("S2-03", "S2-26")
async def test_a_stored_call_becomes_a_row_its_turns_and_their_story(hub: Hub) -> None:
    await hub.store(CALL, PATH, document(date=None))
    await hub.transform(CALL)

    (row,) = await hub.rows("select * from silver.transcripts")
    stored_at = await hub.value("select ingested_at from bronze.heads")
    assert {key: row[key] for key in ("entity_id", "title", "turn_count", "version_ids")} == {
        "entity_id": CALL,
        "title": "Q1 2024 Earnings Call",
        "turn_count": 3,
        "version_ids": [PATH],
    }
    assert (row["data_quality_score"], row["quality_flags"]) == (
        Decimal("0.95"),
        ["missing_call_date"],
    )
    assert (row["version"], row["updated_at"]) == (1, stored_at)
    assert await hub.rows(
        "select turn_number, kind, speaker_name, word_count from silver.transcript_turns "
        "order by turn_number"
    ) == [
        {"turn_number": 1, "kind": None, "speaker_name": "Operator", "word_count": 3},
        {
            "turn_number": 2,
            "kind": "question",
            "speaker_name": "Ebrahim Poonawala",
            "word_count": 4,
        },
        {"turn_number": 3, "kind": "answer", "speaker_name": "Nadine Ahn", "word_count": 5},
    ]
    assert await hub.rows(
        "select source, external_id, bronze_version, losers from silver.provenance "
        "where entity_type = 'transcript' and entity_id = $1 and field = 'title'",
        CALL,
    ) == [{"source": "corrected", "external_id": PATH, "bronze_version": 1, "losers": []}]
    assert await hub.rows(
        "select version, operation, title, valid_from, valid_to from silver.transcripts_history"
    ) == [
        {
            "version": 1,
            "operation": "upserted",
            "title": "Q1 2024 Earnings Call",
            "valid_from": stored_at,
            "valid_to": None,
        }
    ]
    assert await hub.rows(
        "select entity_id, version, data_quality_score, quality_flags, ruleset_version "
        "from quality.history"
    ) == [
        {
            "entity_id": CALL,
            "version": 1,
            "data_quality_score": Decimal("0.95"),
            "quality_flags": ["missing_call_date"],
            "ruleset_version": 1,
        }
    ]


async def test_the_event_carries_the_lineage_of_its_cause(hub: Hub) -> None:
    await hub.store(CALL, PATH, document())
    event = hub.event(CALL)
    await hub.apply([event])
    (row,) = await hub.rows("select key, value from meta.outbox")
    sent = json.loads(row["value"])
    assert row["key"] == b"transcript/RY-CA/12345"
    assert (sent["correlationid"], sent["causationid"]) == (event.correlationid, event.id)
    assert sent["data"] == {
        "operation": "upserted",
        "entity_type": "transcript",
        "entity_id": CALL,
        "version": 1,
        "quality_score": "1.00",
        "quality_flags": [],
    }


async def test_a_redelivered_event_writes_nothing(hub: Hub) -> None:
    await hub.store(CALL, PATH, document())
    await hub.transform(CALL)
    before = await _physical_state(hub)
    await hub.transform(CALL, CALL)
    assert await _physical_state(hub) == before
    assert len(await hub.announced()) == 1


@pytest.mark.covers("E-05")
async def test_several_events_of_one_call_make_one_recomputation(hub: Hub) -> None:
    await hub.store(CALL, PATH, document())
    await hub.store(CALL, PATH, document(title="Q2 2024 Earnings Call"))
    await hub.transform(CALL, CALL, CALL)
    assert await hub.rows("select version, title from silver.transcripts") == [
        {"version": 1, "title": "Q2 2024 Earnings Call"}
    ]
    assert len(await hub.announced()) == 1


async def _physical_state(hub: Hub) -> list[Any]:
    """Return the row versions of everything that silver keeps."""
    tables = (
        "silver.heads",
        "silver.transcripts",
        "silver.transcript_turns",
        "silver.transcripts_history",
        "silver.origins",
        "quality.history",
    )
    return [
        await hub.rows(f"select ctid::text, xmin::text from {table} order by ctid")
        for table in tables
    ]


async def test_a_change_moves_on_from_the_state_before(hub: Hub) -> None:
    await hub.store(CALL, PATH, document())
    await hub.transform(CALL)
    await hub.store(CALL, PATH, document(title="Q1 2024 Earnings Call", sections=SECTIONS[:1]))
    await hub.transform(CALL)

    assert await hub.value("select version from silver.transcripts") == 2
    assert await hub.value("select count(*) from silver.transcript_turns") == 1
    first, second = await hub.rows(
        "select operation, turn_count, valid_from, valid_to from silver.transcripts_history "
        "order by version"
    )
    assert (first["turn_count"], second["turn_count"]) == (3, 1)
    assert first["valid_to"] == second["valid_from"] > first["valid_from"]
    assert second["valid_to"] is None
    assert [event["version"] for event in await hub.announced()] == [1, 2]


async def test_a_change_of_a_losing_version_is_noted_and_not_announced(hub: Hub) -> None:
    raw = document("Raw", "6")
    await hub.store(CALL, PATH, document())
    await hub.store(CALL, path_of("Raw", "6"), raw)
    await hub.transform(CALL)
    await hub.store(CALL, path_of("Raw", "6"), raw | {"sections": SECTIONS[:1]})
    await hub.transform(CALL)

    assert len(await hub.announced()) == 1
    (row,) = await hub.rows("select version, updated_at from silver.transcripts")
    assert row["version"] == 1
    assert row["updated_at"] == await hub.value("select max(ingested_at) from bronze.heads")
    losers = await hub.value("select losers from silver.provenance where field = 'title'")
    assert [item["bronze_version"] for item in losers] == [2]
    assert await hub.value("select count(*) from silver.transcripts_history") == 1


async def test_deleting_every_file_retires_the_call_and_restoring_brings_it_back(
    hub: Hub,
) -> None:
    await hub.store(CALL, PATH, document())
    await hub.store(CALL, path_of("Raw", "6"), document("Raw", "6"))
    await hub.transform(CALL)
    await hub.delete(CALL, PATH)
    await hub.transform(CALL)
    assert await hub.value("select transcript_type from silver.transcripts") == "Raw"

    await hub.delete(CALL, path_of("Raw", "6"))
    await hub.transform(CALL)
    for table in ("transcripts", "transcript_turns", "provenance"):
        assert await hub.value(f"select count(*) from silver.{table}") == 0
    assert await hub.value("select status from silver.heads") == "retired"

    await hub.store(CALL, PATH, document())
    await hub.transform(CALL)
    assert await hub.value("select version from silver.transcripts") == 4
    assert await hub.value("select count(*) from silver.transcript_turns") == 3
    history = await hub.rows(
        "select version, operation, title, valid_to is null as is_open "
        "from silver.transcripts_history order by version"
    )
    title = "Q1 2024 Earnings Call"
    assert [tuple(row.values()) for row in history] == [
        (1, "upserted", title, False),
        (2, "upserted", title, False),
        (3, "retired", None, False),
        (4, "upserted", title, True),
    ]
    assert [(event["operation"], event["version"]) for event in await hub.announced()] == [
        ("upserted", 1),
        ("upserted", 2),
        ("retired", 3),
        ("upserted", 4),
    ]


@pytest.mark.covers("S2-27", "S2-28")
async def test_a_record_that_breaks_a_validation_is_listed_once_and_the_rest_goes_on(
    hub: Hub,
) -> None:
    await hub.store("BAD/1", "bad.xml", document(sections=[]))
    await hub.store(CALL, PATH, document())
    await hub.transform("BAD/1", CALL)
    await hub.transform("BAD/1", CALL)

    assert await hub.rows("select entity_id from silver.transcripts") == [{"entity_id": CALL}]
    assert await hub.rows(
        "select service, source, external_id, category, error_class, message "
        "from meta.record_errors"
    ) == [
        {
            "service": "transformer",
            "source": "transcript",
            "external_id": "BAD/1",
            "category": "content_validation",
            "error_class": "RejectedRecordError",
            "message": "words_present: nobody says a word in it",
        }
    ]


async def test_a_live_record_that_turns_invalid_leaves_silver_until_it_is_mended(
    hub: Hub,
) -> None:
    for content in (document(), document(sections=[]), document()):
        await hub.store(CALL, PATH, content)
        await hub.transform(CALL)
    rows = await hub.rows(
        "select version, operation from silver.transcripts_history order by version"
    )
    assert [tuple(row.values()) for row in rows] == [
        (1, "upserted"),
        (2, "rejected"),
        (3, "upserted"),
    ]
    assert [event["operation"] for event in await hub.announced()] == [
        "upserted",
        "retired",
        "upserted",
    ]


async def test_events_of_types_without_rules_are_passed_over(hub: Hub) -> None:
    await hub.apply([hub.event("x", entity_type="wrds_partition")])
    assert await hub.value("select count(*) from silver.heads") == 0


async def test_what_was_done_is_counted(hub: Hub) -> None:
    def counted(outcome: str) -> float:
        labels = {"entity_type": "transcript", "outcome": outcome}
        return REGISTRY.get_sample_value("transformer_records_total", labels) or 0.0

    outcomes = ("upserted", "unchanged", "retired", "rejected")
    before = [counted(outcome) for outcome in outcomes]
    await hub.store("A/1", "a.xml", document())
    await hub.store("B/1", "b.xml", document(sections=[]))
    await hub.store("C/1", "c.xml", document())
    await hub.transform("A/1", "B/1", "C/1")
    await hub.delete("C/1", "c.xml")
    await hub.transform("A/1", "C/1")
    after = [counted(outcome) for outcome in outcomes]
    assert [new - old for new, old in zip(after, before, strict=True)] == [2, 1, 1, 1]


@pytest.mark.covers("S2-36", "S2-38")
async def test_the_number_of_statements_does_not_grow_with_the_batch(hub: Hub) -> None:
    async def statements(count: int, content: dict[str, Any]) -> int:
        ids = [f"T/{count}/{number}" for number in range(count)]
        for entity_id in ids:
            await hub.store(entity_id, f"{entity_id}.xml", content)
        seen: list[str] = []

        @contextlib.asynccontextmanager
        async def counting() -> AsyncGenerator[Transaction]:
            async with hub.database.transaction() as transaction:
                connection: Any = transaction.connection
                with connection.query_logger(lambda query: seen.append(query.query)):
                    yield transaction

        await hub.transform(*ids, settle=counting)
        return len(seen)

    await statements(1, document())  # the client asks the server about types once
    assert await statements(40, document()) == await statements(2, document())


async def test_rows_that_stand_where_none_should_are_mended(hub: Hub) -> None:
    await hub.store("A/1", "a.xml", document())
    await hub.transform("A/1")
    before = await hub.digests()
    await hub.execute("truncate silver.heads, silver.transcripts_history, quality.history")
    await hub.execute("update silver.transcripts set title = 'by hand'")
    assert await hub.digests() != before

    await hub.store("B/1", "b.xml", document())
    await hub.transform("A/1", "B/1")

    assert await hub.rows(
        "select entity_id, title, version from silver.transcripts order by 1"
    ) == [
        {"entity_id": "A/1", "title": "Q1 2024 Earnings Call", "version": 1},
        {"entity_id": "B/1", "title": "Q1 2024 Earnings Call", "version": 1},
    ]
    assert await hub.value("select count(*) from silver.transcripts_history") == 2


async def test_who_is_forgotten_goes_on_where_the_history_ends(hub: Hub) -> None:
    titles = ("Q1 2024 Earnings Call", "Q2 2024 Earnings Call")
    for title in titles:
        for name in ("b", "d"):
            await hub.store(name, f"{name}.xml", document(title=title))
        await hub.transform("b", "d")
    await hub.execute("truncate silver.heads, silver.transcripts, silver.origins cascade")

    # Before, between and behind those that have a history.
    ids = ("a", "b", "c", "d", "e")
    for name in ids:
        await hub.store(name, f"{name}.xml", document())
    await hub.transform(*ids)

    assert [
        tuple(row.values())
        for row in await hub.rows("select entity_id, version from silver.transcripts order by 1")
    ] == [("a", 1), ("b", 3), ("c", 1), ("d", 3), ("e", 1)]


_OTHERS = 20_000


@pytest.mark.covers("S2-38")
@pytest.mark.parametrize("known", ["analyze", "select 1"])
async def test_a_batch_reads_no_more_where_there_are_more_entities(hub: Hub, known: str) -> None:
    # Whether the server's statistics know of them or not: in a load they are behind.
    await hub.execute(known)
    await hub.execute(
        "insert into silver.heads (entity_type, entity_id) "
        f"select 'transcript', 'O/' || n from generate_series(1, {_OTHERS}) n"
    )
    await hub.execute(
        "insert into bronze.heads (entity_type, source_system, external_id, entity_id, version, "
        "content_hash, is_deleted, ingested_at, raw_id) "
        "select 'transcript', 'nas', n || '.xml', 'O/' || n, 1, '', false, now(), -n "
        f"from generate_series(1, {_OTHERS}) n"
    )
    await hub.execute(
        "insert into silver.transcripts_history (entity_id, version, operation, valid_from) "
        f"select 'O/' || n, 1, 'retired', now() from generate_series(1, {_OTHERS}) n"
    )
    await hub.execute(known)
    read = 0

    @contextlib.asynccontextmanager
    async def metered() -> AsyncGenerator[Transaction]:
        nonlocal read
        async with hub.database.transaction() as transaction:
            yield transaction
            read = await transaction.connection.fetchval(
                "select sum(seq_tup_read) from pg_stat_xact_user_tables "
                "where relname in ('heads', 'transcripts_history')"
            )

    ids = [f"T/{number}" for number in range(300)]
    for content in (document(), document(title="Full Year 2020 Earnings Call")):
        for entity_id in ids:
            await hub.store(entity_id, f"{entity_id}.xml", content)
        await hub.transform(*ids, settle=metered)
        assert read < _OTHERS
    for entity_id in ids:
        await hub.delete(entity_id, f"{entity_id}.xml")
    await hub.transform(*ids, settle=metered)
    assert read < _OTHERS


async def test_replaying_bronze_gives_the_same_silver(hub: Hub) -> None:
    await _make_history(hub)
    before = await hub.digests()
    rows = await hub.rows("select entity_id from bronze.heads")
    await hub.execute("truncate silver.heads, silver.transcripts, silver.origins cascade")
    assert await hub.digests() != before

    for row in reversed(rows):
        await hub.transform(row["entity_id"])
    assert await hub.digests() == before


async def _make_history(hub: Hub) -> None:
    await hub.store("A/1", "a-raw.xml", document("Raw", "1"))
    await hub.transform("A/1")
    await hub.store(
        "A/1", "a.xml", document("Corrected", "2", title="Full Year 2020 Earnings Call")
    )
    await hub.store("B/1", "b.xml", document(sections=[]))
    await hub.transform("A/1", "B/1")
    await hub.store("B/1", "b.xml", document(date="bad"))
    await hub.store("C/1", "c.xml", document())
    await hub.transform("C/1", "B/1")
    await hub.delete("C/1", "c.xml")
    await hub.delete("A/1", "a-raw.xml")
    await hub.transform("A/1", "C/1")


async def test_a_digest_sees_every_column_but_the_version(hub: Hub) -> None:
    await hub.store(CALL, PATH, document())
    await hub.transform(CALL)
    before = await hub.digests()
    await hub.execute("update silver.transcripts set version = 9")
    assert await hub.digests() == before
    await hub.execute("update silver.transcripts set updated_at = updated_at + interval '1 us'")
    await hub.execute("update silver.transcript_turns set text = 'x' where turn_number = 2")
    after = await hub.digests()
    assert after["transcripts"] != before["transcripts"]
    assert after["transcript_turns"] != before["transcript_turns"]
    assert after["provenance"] == before["provenance"]


async def test_two_batches_over_the_same_calls_end_with_the_newest_bronze(
    hub: Hub, database_url: str
) -> None:
    ids = [f"T/{number:02}" for number in range(12)]
    async with open_hub(database_url, hub.entities, chunk=5) as other:
        for round_number in range(6):
            for entity_id in ids:
                await hub.store(
                    entity_id, f"{entity_id}.xml", document(title=f"Round {round_number}")
                )
            forwards = asyncio.gather(*(hub.transform(*ids) for _ in range(2)))
            await asyncio.gather(forwards, other.transform(*reversed(ids)))
    titles = await hub.rows("select distinct title, version from silver.transcripts")
    assert titles == [{"title": "Round 5", "version": 6}]
    assert len(await hub.announced()) == 6 * len(ids)


async def test_a_batch_that_waited_for_another_sees_what_came_in_between(
    hub: Hub, database_url: str
) -> None:
    await hub.store(CALL, PATH, document(title="old"))
    entity = hub.entities["transcript"]
    async with open_hub(database_url, hub.entities) as other:
        async with hub.database.transaction() as first:
            await hub.recompute.apply(first, entity, [CALL])
            second = asyncio.gather(other.transform(CALL))
            await eventually(functools.partial(_somebody_waits_for_a_lock, hub))
            await hub.store(CALL, PATH, document(title="new"))
        await second
    assert await hub.value("select title from silver.transcripts") == "new"


async def _somebody_waits_for_a_lock(hub: Hub) -> bool:
    return bool(
        await hub.value(
            "select count(*) from pg_stat_activity "
            "where datname = current_database() and wait_event_type = 'Lock'"
        )
    )


async def test_a_reader_never_sees_half_a_call(hub: Hub, database_url: str) -> None:
    short, long = document(sections=SECTIONS[:1]), document(sections=SECTIONS * 20)
    halves: list[Any] = []
    done = asyncio.Event()

    async def read() -> int:
        connection = await asyncpg.connect(database_url)
        reads = 0
        try:
            while not done.is_set():
                halves.extend(
                    await connection.fetch(
                        "select c.turn_count, count(t.*) from silver.transcripts c "
                        "left join silver.transcript_turns t using (entity_id) "
                        "group by c.entity_id having c.turn_count <> count(t.*)"
                    )
                )
                reads += 1
        finally:
            await connection.close()
        return reads

    async def write() -> None:
        for content in [short, long] * 10:
            await hub.store(CALL, PATH, content)
            await hub.transform(CALL)
        done.set()

    async with asyncio.TaskGroup() as group:
        reading = group.create_task(read())
        group.create_task(write())
    assert halves == []
    assert reading.result() > 20


async def test_new_rules_are_applied_to_what_is_there(hub: Hub, database_url: str) -> None:
    await hub.store(CALL, PATH, document())
    await hub.transform(CALL)
    entity = hub.entities["transcript"]
    config = entity.config.model_copy(update={"ruleset_version": 2})
    newer = {"transcript": dataclasses.replace(entity, config=config)}
    async with open_hub(database_url, newer) as other:
        await other.transform(CALL)
    assert await hub.rows("select version, ruleset_version from silver.transcripts") == [
        {"version": 1, "ruleset_version": 2}
    ]
    assert await hub.rows(
        "select version, ruleset_version from quality.history order by ruleset_version"
    ) == [{"version": 1, "ruleset_version": 1}, {"version": 1, "ruleset_version": 2}]
    assert len(await hub.announced()) == 1
