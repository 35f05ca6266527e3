"""What a batch took is free as soon as it is applied, not when the garbage collector comes."""

import asyncio
import gc
import weakref
from collections.abc import Awaitable, Callable, Generator
from typing import Any

import pytest
from aiokafka import ConsumerRecord

from chassis.bus.delivery import Batch
from contracts.files import FileChanged
from tests.support.addresses import KafkaAddress
from tests.support.eventually import eventually
from tests.support.hub import open_hub, record


@pytest.fixture
def no_collector() -> Generator[None]:
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@pytest.mark.usefixtures("no_collector")
async def test_an_applied_batch_is_freed_at_once(
    kafka: KafkaAddress, database_url: str, topic_prefix: str
) -> None:
    batches: list[weakref.ref[Batch[Any]]] = []

    async def watched(batch: Batch[FileChanged]) -> None:
        batches.append(weakref.ref(batch))
        await record(batch)

    async with open_hub(kafka, database_url, topic_prefix) as hub:
        await hub.publish([f"f{number}" for number in range(50)])
        async with hub.relaying(), hub.consuming(watched):
            await eventually(lambda: _applied(hub.applied, 50), timeout=30)
            await eventually(lambda: batches and all(batch() is None for batch in batches))


async def _applied(applied: Callable[[], Awaitable[list[tuple[str, int]]]], count: int) -> bool:
    return len(await applied()) == count


@pytest.mark.usefixtures("no_collector")
async def test_a_timer_that_outlives_a_batch_does_not_keep_its_records(
    kafka: KafkaAddress, database_url: str, topic_prefix: str
) -> None:
    timers: list[asyncio.TimerHandle] = []

    async def patient(batch: Batch[FileChanged]) -> None:
        # As the database driver does for every statement that it keeps.
        timers.append(asyncio.get_running_loop().call_later(300, lambda: None))
        await record(batch)

    async with open_hub(kafka, database_url, topic_prefix) as hub:
        await hub.publish([f"f{number}" for number in range(50)])
        async with hub.relaying(), hub.consuming(patient):
            await eventually(lambda: _applied(hub.applied, 50), timeout=30)
            await eventually(lambda: not _polled_records(hub.topic.name))
    for timer in timers:
        timer.cancel()


def _polled_records(topic: str) -> list[object]:
    found = (item for item in gc.get_objects() if isinstance(item, ConsumerRecord))
    return [item for item in found if item.topic == topic]
