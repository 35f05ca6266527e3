"""What is rejected is kept once, and comes back as it was: by run, by command, after a crash."""

import os
import signal
import subprocess
import sys
import uuid
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from chassis.bus import positions
from chassis.bus.delivery import Batch
from chassis.clock import SystemClock
from chassis.dead_letters.commands import replay_handler, submit_replays
from chassis.dead_letters.letters import count_letters, find_letters, get_letter, group_letters
from chassis.dead_letters.model import LetterFilter
from chassis.errors import PermanentError, TransientError
from chassis.runs import submit
from contracts import dead_letters as header
from contracts.topics import MAX_MESSAGE_BYTES, REPLAY_REQUESTED
from tests.support.batches import bare, batch_of
from tests.support.databases import opened
from tests.support.letters import DEAD, TOPIC, Reader, accept, encoded
from tests.support.paths import PROJECT
from tests.support.runs import fetch, run_row, shorten_waits, until_idle

HOSTILE = (
    ("x-note", b"\xff\xfe no text"),
    ("nul\x00name", b"nul\x00value"),
    ("twice", b"1"),
    ("twice", b"2"),
    ("nothing", None),
)


@pytest.fixture
async def reader(database_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[Reader]:
    shorten_waits(monkeypatch)
    async with opened(database_url, "reader") as database:
        async with database.connection() as connection:
            await connection.execute(
                "create table applied (id bigint generated always as identity, path text)"
            )
        yield Reader(database)


async def test_what_is_rejected_stands_once_in_the_table_and_in_the_topic(reader: Reader) -> None:
    failures = [TransientError("away"), TransientError("still away")]

    async def handler(batch: Batch[Any]) -> None:
        for item in batch.deliveries:
            if item.data.path != "good":
                batch.reject(item, PermanentError(f"{item.data.path} is refused"))
        async with batch.transaction():
            if failures:
                raise failures.pop()

    reader.handler = handler
    records = [reader.record("bad"), reader.record("good"), reader.raw(b"\xff no event")]
    await reader.read(*records)

    refused, unreadable = await reader.letters()
    first, second = await reader.dead_messages()
    assert (refused["message"], refused["attempts"]) == ("bad is refused", 3)
    assert (refused["event_id"], refused["status"], refused["replays"]) == ("event-bad", "open", 0)
    assert unreadable["category"] == "message_decode"
    assert first["headers"][header.LETTER_ID] == str(refused["id"])
    assert first["headers"] == refused["headers"]
    assert (first["key"], first["value"]) == (b"k", records[0].value)
    assert second["value"] == unreadable["value"] == b"\xff no event"

    # The log is read again from its beginning: the same records are rejected again.
    async with reader.database.connection() as connection:
        await positions.reset(connection, "reader", TOPIC.name, partition=0, next_offset=0)
    await reader.read(*records)
    assert len(await reader.letters()) == len(await reader.dead_messages()) == 2


async def test_a_replay_is_the_original_byte_by_byte_for_its_consumer_alone(reader: Reader) -> None:
    value, headers = encoded("nas/f1")
    body = value + b" " * (MAX_MESSAGE_BYTES - len(value))
    await reader.read(
        reader.raw(body, [*headers, *HOSTILE], key=None),
        reader.raw(b"\x00\xff" * 1000, [(header.REPLAY_FOR, b"reader")], key=b"\xff\x00"),
        reader.raw(None, key=b""),
    )
    run = await reader.replay(reason="repaired")
    assert (run["status"], run["counts"]["changed"], run["counts"]["failed"]) == ("completed", 3, 0)

    first, second, third = sent = await reader.sent()
    assert (first.key, first.value) == (None, body)
    assert (second.key, second.value) == (b"\xff\x00", b"\x00\xff" * 1000)
    assert (third.key, third.value) == (b"", None)
    letters = await reader.letters()
    added = [(header.REPLAY_OF, str(letters[0]["id"]).encode())]
    added += [(header.REPLAY_COUNT, b"1"), (header.REPLAY_FOR, b"reader")]
    assert list(first.headers) == [*headers, *HOSTILE, *added]
    assert len(second.headers) == 3, "what an earlier replay had added is not kept twice"
    assert {row["status"] for row in letters} == {"replayed"}
    assert {(row["decided_by"], row["decision_reason"]) for row in letters} == {("mia", "repaired")}
    assert {row["run_id"] for row in letters} == {run["run_id"]}
    assert all(row["decided_at"] for row in letters)

    other = Reader(reader.database, accept, consumer="other")
    await other.read(*sent)
    assert await reader.applied() == []
    assert (
        await fetch(reader.database, "select * from meta.dead_letters where consumer = 'other'")
        == []
    )
    (position,) = await fetch(
        reader.database, "select next_offset from meta.consumer_positions where consumer = 'other'"
    )
    assert position["next_offset"] == third.offset + 1, "what is skipped is behind it"

    reader.handler = accept
    await reader.read(first)
    assert await reader.applied() == ["nas/f1"]


async def test_a_message_that_fails_again_is_a_new_letter_and_the_fourth_replay_is_refused(
    reader: Reader,
) -> None:
    await reader.refused("f")
    for count in range(1, 4):
        await reader.replay()
        (record,) = await reader.sent()
        # The relay may publish one twice; it is one letter all the same.
        await reader.read(record, record._replace(offset=record.offset + 100))
        await fetch(
            reader.database, "update meta.consumer_positions set next_offset = 0 returning 1"
        )
        *before, last = await reader.letters()
        assert (last["replays"], last["status"]) == (count, "open")
        assert last["replay_of"] == before[-1]["id"]
        assert len(before) == count == len(await reader.dead_messages()) - 1

    run = await reader.replay()

    assert await reader.sent() == []
    assert (run["status"], run["counts"]["failed"]) == ("completed-with-errors", 1)
    (noted,) = await fetch(reader.database, "select * from meta.record_errors")
    assert noted["external_id"] == str(last["id"])
    assert noted["message"] == (
        "the message was replayed 3 times and failed each time; discard the letter, or have its "
        "source send the message anew"
    )
    assert (await reader.letters())[-1]["status"] == "open"


async def test_filters_choose_a_dry_run_touches_nothing_and_discarding_sends_nothing(
    reader: Reader,
) -> None:
    await reader.refused("f1", "f2", "f3")
    await reader.read(reader.raw(b"no event"))
    ids = [str(row["id"]) for row in await reader.letters()]

    run = await reader.replay(dry_run=True, category="main_execution")
    assert (run["counts"]["processed"], run["counts"]["changed"], run["total"]) == (3, 3, 3)
    assert await reader.sent() == []
    assert {row["status"] for row in await reader.letters()} == {"open"}

    await reader.replay(event_ids=["event-f1"])
    await reader.replay(letter_ids=[ids[1]], error_class="NoSuchError")
    await reader.replay(failed_before="2020-01-01T00:00:00Z")
    await reader.replay(drift_id=str(uuid.uuid4()))
    assert len(await reader.sent()) == 1
    run = await reader.replay(letter_ids=ids[1:3], action="discard", reason="test data")
    assert run["counts"]["deleted"] == 2

    statuses = [row["status"] for row in await reader.letters()]
    assert statuses == ["replayed", "discarded", "discarded", "open"]
    assert await reader.sent() == []
    audit = await fetch(reader.database, "select * from meta.audit order by id")
    assert [row["action"] for row in audit] == ["dead-letters.replay"] * 5 + [
        "dead-letters.discard"
    ]
    assert {(row["service"], row["actor"], row["subject"]) for row in audit} == {
        ("reader", "mia", DEAD)
    }
    assert audit[0]["details"]["dry_run"] is True
    last = audit[-1]["details"]
    assert (last["discarded"], last["replayed"], last["refused"]) == (2, 0, 0)
    assert (last["reason"], last["filter"]["letter_ids"]) == ("test data", ids[1:3])


async def test_letters_are_listed_page_by_page_without_bodies_and_counted_by_reason(
    reader: Reader,
) -> None:
    await reader.refused("f1", "f2")
    await reader.read(reader.raw(b"no event"))
    everything = LetterFilter(consumer="reader", topic=TOPIC.name)

    async with reader.database.connection() as connection:
        (newest,) = await find_letters(connection, everything, limit=1)
        older = await find_letters(
            connection, everything, limit=9, before=(newest.failed_at, newest.id)
        )
        refused, unreadable = await group_letters(connection, everything)
        assert await count_letters(connection, LetterFilter(category="message_decode")) == 1
        whole = await get_letter(connection, newest.id)

    assert {newest.offset, *(letter.offset for letter in older)} == {0, 1, 2}
    assert newest.offset == 2
    assert (newest.value, newest.size) == (None, 8)
    assert whole is not None
    assert whole.value == b"no event"
    assert (refused.count, refused.error_class) == (2, "PermanentError")
    assert refused.message in ("f1 is refused", "f2 is refused")
    assert (unreadable.count, unreadable.newest_at) == (1, newest.failed_at)


async def test_letters_of_a_schema_drift_are_replayed_together(reader: Reader) -> None:
    drift = uuid.uuid4()

    async def handler(batch: Batch[Any]) -> None:
        for item in batch.deliveries:
            batch.reject(item, PermanentError("held back", drift_id=drift))

    await reader.refused("f1")
    reader.handler = handler
    await reader.refused("f2", "f3")
    assert [row["drift_id"] for row in await reader.letters()] == [None, drift, drift]

    async with reader.database.transaction() as transaction:
        run_ids = await submit_replays(
            transaction, service="reader", drift_id=drift, requester="mia", topics=[TOPIC]
        )
    await until_idle(reader.worker())

    assert [(await run_row(reader.database, item))["status"] for item in run_ids] == ["completed"]
    assert [row["status"] for row in await reader.letters()] == ["open", "replayed", "replayed"]


@pytest.mark.parametrize("failpoint", ["replay.before_commit:2", "replay.after_commit"])
async def test_a_killed_replay_loses_nothing_and_doubles_nothing(
    reader: Reader, database_url: str, failpoint: str
) -> None:
    paths = [f"f{number}" for number in range(5)]
    await reader.refused(*paths)
    async with reader.database.transaction() as transaction:
        run_id = await submit(
            transaction, service="reader", kind="replay", target=DEAD, parameters={"topic": DEAD}
        )
    killed = subprocess.run(  # noqa: ASYNC221 - nothing else is to happen meanwhile
        [sys.executable, "-m", "tests.support.replay_worker", database_url],
        cwd=PROJECT,
        env={**os.environ, "PENSTOCK_FAILPOINT": failpoint},  # noqa: TID251 - for a child
        check=False,
        timeout=60,
    )
    assert killed.returncode == -signal.SIGKILL
    assert [row["status"] for row in await reader.letters()] == ["replayed"] * 2 + ["open"] * 3

    await until_idle(reader.worker())

    run = await run_row(reader.database, run_id)
    assert (run["status"], run["attempts"]) == ("completed", 2)
    assert (run["counts"]["changed"], run["total"]) == (5, 5)
    reader.handler = accept
    await reader.read(*await reader.sent())
    assert await reader.applied() == paths
    assert len(await fetch(reader.database, "select * from meta.audit")) == 1


# --- the command


async def replay_command(reader: Reader, service: str, topic: str) -> Batch[Any]:
    delivery = bare(REPLAY_REQUESTED, {"topic": topic, "requester": "mia"})
    batch = batch_of(reader.database, [delivery])
    await replay_handler(service=service, clock=SystemClock())(batch)
    return batch


async def test_the_service_that_the_topic_names_answers_and_the_others_are_silent(
    reader: Reader,
) -> None:
    for service in REPLAY_REQUESTED.consumers:
        batch = await replay_command(reader, service, "wrds-sync.requested.wrds-sync.dead")
        assert not batch.rejected

    (command,) = await fetch(reader.database, "select * from meta.commands")
    (run,) = await fetch(reader.database, "select * from meta.runs")
    assert (command["service"], run["service"], run["kind"]) == ("wrds_sync", "wrds_sync", "replay")
    assert run["target"] == "wrds-sync.requested.wrds-sync.dead"


@pytest.mark.parametrize(
    ("topic", "refuser"),
    [
        ("silver.changed.ingestor.dead", "ingestor"),
        ("file.changed.nobody.dead", "scanner"),
        ("file.changed", "scanner"),
    ],
)
async def test_a_topic_that_there_is_not_is_refused_by_one_service(
    reader: Reader, topic: str, refuser: str
) -> None:
    refusers = [
        service
        for service in REPLAY_REQUESTED.consumers
        if (await replay_command(reader, service, topic)).rejected
    ]

    assert refusers == [refuser]
    assert await fetch(reader.database, "select * from meta.runs") == []
