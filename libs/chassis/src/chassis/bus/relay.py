"""Carries the outbox to Kafka: one leaseholder per service, in order, deleted after
acknowledgement.

A crash between acknowledgement and deletion publishes again; consumers recognise that by the
sequence. Events go out in waves: a wave holds at most one event per key and is acknowledged before
the next starts, so a failed send can never let a key's later event overtake its earlier one.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from chassis import leases, metrics
from chassis.bus.raw_headers import PackedHeaders, as_sent
from chassis.bus.security import client_security, explained
from chassis.db import Database
from chassis.errors import TransientError
from chassis.failpoints import reach
from chassis.logs import get_logger
from chassis.outbox import NOTIFY_CHANNEL
from chassis.retry import backoff_seconds
from chassis.settings import KafkaSettings

BATCH_SIZE = 1000
POLL_SECONDS = 1.0
"""A notification may be lost with its connection, so the relay also looks by itself."""

SEND_DEADLINE = 30.0
"""An idempotent producer never gives up by itself; the relay does, and makes a new one."""


@dataclass(frozen=True, slots=True)
class Row:
    """One event in the outbox."""

    id: int
    topic: str
    key: bytes | None
    value: bytes | None
    headers: dict[str, str] | PackedHeaders


class Relay:
    """Publishes one service's outbox while it holds the lease."""

    def __init__(
        self, database: Database, settings: KafkaSettings, *, lease_seconds: float = 15.0
    ) -> None:
        self._database = database
        self._settings = settings
        self._service = database.service
        self._lease_seconds = lease_seconds
        self._wake = asyncio.Event()
        metrics.begin_outbox(self._service)

    async def run(self) -> None:
        """Relay until cancelled; other replicas wait for the lease."""
        attempt = 0
        while True:
            try:
                async with leases.held(
                    self._database,
                    f"outbox/{self._service}",
                    kind="outbox",
                    ttl_seconds=self._lease_seconds,
                ) as lease:
                    attempt = 0
                    await self._relay(lease)
            except TransientError as error:
                attempt += 1
                get_logger().warning("relay_interrupted", attempt=attempt, error=error)
                await asyncio.sleep(backoff_seconds(attempt, cap=5.0))

    async def _relay(self, lease: leases.Lease) -> None:
        async with self._producer() as producer, self._listening():
            while True:
                self._wake.clear()
                rows = await self._fetch()
                if rows:
                    await self._publish(producer, rows)
                    await reach("relay.after_publish")
                    await self._delete(lease, rows)
                    continue
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(POLL_SECONDS):
                        await self._wake.wait()

    async def _fetch(self) -> list[Row]:
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                "select id, topic, key, value, headers "
                "from meta.outbox where service = $1 order by id limit $2",
                self._service,
                BATCH_SIZE,
            )
        return [
            Row(row["id"], row["topic"], row["key"], row["value"], row["headers"]) for row in rows
        ]

    async def _publish(self, producer: AIOKafkaProducer, rows: Sequence[Row]) -> None:
        async with explained(self._settings, "Kafka does not take events"):
            for wave in waves(rows):
                async with asyncio.timeout(SEND_DEADLINE):
                    sent = [await _send(producer, row) for row in wave]
                    await asyncio.gather(*sent)
        for row in rows:
            metrics.OUTBOX_RELAYED.labels(self._service, row.topic).inc()

    async def _delete(self, lease: leases.Lease, rows: Sequence[Row]) -> None:
        async with self._database.connection() as connection, connection.transaction():
            await leases.guard(connection, lease)
            await connection.execute(
                "delete from meta.outbox where id = any($1::bigint[])", [row.id for row in rows]
            )

    @contextlib.asynccontextmanager
    async def _producer(self) -> AsyncGenerator[AIOKafkaProducer]:
        producer = AIOKafkaProducer(
            bootstrap_servers=self._settings.bootstrap_servers,
            client_id=f"{self._service}-relay",
            enable_idempotence=True,
            linger_ms=5,
            max_batch_size=128 * 1024,
            request_timeout_ms=int(SEND_DEADLINE * 1000),
            **client_security(self._settings),
        )
        try:
            async with explained(self._settings), asyncio.timeout(SEND_DEADLINE):
                await producer.start()
            yield producer
        finally:
            await _stop(producer)

    @contextlib.asynccontextmanager
    async def _listening(self) -> AsyncGenerator[None]:
        def notified(_connection: Any, _pid: int, _channel: str, payload: object) -> None:
            if payload == self._service:
                self._wake.set()

        async with self._database.connection() as connection:
            await connection.add_listener(NOTIFY_CHANNEL, notified)
            try:
                yield
            finally:
                # A lost connection belongs to nobody any more and says so; that must not take the
                # place of what ends this, which may be a cancellation.
                with contextlib.suppress(asyncpg.InterfaceError, asyncpg.PostgresError, OSError):
                    await connection.remove_listener(NOTIFY_CHANNEL, notified)


async def _send(producer: AIOKafkaProducer, row: Row) -> Any:
    return await producer.send(
        row.topic,
        key=row.key,
        value=row.value,
        headers=as_sent(row.headers),
    )


async def _stop(producer: AIOKafkaProducer) -> None:
    """Stop, but not for ever: with Kafka down a producer's own stop never returns."""
    try:
        async with asyncio.timeout(5):
            await producer.stop()
    except (TimeoutError, KafkaError) as error:
        get_logger().warning("producer_dropped", error=error)


def waves(rows: Sequence[Row]) -> Iterator[list[Row]]:
    """Split rows so that no key stands twice in a wave, keeping the order per key."""
    rounds: list[list[Row]] = []
    depth: dict[tuple[str, bytes | None], int] = {}
    for row in rows:
        level = depth.get((row.topic, row.key), 0)
        depth[(row.topic, row.key)] = level + 1
        if level == len(rounds):
            rounds.append([])
        rounds[level].append(row)
    yield from rounds
