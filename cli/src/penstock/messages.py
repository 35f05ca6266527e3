"""What the command line says to the bus, and what it looks up there.

Nothing here joins a consumer group: looking must not move a service's position.
"""

import asyncio
import contextlib
import logging
import uuid
from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError, UnknownTopicOrPartitionError

from chassis.bus.codec import encode_event
from chassis.bus.records import Record
from chassis.bus.security import client_security, explained
from chassis.clock import SystemClock
from chassis.errors import UnavailableError
from chassis.settings import KafkaSettings
from contracts.commands import Command
from contracts.envelope import Event
from contracts.topics import Topic

# The client logs every attempt at a broker that is away; the command tells it once, in a sentence.
logging.getLogger("aiokafka").setLevel(logging.CRITICAL)

_DEADLINE_SECONDS = 30.0
_POLL_MS = 200


async def send_command(settings: KafkaSettings, topic: Topic, command: Command) -> str:
    """Publish a command and return its id, once Kafka has acknowledged it.

    Raises:
        UnavailableError: Kafka does not answer, or lacks the topic.
    """
    command_id = command.command_id or str(uuid.uuid4())
    event: Event[Any] = Event(
        id=command_id,
        type=topic.name,
        source="/penstock",
        time=SystemClock().now(),
        subject=topic.key(command),
        dataschema=f"{topic.name}.json",
        data=command.model_copy(update={"command_id": command_id}),
    )
    value, headers = encode_event(event)
    producer = AIOKafkaProducer(
        bootstrap_servers=settings.bootstrap_servers,
        client_id="penstock",
        enable_idempotence=True,
        **client_security(settings),
    )
    async with _translated(settings, topic.name), asyncio.timeout(_DEADLINE_SECONDS), producer:
        await producer.send_and_wait(
            topic.name,
            value,
            key=topic.key(command).encode(),
            headers=[(name, text.encode()) for name, text in headers.items()],
        )
    return command_id


async def count_partitions(settings: KafkaSettings) -> dict[str, int]:
    """Return the number of partitions of every topic that Kafka has.

    Raises:
        UnavailableError: Kafka does not answer.
    """
    admin = AIOKafkaAdminClient(
        bootstrap_servers=settings.bootstrap_servers,
        client_id="penstock",
        **client_security(settings),
    )
    try:
        async with _translated(settings, "of any name"), asyncio.timeout(_DEADLINE_SECONDS):
            await admin.start()
            described = await admin.describe_topics()
    finally:
        with contextlib.suppress(KafkaError, TimeoutError):
            async with asyncio.timeout(5):
                await admin.close()
    return {topic["topic"]: len(topic["partitions"]) for topic in described}


class TopicReader:
    """Reads topics from where it was told to, without being a consumer of record."""

    def __init__(
        self, consumer: AIOKafkaConsumer, settings: KafkaSettings, topics: Collection[str]
    ) -> None:
        self._consumer = consumer
        self._settings = settings
        self._topics = tuple(topics)

    async def read(self) -> list[Record]:
        """Return what has come since the last call; waits a moment for it."""
        async with self._waiting():
            batches = await self._consumer.getmany(timeout_ms=_POLL_MS)
        return [_as_record(message) for batch in batches.values() for message in batch]

    async def read_to_end(self) -> list[Record]:
        """Return everything up to where the topics end now; an empty poll is not the end."""
        records: list[Record] = []
        async with self._waiting():
            ends = await self._consumer.end_offsets(self._consumer.assignment())
            while not await self._is_at(ends):
                records += await self.read()
        return records

    @contextlib.asynccontextmanager
    async def _waiting(self) -> AsyncGenerator[None]:
        topics = ", ".join(self._topics)
        async with _translated(self._settings, topics), asyncio.timeout(_DEADLINE_SECONDS):
            yield

    async def _is_at(self, ends: Mapping[TopicPartition, int]) -> bool:
        positions = [(await self._consumer.position(tp), end) for tp, end in ends.items()]
        return all(position >= end for position, end in positions)


@contextlib.asynccontextmanager
async def reading(
    settings: KafkaSettings, topics: Collection[str], *, from_end: bool = False
) -> AsyncGenerator[TopicReader]:
    """Open a reader of `topics`, from their beginning or from their present end.

    Raises:
        UnavailableError: Kafka does not answer, or lacks a topic.
    """
    known = await count_partitions(settings)
    missing = sorted(set(topics) - known.keys())
    if missing:
        raise _no_topic(", ".join(missing))
    partitions = [
        TopicPartition(topic, number) for topic in topics for number in range(known[topic])
    ]
    async with _consumer(settings) as consumer:
        async with _translated(settings, ", ".join(topics)), asyncio.timeout(_DEADLINE_SECONDS):
            await _assign(consumer, partitions, from_end=from_end)
        yield TopicReader(consumer, settings, topics)


@contextlib.asynccontextmanager
async def _consumer(settings: KafkaSettings) -> AsyncGenerator[AIOKafkaConsumer]:
    consumer = AIOKafkaConsumer(
        bootstrap_servers=settings.bootstrap_servers,
        client_id="penstock",
        group_id=None,
        enable_auto_commit=False,
        **client_security(settings),
    )
    try:
        async with (
            _translated(settings, settings.bootstrap_servers),
            asyncio.timeout(_DEADLINE_SECONDS),
        ):
            await consumer.start()
        yield consumer
    finally:
        with contextlib.suppress(KafkaError, TimeoutError):
            async with asyncio.timeout(5):
                await consumer.stop()


async def _assign(
    consumer: AIOKafkaConsumer, partitions: Sequence[TopicPartition], *, from_end: bool
) -> None:
    consumer.assign(partitions)
    # Positions are fixed now; "at the end" must not come to mean a later end.
    bounds = await (consumer.end_offsets if from_end else consumer.beginning_offsets)(partitions)
    for partition, offset in bounds.items():
        consumer.seek(partition, offset)


@contextlib.asynccontextmanager
async def _translated(settings: KafkaSettings, topic: str) -> AsyncGenerator[None]:
    async with explained(settings):
        try:
            yield
        except UnknownTopicOrPartitionError as error:
            raise _no_topic(topic) from error


def _no_topic(name: str) -> UnavailableError:
    return UnavailableError(
        f"Kafka has no topic `{name}`; create it with `penstock topics apply`", dependency="kafka"
    )


def _as_record(message: Any) -> Record:
    return Record(
        topic=message.topic,
        partition=message.partition,
        offset=message.offset,
        key=message.key,
        value=message.value,
        headers=tuple(message.headers),
        timestamp_ms=message.timestamp,
    )
