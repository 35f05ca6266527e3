"""What the outbox lets through, the broker takes: else one message would block the relay for
ever.
"""

import dataclasses
from collections.abc import AsyncGenerator

import pytest

from chassis.bus.dead_letters import dead_letter_headers
from chassis.bus.records import Record
from chassis.bus.relay import Relay
from chassis.bus.topics import apply_topics
from chassis.clock import SystemClock
from chassis.db import Database
from chassis.errors import PermanentError
from chassis.settings import KafkaSettings
from contracts.records import RecordChange, RecordChanged
from contracts.topics import FILE_CHANGED, RECORD_CHANGED, Topic, topic_specs
from tests.support.addresses import KafkaAddress
from tests.support.databases import opened
from tests.support.eventually import eventually
from tests.support.hub import background


@pytest.fixture
async def database(database_url: str) -> AsyncGenerator[Database]:
    async with opened(database_url, "writer") as one:
        yield one


@pytest.fixture
async def settings(kafka: KafkaAddress) -> KafkaSettings:
    return KafkaSettings.model_validate(kafka.env)


async def create(settings: KafkaSettings, prefix: str, name: str) -> str:
    """Create a topic with the settings that the contracts declare for `name`."""
    (spec,) = (spec for spec in topic_specs() if spec.name == name)
    await apply_topics(settings, [dataclasses.replace(spec, name=f"{prefix}{name}")])
    return f"{prefix}{name}"


def changed(size: int) -> RecordChanged:
    return RecordChanged(
        change=RecordChange.UPSERTED,
        source="api",
        entity_type="user",
        external_id="i" * 512,
        scan_id="s",
        record={"text": "x" * size},
    )


async def publish(database: Database, topic: Topic, size: int) -> None:
    async with database.transaction() as transaction:
        transaction.publish(topic, changed(size))


async def largest(database: Database, topic: Topic) -> int:
    """Return the size of the largest record that the outbox lets through."""
    low, high = 0, topic.max_message_bytes
    while low < high - 1:
        middle = (low + high) // 2
        try:
            await publish(database, topic, middle)
            low = middle
        except PermanentError:
            high = middle
    return low


async def outbox_is_empty(database: Database) -> bool:
    async with database.connection() as connection:
        return bool(await connection.fetchval("select count(*) = 0 from meta.outbox"))


async def test_the_largest_event_that_the_outbox_lets_through_is_relayed(
    database: Database, settings: KafkaSettings, topic_prefix: str
) -> None:
    name = await create(settings, topic_prefix, "record.changed")
    topic = dataclasses.replace(RECORD_CHANGED, name=name)
    size = await largest(database, topic)
    assert size > topic.max_message_bytes - 4096, "and it is not much smaller than the limit"

    async with background(Relay(database, settings).run):
        await eventually(lambda: outbox_is_empty(database), timeout=30)


async def test_the_largest_dead_letter_is_relayed(
    database: Database, settings: KafkaSettings, topic_prefix: str
) -> None:
    name = await create(settings, topic_prefix, "file.changed.ingestor.dead")
    swollen = Record(
        FILE_CHANGED.name,
        0,
        0,
        b"k" * 100_000,
        b"v" * 5_000_000,
        tuple((f"header-{number}", b"h" * 1000) for number in range(500)),
        0,
    )
    headers = dead_letter_headers(
        swollen,
        PermanentError("ä" * 5000),
        consumer="ingestor",
        attempts=1,
        failed_at=SystemClock().now(),
    )
    async with database.transaction() as transaction:
        transaction.publish_raw(
            name, swollen.key or b"", value=swollen.value or b"", headers=headers
        )

    async with background(Relay(database, settings).run):
        await eventually(lambda: outbox_is_empty(database), timeout=30)
