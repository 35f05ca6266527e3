"""Consuming into bronze: the delivery policy against a bare loop.

Baseline: aiokafka `getmany`, the JSON parsed with orjson, one COPY per batch, offsets committed:
no validation, no positions, no dead letters, no metrics. Ours: `Bus` with a handler that does the
same COPY in the batch's transaction. Same topic, same batch size, same broker settings; rounds
interleaved; each round reads the whole topic.

The table is bronze's own, `bronze.raw_entities` with its indexes and checks. A table without any
is measured beside it: there the server has next to nothing to do, so only the clients are compared.
"""

import asyncio
import time
import uuid
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import asyncpg
import orjson
import uvloop
from aiokafka import AIOKafkaConsumer, TopicPartition

from chassis.bus.broker import Bus
from chassis.bus.delivery import Batch
from chassis.bus.relay import Relay
from chassis.migrations import migrate
from chassis.process import calm_garbage_collection
from contracts.envelope import Event
from contracts.files import FileChanged
from penstock.stack import PartName, Stack, read_settings
from tests.benchmarks.report import Result, median_ratio
from tests.support.addresses import KafkaAddress
from tests.support.hub import Hub, background, open_database, open_hub

EVENTS = 60_000
ROUNDS = 5
BATCH = 500
TABLES = {
    "bronze": "truncate bronze.raw_entities",
    "bare": "drop table if exists bare.raw_entities; "
    "create table bare.raw_entities (like bronze.raw_entities including defaults)",
}
"""Schema → how its table is made empty."""
HASH = "0" * 64
COLUMNS = (
    "entity_type",
    "entity_id",
    "source_system",
    "external_id",
    "version",
    "operation",
    "raw_data",
    "content_hash",
    "size_bytes",
    "source_modified_at",
    "sequence",
    "event_id",
    "correlation_id",
)


def main() -> list[Result]:
    """Start the servers, measure, and return the ratio."""
    with TemporaryDirectory(prefix="penstock-bench-") as folder:
        stack = Stack(settings=read_settings().in_folder(Path(folder)), fast=True)
        running = stack.up([PartName.KAFKA, PartName.POSTGRES], tied=True)
        try:
            return [uvloop.run(_measure(dict(running.env)))]
        finally:
            stack.down()


async def _measure(env: dict[str, str]) -> Result:
    calm_garbage_collection()
    url = env["DATABASE_URL"]
    await migrate(url, owners=("chassis", "ingestor"))
    async with open_hub(KafkaAddress.from_env(env), url, "bench.", partitions=6) as hub:
        await _fill(hub)
        bronze = await _rounds(hub, "bronze")
        plain = await _rounds(hub, "bare")
        return Result(
            name="consume to bronze, events per second",
            baseline="a bare getmany + COPY loop",
            ratio=bronze.ratio,
            target=0.6,
            better="higher",
            detail=f"{EVENTS} events, {ROUNDS} rounds: {bronze}; "
            f"into a table without indexes {plain.ratio:.3f}: {plain}",
        )


@dataclass(frozen=True, slots=True)
class Rounds:
    """Events per second, round by round."""

    ours: list[float]
    bare: list[float]

    @property
    def ratio(self) -> float:
        """Ours of the bare loop's."""
        return median_ratio(self.ours, self.bare)

    def __str__(self) -> str:
        """Return the range of both."""
        return f"ours {_span(self.ours)}/s, bare {_span(self.bare)}/s"


async def _rounds(hub: Hub, schema: str) -> Rounds:
    rounds = Rounds([], [])
    methods = [(_bare, rounds.bare), (_ours, rounds.ours)]
    for number in range(ROUNDS):
        for measure, into in methods if number % 2 else reversed(methods):
            async with _table(hub.database_url, schema) as connection:
                into.append(EVENTS / await measure(hub, connection, schema))
    return rounds


def _span(values: Sequence[float]) -> str:
    return f"{min(values):,.0f} to {max(values):,.0f}"


async def _fill(hub: Hub) -> None:
    async with background(Relay(hub.producer, hub.kafka).run):
        for start in range(0, EVENTS, 5000):
            await hub.publish([f"Data/2024/Q1/Banks/x/file-{start + n}.xml" for n in range(5000)])
        while True:
            async with hub.producer.connection() as connection:
                if not await connection.fetchval("select exists (select 1 from meta.outbox)"):
                    return
            await asyncio.sleep(0.2)


@asynccontextmanager
async def _table(url: str, schema: str) -> AsyncGenerator["asyncpg.Connection[asyncpg.Record]"]:
    connection = await asyncpg.connect(url)
    await connection.execute("create schema if not exists bare; truncate meta.consumer_positions")
    await connection.execute(TABLES[schema])
    # What the round before left to be cleaned up is not part of this one.
    await connection.execute("checkpoint")
    yield connection
    await connection.close()


async def _bare(hub: Hub, connection: "asyncpg.Connection[asyncpg.Record]", schema: str) -> float:
    consumer = AIOKafkaConsumer(
        bootstrap_servers=hub.kafka.bootstrap_servers,
        group_id=f"bare-{uuid.uuid4()}",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        fetch_max_wait_ms=100,
    )
    await consumer.start()
    consumer.assign([TopicPartition(hub.topic.name, number) for number in range(6)])
    started = time.perf_counter()
    read = 0
    while read < EVENTS:
        polled = await consumer.getmany(timeout_ms=20, max_records=BATCH)
        rows = [_row(record.value) for records in polled.values() for record in records]
        if rows:
            await connection.copy_records_to_table(
                "raw_entities", schema_name=schema, records=rows, columns=COLUMNS
            )
            await consumer.commit()
        read += len(rows)
    elapsed = time.perf_counter() - started
    await consumer.stop()
    return elapsed


def _row(value: bytes) -> tuple[object, ...]:
    event = orjson.loads(value)
    data = event["data"]
    current = data["current"]
    return (
        "files",
        data["path"],
        data["source"],
        data["path"],
        1,
        "stored",
        orjson.dumps(current).decode(),
        HASH,
        current["size_bytes"],
        datetime.fromisoformat(current["modified_at"]),
        event["sequence"],
        event["id"],
        event["correlationid"],
    )


async def _ours(hub: Hub, connection: "asyncpg.Connection[asyncpg.Record]", schema: str) -> float:
    del connection
    done = asyncio.Event()
    read = 0
    first = 0.0

    async def store(batch: Batch[FileChanged]) -> None:
        nonlocal read, first
        first = first or time.perf_counter()
        async with batch.transaction() as transaction:
            await transaction.connection.copy_records_to_table(
                "raw_entities",
                schema_name=schema,
                records=[_tuple(item.event) for item in batch.accepted],
                columns=COLUMNS,
            )
        read += len(batch.accepted)
        if read >= EVENTS:
            done.set()

    database = await open_database(hub.database_url, f"bench-{uuid.uuid4()}")
    bus = Bus(hub.kafka, service=database.service, database=database)
    bus.subscribe(hub.topic, store)
    async with background(bus.run):
        await done.wait()
        elapsed = time.perf_counter() - first
    await database.close()
    return elapsed


def _tuple(event: Event[FileChanged]) -> tuple[object, ...]:
    data = event.data
    current = data.current
    assert current is not None
    return (
        "files",
        data.path,
        data.source,
        data.path,
        1,
        "stored",
        {"modified_at": current.modified_at, "size_bytes": current.size_bytes},
        HASH,
        current.size_bytes,
        current.modified_at,
        event.sequence,
        event.id,
        event.correlationid,
    )
