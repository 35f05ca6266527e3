"""What a batch took is free as soon as it is applied, not when the garbage collector comes."""

import gc
import weakref
from collections.abc import Awaitable, Callable, Generator
from typing import Any

import pytest

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
