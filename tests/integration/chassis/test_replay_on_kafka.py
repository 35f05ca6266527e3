"""A replay on a real broker: the largest and the oddest message, one of two consumers."""

import contextlib
import dataclasses
from collections import Counter
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer

from chassis.bus.broker import Bus
from chassis.bus.delivery import Batch, Handler
from chassis.bus.records import Record
from chassis.bus.relay import Relay
from chassis.bus.topics import apply_topics
from chassis.clock import SystemClock
from chassis.db import Database
from chassis.dead_letters.replay import REPLAY, replay_jobs
from chassis.errors import PermanentError
from chassis.runs import RunWorker, submit
from chassis.settings import KafkaSettings
from contracts import dead_letters as header
from contracts.topics import FILE_CHANGED, MAX_MESSAGE_BYTES, Topic, TopicSpec
from tests.support.addresses import KafkaAddress
from tests.support.databases import opened
from tests.support.eventually import eventually
from tests.support.hub import background
from tests.support.letters import encoded, no_wait
from tests.support.runs import fetch, shorten_waits, until_idle

ODD = [("x-note", b"\xff\xfe"), ("nul\x00name", b"nul\x00value"), ("twice", b"1"), ("twice", b"2")]


@contextlib.asynccontextmanager
async def consuming(
    kafka: KafkaSettings, database_url: str, topic: Topic, *, service: str, handler: Handler
) -> AsyncGenerator[Database]:
    async with opened(database_url, service) as database:
        bus = Bus(kafka, service=service, database=database)
        bus.subscribe(topic, handler)
        relay = Relay(database, kafka, lease_seconds=3)
        async with background(bus.run), background(relay.run):
            yield database


async def test_what_one_consumer_rejected_is_replayed_for_it_alone_and_byte_by_byte(
    kafka: KafkaAddress, database_url: str, topic_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shorten_waits(monkeypatch)
    settings = KafkaSettings.model_validate({**kafka.env, "KAFKA_SESSION_TIMEOUT_SECONDS": "6"})
    topic = dataclasses.replace(
        FILE_CHANGED, name=f"{topic_prefix}file.changed", consumers=("reader", "other")
    )
    dead = topic.dead_letters_of("reader")
    limit = {"max.message.bytes": str(topic.max_record_bytes)}
    names = (topic.name, dead, topic.dead_letters_of("other"))
    await apply_topics(
        settings, [TopicSpec(name, 1, limit if name == names[0] else {}) for name in names]
    )
    value, headers = encoded("f1")
    value = value.replace(b'"type":"file.changed"', f'"type":"{topic.name}"'.encode())
    body = value + b" " * (MAX_MESSAGE_BYTES - len(value))
    sent = [(name, text) for name, text in [*headers, *ODD] if text is not None]
    seen: dict[str, list[Record]] = {"reader": [], "other": []}
    applied = Counter[str]()
    is_broken = True

    def handler(service: str) -> Handler:
        async def handle(batch: Batch[Any]) -> None:
            for item in batch.deliveries:
                seen[service].append(item.record)
                if service == "reader" and is_broken:
                    batch.reject(item, PermanentError("broken"))
            async with batch.transaction():
                applied.update({service: len(batch.accepted)})

        return handle

    async with contextlib.AsyncExitStack() as stack:
        databases = {
            service: await stack.enter_async_context(
                consuming(settings, database_url, topic, service=service, handler=handler(service))
            )
            for service in seen
        }
        reader = databases["reader"]
        producer = AIOKafkaProducer(bootstrap_servers=settings.bootstrap_servers)
        async with producer:
            await producer.send_and_wait(topic.name, body, headers=sent)
        await eventually(lambda: _is_buried(reader), timeout=40)
        await eventually(lambda: applied == {"other": 1, "reader": 0}, timeout=20)

        is_broken = False
        async with reader.transaction() as transaction:
            await submit(
                transaction, service="reader", kind=REPLAY, target=dead, parameters={"topic": dead}
            )
        clock = SystemClock()
        jobs = replay_jobs(clock, topics=[topic], sleep=no_wait)
        await until_idle(RunWorker(reader, jobs, clock=clock))
        await eventually(lambda: applied == {"other": 1, "reader": 1}, timeout=20)
        await eventually(lambda: _has_passed(databases["other"], 2), timeout=20)

    first, second = seen["reader"]
    assert (second.key, second.value) == (first.key, first.value) == (None, body)
    assert list(second.headers[: len(sent)]) == list(first.headers) == sent
    added = [name for name, _ in second.headers[len(sent) :]]
    assert added == [header.REPLAY_OF, header.REPLAY_COUNT, header.REPLAY_FOR]
    assert len(seen["other"]) == 1


async def _is_buried(database: Database) -> bool:
    return len(await fetch(database, "select id from meta.dead_letters")) == 1


async def _has_passed(database: Database, offset: int) -> bool:
    query = "select 1 from meta.consumer_positions where consumer = 'other' and next_offset = $1"
    return len(await fetch(database, query, offset)) == 1
