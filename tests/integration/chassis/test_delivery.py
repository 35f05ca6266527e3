"""The delivery policy on a real broker and a real database (DESIGN, delivery)."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Mapping
from dataclasses import replace
from functools import partial

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from chassis.bus import positions
from chassis.bus.broker import Bus
from chassis.bus.delivery import Batch
from chassis.errors import PermanentError, TransientError
from contracts import dead_letters as header
from contracts.files import FileChanged
from tests.support.addresses import KafkaAddress
from tests.support.eventually import eventually
from tests.support.hub import Hub, open_hub, record


@pytest.fixture
async def hub(kafka: KafkaAddress, database_url: str, topic_prefix: str) -> AsyncGenerator[Hub]:
    async with open_hub(kafka, database_url, topic_prefix) as opened:
        yield opened


def once(count: int, *, start: int = 0) -> list[tuple[str, int]]:
    return sorted((f"f{number}", 1) for number in range(start, count))


def paths(count: int, *, start: int = 0) -> list[str]:
    return [f"f{number}" for number in range(start, count)]


async def test_every_published_event_is_applied_once(hub: Hub) -> None:
    await hub.publish(paths(1200))

    async with hub.relaying(), hub.consuming(record):
        await eventually(partial(_applied_is, hub, once(1200)), timeout=30)

    async with hub.producer.connection() as connection:
        assert await connection.fetchval("select count(*) from meta.outbox") == 0


async def test_a_restart_does_not_apply_again_even_when_kafka_forgot_the_offsets(hub: Hub) -> None:
    await hub.publish(paths(50))
    async with hub.relaying():
        async with hub.consuming(record):
            await eventually(partial(_applied_is, hub, once(50)), timeout=30)
        await _forget_offsets(hub)
        await hub.publish(paths(60, start=50))
        async with hub.consuming(record):
            await eventually(partial(_applied_is, hub, once(60)), timeout=30)


async def test_an_unreadable_message_is_dead_lettered_and_blocks_nothing(hub: Hub) -> None:
    await hub.send_raw(b"\xff not json", partition=0)
    await hub.publish(paths(20))

    async with hub.relaying(), hub.consuming(record):
        await eventually(partial(_applied_is, hub, once(20)), timeout=30)
        (dead,) = await hub.dead_letters(1)

    headers = {name: value.decode() for name, value in dead.headers}
    assert dead.value == b"\xff not json"
    assert dead.key == b"k"
    assert headers[header.CATEGORY] == "message_decode"
    assert headers[header.TOPIC] == hub.topic.name
    assert (headers[header.PARTITION], headers[header.OFFSET]) == ("0", "0")
    assert headers[header.CONSUMER] == "reader"


@pytest.mark.parametrize(
    ("error", "category"),
    [
        (PermanentError("seven is refused"), "main_execution"),
        (ValueError("a bug"), "main_execution"),
    ],
    ids=["permanent", "bug"],
)
async def test_the_message_that_fails_is_found_and_the_rest_applied(
    hub: Hub, error: Exception, category: str
) -> None:
    async def handler(batch: Batch[FileChanged]) -> None:
        if any(item.data.path == "f7" for item in batch.deliveries):
            raise error
        await record(batch)

    await hub.publish(paths(40))
    async with hub.relaying(), hub.consuming(handler):
        expected = [item for item in once(40) if item[0] != "f7"]
        await eventually(partial(_applied_is, hub, expected), timeout=30)
        (dead,) = await hub.dead_letters(1)

    headers = {name: value.decode() for name, value in dead.headers}
    assert b'"f7"' in dead.value
    assert headers[header.ERROR_CLASS] == type(error).__name__
    assert headers[header.MESSAGE] == str(error)
    assert headers[header.CATEGORY] == category


async def test_a_rejected_message_leaves_with_the_batch_that_goes_on(hub: Hub) -> None:
    calls = Counter[str]()

    async def handler(batch: Batch[FileChanged]) -> None:
        for item in batch.deliveries:
            calls[item.data.path] += 1
            if item.data.path == "f3":
                batch.reject(item, PermanentError("refused"))
        await record(batch)

    await hub.publish(paths(10))
    async with hub.relaying(), hub.consuming(handler):
        expected = [item for item in once(10) if item[0] != "f3"]
        await eventually(partial(_applied_is, hub, expected), timeout=30)
        await hub.dead_letters(1)

    assert calls["f3"] == 1, "a rejected message is not tried again"


async def test_a_failing_partition_waits_while_the_others_go_on(hub: Hub) -> None:
    is_down = True
    failed: set[int] = set()

    async def handler(batch: Batch[FileChanged]) -> None:
        if is_down and any(item.data.path == "f0" for item in batch.deliveries):
            failed.update(item.record.partition for item in batch.deliveries)
            raise TransientError("the dependency is away")
        await record(batch)

    await hub.publish(paths(30))
    async with hub.relaying(), hub.consuming(handler) as bus:
        await eventually(partial(_others_applied, hub, bus.subscriptions[0]._lanes), timeout=30)
        assert "f0" not in dict(await hub.applied())
        is_down = False
        await eventually(partial(_applied_is, hub, once(30)), timeout=40)


async def test_what_was_polled_while_its_partition_waited_is_read_again(hub: Hub) -> None:
    small = replace(hub, kafka=hub.kafka.model_copy(update={"batch_max_records": 5}))
    sizes: list[int] = []

    async def handler(batch: Batch[FileChanged]) -> None:
        sizes.append(len(batch.deliveries))
        # Meanwhile the rest of the log is polled and, when this batch has failed, left out.
        await asyncio.sleep(0.2)
        if batch.attempt == 1:
            raise TransientError("the dependency is away")
        await record(batch)

    async with hub.relaying():
        await hub.publish(["same"] * 10)
        await eventually(partial(_outbox_is_empty, hub), timeout=20)
        async with small.consuming(handler):
            await eventually(partial(_count_is, hub, 10), timeout=30)

    assert max(sizes) == 5, "the log was more than a batch"


async def _others_applied(hub: Hub, lanes: Mapping[int, object]) -> bool:
    done = dict(await hub.applied())
    return len(lanes) == 1 and 0 < len(done) < 30 and "f0" not in done


async def test_a_recreated_topic_is_read_from_its_start_not_skipped(hub: Hub) -> None:
    async with hub.relaying():
        await hub.publish(paths(30))
        async with hub.consuming(record):
            await eventually(partial(_applied_is, hub, once(30)), timeout=30)
        await _recreate(hub)
        # Fewer records than before: every stored position lies beyond the new log's end.
        await hub.publish(paths(33, start=30))
        async with hub.consuming(record):
            await eventually(partial(_applied_is, hub, once(33)), timeout=30)


async def test_a_recreated_topic_that_grew_past_the_old_position_is_recognised(hub: Hub) -> None:
    async with hub.relaying():
        await hub.publish(paths(30))
        async with hub.consuming(record):
            await eventually(partial(_applied_is, hub, once(30)), timeout=30)
        await _recreate(hub)
        # More records than before: only the anchor tells the new log from the old one.
        await hub.publish(paths(230, start=30))
        await eventually(partial(_outbox_is_empty, hub), timeout=20)
        async with hub.consuming(record):
            await eventually(partial(_applied_is, hub, once(230)), timeout=30)


async def test_a_topic_recreated_under_a_running_consumer_is_recognised(hub: Hub) -> None:
    async with hub.relaying():
        await hub.publish(paths(30))
        async with hub.consuming(record):
            await eventually(partial(_applied_is, hub, once(30)), timeout=30)
            await _recreate(hub)
            await hub.publish(paths(33, start=30))
            await eventually(partial(_applied_is, hub, once(33)), timeout=60)


async def test_a_consumer_that_lost_its_partition_writes_nothing(hub: Hub) -> None:
    entered, release = asyncio.Event(), asyncio.Event()

    async def slow(batch: Batch[FileChanged]) -> None:
        entered.set()
        await release.wait()
        await record(batch)

    await hub.publish(["f0"])
    async with hub.relaying(), hub.consuming(slow):
        await entered.wait()
        # Another member applied the same record meanwhile.
        async with hub.producer.connection() as connection:
            await connection.execute("update meta.consumer_positions set next_offset = 1")
        release.set()
        await asyncio.sleep(1)
        assert await hub.applied() == []


async def test_two_members_share_the_work_and_hand_it_over_without_a_double_effect(
    hub: Hub,
) -> None:
    async def steady(batch: Batch[FileChanged]) -> None:
        await asyncio.sleep(0.02)
        await record(batch)

    async with hub.relaying(), hub.consuming(steady):
        await hub.publish(paths(300))
        async with hub.consuming(steady):
            await hub.publish(paths(600, start=300))
            await asyncio.sleep(1)
        await hub.publish(paths(900, start=600))
        await eventually(partial(_applied_is, hub, once(900)), timeout=60)


async def test_a_service_with_several_topics_hears_all_of_them_in_every_replica(
    hub: Hub, topic_prefix: str
) -> None:
    others = [replace(hub.topic, name=f"{topic_prefix}{name}") for name in ("second", "third")]
    for topic in others:
        await hub.create_topic(topic)

    async with (
        hub.relaying(),
        hub.consuming(record, *others) as first,
        hub.consuming(record, *others) as second,
    ):
        await eventually(partial(_share, first, second), timeout=30)
        await hub.publish(paths(100))
        await hub.publish(paths(200, start=100), to=others[0])
        await hub.publish(paths(300, start=200), to=others[1])
        await eventually(partial(_applied_is, hub, once(300)), timeout=90)


def _share(*replicas: Bus) -> bool:
    """Whether the nine partitions are all taken, by every replica some."""
    shares = [sum(len(item._cursors) for item in bus.subscriptions) for bus in replicas]
    return sum(shares) == 9 and min(shares) > 0


async def test_events_of_one_key_keep_the_order_of_their_commits(hub: Hub) -> None:
    async with hub.relaying(), hub.consuming(record):
        for _ in range(5):
            await hub.publish(["same"] * 20)
        await eventually(partial(_count_is, hub, 100), timeout=30)

    async with hub.producer.connection() as connection:
        rows = await connection.fetch("select sequence from applied order by id")
    sequences = [row["sequence"] for row in rows]
    assert sequences == sorted(sequences)
    assert len(set(sequences)) == 100


async def test_a_batch_opens_its_transaction_once(hub: Hub) -> None:
    seen: list[str] = []

    async def twice(batch: Batch[FileChanged]) -> None:
        async with batch.transaction():
            pass
        try:
            async with batch.transaction():
                pass
        except RuntimeError as error:
            seen.append(str(error))

    await hub.publish(["f0"])
    async with hub.relaying(), hub.consuming(twice):
        await eventually(lambda: bool(seen), timeout=20)
    assert seen == ["a batch has one transaction"]


async def test_a_stored_position_beyond_the_first_record_is_refused(hub: Hub) -> None:
    async with hub.producer.connection() as connection:
        await positions.reset(connection, "reader", hub.topic.name, partition=0, next_offset=5)
        loaded = await positions.load(connection, "reader", hub.topic.name, partitions=[0, 1])
    assert loaded == {0: positions.Position(5, None)}


async def _applied_is(hub: Hub, expected: list[tuple[str, int]]) -> bool:
    return await hub.applied() == expected


async def _count_is(hub: Hub, count: int) -> bool:
    return sum(times for _, times in await hub.applied()) == count


async def _outbox_is_empty(hub: Hub) -> bool:
    async with hub.producer.connection() as connection:
        return bool(await connection.fetchval("select count(*) = 0 from meta.outbox"))


async def _recreate(hub: Hub) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=hub.kafka.bootstrap_servers)
    await admin.start()
    try:
        await admin.delete_topics([hub.topic.name])
        await asyncio.sleep(1)
    finally:
        await admin.close()
    await hub.create_topic()


async def _forget_offsets(hub: Hub) -> None:
    consumer = AIOKafkaConsumer(bootstrap_servers=hub.kafka.bootstrap_servers, group_id="reader")
    await consumer.start()
    try:
        partitions = [TopicPartition(hub.topic.name, number) for number in range(3)]
        consumer.assign(partitions)
        await consumer.commit(dict.fromkeys(partitions, 0))
    finally:
        await consumer.stop()
