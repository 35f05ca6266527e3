"""A small service around the bus, for tests of delivery: real Kafka, real PostgreSQL, a handler
that a test scripts."""

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from chassis.bus.broker import Bus
from chassis.bus.delivery import Batch, Handler
from chassis.bus.relay import Relay
from chassis.bus.topics import apply_topics
from chassis.db import Database
from chassis.settings import DatabaseSettings, KafkaSettings
from contracts.files import FileChange, FileChanged, FileFingerprint
from contracts.topics import FILE_CHANGED, Topic, TopicSpec
from tests.support.addresses import KafkaAddress

MOMENT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def file_added(path: str) -> FileChanged:
    return FileChanged(
        change=FileChange.ADDED,
        source="nas",
        path=path,
        current=FileFingerprint(modified_at=MOMENT, size_bytes=1),
        scan_id="scan-1",
    )


@dataclass(slots=True)
class Hub:
    """Where a test's producer and consumers meet."""

    kafka: KafkaSettings
    database_url: str
    topic: Topic
    producer: Database
    databases: list[Database] = field(default_factory=list)

    async def create_topic(self, topic: Topic | None = None, *, partitions: int = 3) -> None:
        topic = topic or self.topic
        names = [topic.name, topic.dead_letters_of("reader")]
        specs = [TopicSpec(name, partitions, {}) for name in names]
        await apply_topics(self.kafka, specs)

    async def publish(self, paths: Sequence[str], *, to: Topic | None = None) -> None:
        """Write events to the outbox, as a service does."""

        async with self.producer.transaction() as transaction:
            for path in paths:
                transaction.publish(to or self.topic, file_added(path))

    async def send_raw(
        self, value: bytes, *, key: bytes = b"k", partition: int | None = None
    ) -> None:
        producer = AIOKafkaProducer(bootstrap_servers=self.kafka.bootstrap_servers)
        await producer.start()
        try:
            await producer.send_and_wait(self.topic.name, value, key=key, partition=partition)
        finally:
            await producer.stop()

    @contextlib.asynccontextmanager
    async def relaying(self) -> AsyncGenerator[None]:
        """Run the producer's relay."""

        async with background(Relay(self.producer, self.kafka, lease_seconds=3).run):
            yield

    @contextlib.asynccontextmanager
    async def consuming(self, handler: Handler, *others: Topic) -> AsyncGenerator[Bus]:
        """Run a consumer `reader` with its own pool and relay; it may read other topics too."""
        database = await open_database(self.database_url, "reader")
        bus = Bus(self.kafka, service="reader", database=database)
        for topic in (self.topic, *others):
            bus.subscribe(topic, handler)
        relay = Relay(database, self.kafka, lease_seconds=3)
        try:
            async with background(relay.run), background(bus.run):
                yield bus
        finally:
            await database.close()

    async def dead_letters(self, count: int) -> list[Any]:
        """Read `count` records from the reader's dead-letter topic."""
        consumer = AIOKafkaConsumer(
            self.topic.dead_letters_of("reader"),
            bootstrap_servers=self.kafka.bootstrap_servers,
            auto_offset_reset="earliest",
            enable_auto_commit=False,
        )
        await consumer.start()
        try:
            async with asyncio.timeout(20):
                return [await consumer.getone() for _ in range(count)]
        finally:
            await consumer.stop()

    async def applied(self) -> list[tuple[str, int]]:
        """Return (path, how often it was applied), sorted."""

        async with self.producer.connection() as connection:
            rows = await connection.fetch(
                "select path, count(*) as times from applied group by path order by path"
            )
        return [(row["path"], row["times"]) for row in rows]


async def record(batch: Batch[FileChanged]) -> None:
    """The simplest effect that can be counted: a row per delivery, without any protection."""

    async with batch.transaction() as transaction:
        await transaction.connection.executemany(
            "insert into applied (path, event_id, sequence) values ($1, $2, $3)",
            [(item.data.path, item.event.id, item.event.sequence) for item in batch.accepted],
        )


async def open_database(url: str, service: str) -> Database:
    return await Database.open(DatabaseSettings.model_validate({"DATABASE_URL": url}), service)


@contextlib.asynccontextmanager
async def background(run: Callable[[], Awaitable[None]]) -> AsyncGenerator[None]:
    """Run something beside the body and stop it afterwards; its failure fails the body."""

    async def main() -> None:
        await run()

    async with asyncio.TaskGroup() as group:
        task = group.create_task(main())
        try:
            yield
        finally:
            task.cancel()


@contextlib.asynccontextmanager
async def open_hub(
    address: KafkaAddress, database_url: str, prefix: str, *, partitions: int = 3
) -> AsyncGenerator[Hub]:
    """Open a hub with a topic of its own."""
    settings = KafkaSettings.model_validate({**address.env, "KAFKA_SESSION_TIMEOUT_SECONDS": "6"})
    producer = await open_database(database_url, "writer")
    topic = dataclasses.replace(FILE_CHANGED, name=f"{prefix}file.changed")
    hub = Hub(settings, database_url, topic, producer)
    try:
        async with producer.connection() as connection:
            await connection.execute(
                "create table applied (id bigint generated always as identity, path text, "
                "event_id text, sequence bigint)"
            )
        await hub.create_topic(partitions=partitions)
        yield hub
    finally:
        await producer.close()
