import contextlib
from collections.abc import AsyncGenerator
from datetime import UTC, datetime

import pytest

from chassis.bus.delivery import Batch, Delivery
from chassis.bus.records import Record
from chassis.db import Transaction
from contracts.envelope import Event
from contracts.layers import BronzeOperation, BronzeStored
from scanner import metrics
from scanner.adapters.announcements import PostgresAnnouncements
from scanner.adapters.scans import PostgresScans
from scanner.handlers.answers import TakeAnswers
from tests.integration.scanner.harness import SOURCE, Harness

PATH = "Data/2020/a.xml"
RECORD = Record("bronze.stored", 0, 0, None, None, (), 0)


def answer(
    cause: str | None, *, external_id: str = PATH, operation: str = "stored"
) -> Delivery[BronzeStored]:
    event = Event[BronzeStored](
        id="answer",
        type="bronze.stored",
        source="/ingestor",
        time=datetime(2026, 3, 1, tzinfo=UTC),
        causationid=cause,
        data=BronzeStored(
            operation=BronzeOperation(operation),
            entity_type="transcript",
            entity_id="AXP-US/1",
            source_system=SOURCE,
            external_id=external_id,
            version=1,
        ),
    )
    return Delivery(event, RECORD)


async def take(harness: Harness, *deliveries: Delivery[BronzeStored]) -> None:
    @contextlib.asynccontextmanager
    async def settle() -> AsyncGenerator[Transaction]:
        async with harness.database.transaction() as transaction:
            yield transaction

    batch = Batch(deliveries, attempt=1, settle=settle)
    await TakeAnswers([PostgresAnnouncements(harness.database)], harness.clock)(batch)


async def announce(harness: Harness) -> str:
    harness.tree.write(PATH)
    return (await harness.scan()).events[0].id


@pytest.mark.covers("C-02")
async def test_an_answered_announcement_is_ingested(harness: Harness) -> None:
    event_id = await announce(harness)
    await take(harness, answer(event_id))
    assert await harness.states() == {PATH: "ingested"}
    harness.clock.advance(10**6)
    assert await harness.repeater().run([SOURCE]) == 0


@pytest.mark.covers("C-02", "S1-43")
async def test_an_answered_deletion_is_retired(harness: Harness) -> None:
    await take(harness, answer(await announce(harness)))
    harness.tree.write("Data/2020/b.xml")
    harness.tree.delete(PATH)
    harness.clock.advance(60)
    await harness.scan()
    harness.clock.advance(60)
    result = await harness.scan()
    deletion = next(event for event in result.events if event.data.change.value == "deleted")
    await take(harness, answer(deletion.id, operation="tombstoned"))
    assert (await harness.states())[PATH] == "retired"


async def test_an_answer_to_an_older_announcement_changes_nothing(harness: Harness) -> None:
    first = await announce(harness)
    harness.tree.write(PATH, "longer")
    harness.clock.advance(60)
    await harness.scan()
    await take(harness, answer(first))
    assert await harness.states() == {PATH: "announced"}


async def test_an_answer_about_something_else_changes_nothing(harness: Harness) -> None:
    await announce(harness)
    await take(harness, answer("another"), answer(None, external_id="Data/other.xml"))
    assert await harness.states() == {PATH: "announced"}


async def test_an_answer_without_a_cause_is_matched_by_its_path(harness: Harness) -> None:
    await announce(harness)
    await take(harness, answer(None, operation="tombstoned"))
    assert await harness.states() == {PATH: "announced"}
    await take(harness, answer(None))
    assert await harness.states() == {PATH: "ingested"}


@pytest.mark.covers("C-02")
async def test_an_unanswered_announcement_is_repeated_three_times_and_then_reported(
    harness: Harness,
) -> None:
    first = await announce(harness)
    ids = [first]
    harness.clock.advance(3000)
    assert await harness.repeater().run([SOURCE]) == 0
    for _ in range(3):
        harness.clock.advance(3601)
        assert await harness.repeater().run([SOURCE]) == 1
        (event,) = await harness.take_events()
        assert (event.data.change.value, event.data.path) == ("added", PATH)
        ids.append(event.id)
    assert len(set(ids)) == 4
    assert metrics.UNANSWERED.labels(SOURCE)._value.get() == 0
    harness.clock.advance(3601)
    assert await harness.repeater().run([SOURCE]) == 0
    assert metrics.UNANSWERED.labels(SOURCE)._value.get() == 1
    await take(harness, answer(ids[-1]))
    await harness.repeater().run([SOURCE])
    assert metrics.UNANSWERED.labels(SOURCE)._value.get() == 0


async def test_a_repeated_modification_still_holds_both_states(harness: Harness) -> None:
    await take(harness, answer(await announce(harness)))
    harness.tree.write(PATH, "longer")
    harness.clock.advance(60)
    original = (await harness.scan()).events[0].data
    harness.clock.advance(3601)
    assert await harness.repeater().run([SOURCE]) == 1
    (event,) = await harness.take_events()
    assert event.data == original
    # Content that bronze had before makes no version and no answer: no reason for an alert.
    harness.clock.advance(3601 * 4)
    await harness.repeater(limit=0).run([SOURCE])
    assert metrics.UNANSWERED.labels(SOURCE)._value.get() == 0


async def test_two_replicas_repeat_an_announcement_once(harness: Harness) -> None:
    await announce(harness)
    harness.clock.advance(3601)
    assert await harness.repeater().run([SOURCE]) == 1
    assert await harness.repeater().run([SOURCE]) == 0


async def test_old_history_and_long_deleted_files_are_forgotten(harness: Harness) -> None:
    await announce(harness)
    harness.tree.write("Data/2020/b.xml")
    harness.tree.delete(PATH)
    for _ in range(2):
        harness.clock.advance(60)
        await harness.scan()
    harness.clock.advance(60)
    async with harness.database.transaction() as transaction:
        await PostgresScans(harness.database).purge(transaction, before=harness.clock.now())
    assert list(await harness.states()) == ["Data/2020/b.xml"]
    assert await harness.fetch("select * from scanner.scans") == []
