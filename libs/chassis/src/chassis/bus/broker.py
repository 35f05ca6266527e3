"""The bus of one service: FastStream declares and polls, the chassis decides.

`Bus.subscribe` is the only way to consume. Its preset avoids what the framework does by default:
acknowledging first, redelivering without a pause, resolving parameters in threads, creating
topics.
"""

import asyncio
import contextlib
import contextvars
from collections.abc import AsyncGenerator, Sequence
from typing import Any

from aiokafka import ConsumerRebalanceListener, ConsumerRecord, TopicPartition
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.errors import KafkaError
from faststream import AckPolicy
from faststream.kafka import KafkaBroker
from faststream.kafka.message import FAKE_CONSUMER, KafkaMessage
from faststream.security import BaseSecurity, SASLScram512

from chassis import metrics
from chassis.bus.applier import Applier
from chassis.bus.client import Consumer
from chassis.bus.delivery import Handler
from chassis.bus.security import build_ssl_context, log_on
from chassis.bus.subscription import Subscription
from chassis.clock import Clock, SystemClock
from chassis.db import Database
from chassis.errors import UnavailableError
from chassis.logs import get_logger
from chassis.retry import backoff_seconds
from chassis.settings import KafkaSettings
from contracts.topics import Topic

STUCK_SECONDS = 180.0
"""Messages waiting and nothing applied for so long, with no dependency down: leave and be
restarted."""


class Bus:
    """Everything a service consumes."""

    def __init__(
        self,
        settings: KafkaSettings,
        *,
        service: str,
        database: Database,
        clock: Clock | None = None,
    ) -> None:
        self.service = service
        self.subscriptions: list[Subscription] = []
        self._settings = settings
        self._database = database
        self._clock = clock or SystemClock()
        self.is_running = False
        self._context = contextvars.copy_context()
        self._consumer: Consumer | None = None

    def subscribe(self, topic: Topic, handler: Handler) -> None:
        """Have `handler` applied to every batch of `topic`, under the delivery policy."""
        applier = Applier(
            topic,
            handler,
            consumer=self.service,
            database=self._database,
            clock=self._clock,
            sleep=asyncio.sleep,
        )
        self.subscriptions.append(Subscription(applier, database=self._database, clock=self._clock))

    async def ping(self) -> None:
        """Ask Kafka for its topics.

        Raises:
            UnavailableError: it does not answer.
        """
        if self._consumer is None:
            return
        try:
            await self._consumer.topics()
        except KafkaError as error:
            raise UnavailableError(f"Kafka does not answer: {error}", dependency="kafka") from error

    async def run(self) -> None:
        """Consume until cancelled; then finish the batch in hand and leave the group."""
        if not self.subscriptions:
            return
        async with self._started() as broker, asyncio.TaskGroup() as group:
            try:
                subscriber: Any = broker.subscribers[0]
                self._consumer = subscriber.consumer
                for subscription in self.subscriptions:
                    subscription.attach(subscriber.consumer, group)
                self.is_running = True
                await self._watch()
            finally:
                self.is_running = False
                self._consumer = None
                await asyncio.gather(*(item.drain() for item in self.subscriptions))

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(1)
            for subscription in self.subscriptions:
                if subscription.failure is not None:
                    raise subscription.failure
                if subscription.stuck_seconds > STUCK_SECONDS:
                    raise UnavailableError(
                        f"`{subscription.topic.name}`: {subscription.lag} messages wait and none "
                        f"was applied for {STUCK_SECONDS:.0f} s; restarting the process"
                    )

    @contextlib.asynccontextmanager
    async def _started(self) -> AsyncGenerator[KafkaBroker]:
        attempt = 0
        while True:
            broker = self._build()
            try:
                await log_on(self._settings)
                await broker.start()
                break
            except (KafkaError, UnavailableError) as error:
                attempt += 1
                get_logger().warning("kafka_unreachable", attempt=attempt, error=error)
                await _stop(broker)
                await asyncio.sleep(backoff_seconds(attempt))
            except BaseException:
                # Cancelled half-way: the consumers that were started must not linger in the group.
                await _stop(broker)
                raise
        try:
            yield broker
        finally:
            await _stop(broker)

    def _build(self) -> KafkaBroker:
        settings = self._settings
        broker = KafkaBroker(
            settings.bootstrap_servers,
            client_id=self.service,
            security=build_security(settings),
            allow_auto_create_topics=False,
            apply_types=False,
            logger=None,
            graceful_timeout=None,
        )
        session_ms = int(settings.session_timeout_seconds * 1000)
        # One consumer for all topics: members of a group with different topics each make every
        # start a chain of rebalances, and the assignors of aiokafka lose partitions in it.
        subscriber = broker.subscriber(
            *(subscription.topic.name for subscription in self.subscriptions),
            batch=True,
            max_records=settings.batch_max_records,
            batch_timeout_ms=20,
            fetch_max_wait_ms=100,
            group_id=self.service,
            auto_offset_reset="earliest",
            ack_policy=AckPolicy.MANUAL,
            partition_assignment_strategy=(RoundRobinPartitionAssignor,),
            session_timeout_ms=session_ms,
            heartbeat_interval_ms=min(3000, session_ms // 3),
            rebalance_timeout_ms=60_000,
            max_poll_interval_ms=600_000,
            listener=_Listener(self.service, self.subscriptions),
            parser=_parse,
            decoder=_decode,
        )
        subscriber(self._receive)
        return broker

    async def _receive(self, raw: Sequence[ConsumerRecord]) -> None:
        """Hand each topic its records; the topics of one poll are applied side by side."""
        by_topic: dict[str, list[ConsumerRecord]] = {}
        for record in raw:
            by_topic.setdefault(record.topic, []).append(record)
        async with asyncio.TaskGroup() as group:
            for subscription in self.subscriptions:
                if subscription.topic.name in by_topic:
                    # Our own context: the framework's holds the polled records, and timers that
                    # the database driver sets meanwhile would keep them for minutes.
                    group.create_task(
                        subscription.receive(by_topic[subscription.topic.name]),
                        context=self._context.copy(),
                    )


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]
    """Tells every subscription which partitions come and go."""

    def __init__(self, service: str, subscriptions: Sequence[Subscription]) -> None:
        self._service = service
        self._subscriptions = subscriptions

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        await asyncio.gather(*(item.revoke(revoked) for item in self._subscriptions))

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        metrics.REBALANCES.labels(self._service).inc()
        for subscription in self._subscriptions:
            subscription.assign(assigned)


async def _parse(raw: Any) -> KafkaMessage:
    """Pass the polled records through: they are decoded one by one, so that one cannot spoil the
    rest.
    """
    return KafkaMessage(body=b"", raw_message=raw, consumer=FAKE_CONSUMER)


async def _decode(message: KafkaMessage) -> Any:
    return message.raw_message


async def _stop(broker: KafkaBroker) -> None:
    """Leave the group; bounded, because a client that lost its broker may wait for ever."""
    try:
        async with asyncio.timeout(10):
            await broker.stop()
    except (TimeoutError, KafkaError) as error:
        get_logger().warning("kafka_left_in_a_hurry", error=error)


def build_security(settings: KafkaSettings) -> BaseSecurity | None:
    """Return FastStream's form of the security settings."""
    context = build_ssl_context(settings)
    if settings.sasl_username and settings.sasl_password:
        return SASLScram512(
            username=settings.sasl_username,
            password=settings.sasl_password.get_secret_value(),
            ssl_context=context,
            use_ssl=True,
        )
    return BaseSecurity(ssl_context=context, use_ssl=True) if context else None
