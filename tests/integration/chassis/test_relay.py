"""The outbox relay on a real broker: order per key, one relay at a time, a crash between publish
and delete."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator
from functools import partial
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer

from chassis.bus.delivery import Batch
from chassis.bus.relay import Relay, Row, waves
from chassis.settings import KafkaSettings
from contracts.files import FileChanged
from tests.support.addresses import KafkaAddress
from tests.support.eventually import eventually
from tests.support.hub import (
    Hub,
    background,
    file_added,
    open_database,
    open_hub,
    record,
)


@pytest.fixture
async def hub(kafka: KafkaAddress, database_url: str, topic_prefix: str) -> AsyncGenerator[Hub]:
    async with open_hub(kafka, database_url, topic_prefix, partitions=1) as opened:
        yield opened


async def read_all(hub: Hub, count: int) -> list[Any]:
    consumer = AIOKafkaConsumer(
        hub.topic.name,
        bootstrap_servers=hub.kafka.bootstrap_servers,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    )
    await consumer.start()
    try:
        async with asyncio.timeout(20):
            return [await consumer.getone() for _ in range(count)]
    finally:
        await consumer.stop()


async def pending(hub: Hub) -> int:
    async with hub.producer.connection() as connection:
        return int(await connection.fetchval("select count(*) from meta.outbox"))


async def is_empty(hub: Hub) -> bool:
    return await pending(hub) == 0


def test_waves_hold_a_key_once_and_keep_its_order() -> None:
    rows = [Row(number, "t", key, b"", {}) for number, key in enumerate([b"a", b"b", b"a", b"a"])]

    assert [[row.id for row in wave] for wave in waves(rows)] == [[0, 1], [2], [3]]


async def test_events_leave_only_after_their_transaction_commits(hub: Hub) -> None:
    async with hub.relaying():
        with pytest.raises(RuntimeError):
            await _publish_and_fail(hub)
        await hub.publish(["kept"])
        (message,) = await read_all(hub, 1)

        await eventually(partial(is_empty, hub), timeout=20)

    assert b'"kept"' in message.value


async def _publish_and_fail(hub: Hub) -> None:
    async with hub.producer.transaction() as transaction:
        transaction.publish(hub.topic, file_added("lost"))
        await transaction.flush()
        raise RuntimeError


async def test_a_late_commit_with_an_earlier_id_is_still_sent(hub: Hub) -> None:
    async with hub.relaying():
        async with hub.producer.transaction() as early:
            early.publish(hub.topic, file_added("early"))
            await early.flush()
            await hub.publish(["late"])
            await eventually(partial(_sent, hub, 1), timeout=20)
        messages = await read_all(hub, 2)

    assert [b'"late"' in message.value for message in messages] == [True, False]


async def _sent(hub: Hub, count: int) -> bool:
    return len(await read_all(hub, count)) == count


async def test_a_crash_after_publishing_repeats_events_with_the_same_id_and_sequence(
    hub: Hub, kafka: KafkaAddress
) -> None:
    await hub.publish(["f0", "f1"])

    crashed = await asyncio.to_thread(_relay_that_dies, hub, kafka)
    assert crashed == -signal.SIGKILL
    assert await pending(hub) == 2, "nothing was deleted"

    async with hub.relaying():
        await eventually(partial(is_empty, hub), timeout=30)
    messages = await read_all(hub, 4)
    assert messages[0].value == messages[2].value
    assert messages[1].value == messages[3].value


def _relay_that_dies(hub: Hub, kafka: KafkaAddress) -> int:
    program = (
        "import asyncio\n"
        "from chassis.bus.relay import Relay\n"
        "from chassis.settings import KafkaSettings\n"
        "from tests.support.hub import open_database\n"
        "async def main():\n"
        f"    database = await open_database({hub.database_url!r}, 'writer')\n"
        f"    settings = KafkaSettings.model_validate({kafka.env!r})\n"
        "    await Relay(database, settings, lease_seconds=2).run()\n"
        "asyncio.run(main())\n"
    )
    environment = {
        "PATH": os.defpath,
        "PYTHONPATH": ".",
        "PENSTOCK_FAILPOINT": "relay.after_publish",
    }
    return subprocess.run(
        [sys.executable, "-c", program], env=environment, timeout=60, check=False
    ).returncode


async def test_the_second_copy_of_an_event_is_recognised_by_its_sequence(hub: Hub) -> None:
    """The handler's side of the bargain, and its negative control."""
    applied: dict[str, int] = {}
    without_guard: list[str] = []

    async def guarded(batch: Batch[FileChanged]) -> None:
        async with batch.transaction():
            for item in batch.accepted:
                without_guard.append(item.data.path)
                sequence = item.event.sequence
                assert sequence is not None
                if sequence > applied.get(item.data.path, -1):
                    applied[item.data.path] = sequence

    await hub.publish(["f0"])
    async with hub.producer.connection() as connection:
        await connection.execute("create table kept as select * from meta.outbox")
    async with hub.relaying(), hub.consuming(guarded):
        await eventually(lambda: bool(applied), timeout=20)
        first = dict(applied)
        async with hub.producer.connection() as connection:
            await connection.execute("insert into meta.outbox select * from kept")
        await eventually(lambda: len(without_guard) == 2, timeout=20)

    assert applied == first


async def test_only_one_replica_relays_and_the_other_takes_over(hub: Hub) -> None:
    other = await open_database(hub.database_url, "writer")
    try:
        first = Relay(hub.producer, hub.kafka, lease_seconds=3)
        second = Relay(other, hub.kafka, lease_seconds=3)
        async with background(second.run):
            async with background(first.run):
                await hub.publish(["f0", "f1"])
                await eventually(partial(is_empty, hub), timeout=20)
            await hub.publish(["f2"])
            await eventually(partial(is_empty, hub), timeout=20)
        messages = await read_all(hub, 3)
        assert len({message.value for message in messages}) == 3
    finally:
        await other.close()


async def test_events_wait_in_the_outbox_while_kafka_is_away(hub: Hub) -> None:
    nowhere = KafkaSettings.model_validate({"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1"})
    await hub.publish(["f0"])
    async with background(Relay(hub.producer, nowhere, lease_seconds=3).run):
        await asyncio.sleep(1)
        assert await pending(hub) == 1

    async with hub.relaying(), hub.consuming(record):
        await eventually(partial(_applied, hub), timeout=30)


async def _applied(hub: Hub) -> bool:
    return await hub.applied() == [("f0", 1)]
