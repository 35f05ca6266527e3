"""Applies records of one topic: one batch, one transaction; errors decide what happens next
(docs/architecture/delivery.md).

Knows nothing of polling, pausing or assignments, so every path can be tested without a broker.
"""

import contextlib
import functools
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from chassis import metrics
from chassis.bus import positions
from chassis.bus.codec import event_decoder
from chassis.bus.dead_letters import category_of, is_for_another
from chassis.bus.delivery import Batch, Delivery, Handler, Rejected
from chassis.bus.letters import Rejection, bury
from chassis.bus.records import Record
from chassis.clock import Clock
from chassis.db import Database, Transaction
from chassis.errors import MessageDecodeError, PermanentError, TransientError
from chassis.failpoints import reach
from chassis.logs import get_logger
from chassis.retry import backoff_seconds
from chassis.tracing import batch_span
from contracts.topics import Topic

MAX_BUG_ATTEMPTS = 3
"""An unexpected exception is tried so often before its culprit is looked for: it may have been a
passing state."""

Sleep = Callable[[float], Awaitable[None]]

_produced_at = attrgetter("record.timestamp_ms")


@dataclass(frozen=True, slots=True)
class Decoded:
    """Records, and what they say."""

    partitions: dict[int, list[Record]]
    deliveries: list[Delivery[Any]]
    undecodable: list[Rejection]


class Applier:
    """The delivery policy for one consumer and one topic."""

    def __init__(
        self,
        topic: Topic,
        handler: Handler,
        *,
        consumer: str,
        database: Database,
        clock: Clock,
        sleep: Sleep,
    ) -> None:
        self.topic = topic
        self.consumer = consumer
        self._handler = handler
        self._database = database
        self._clock = clock
        self._sleep = sleep

    def decode(self, records: Sequence[Record]) -> Decoded:
        """Read records (of any partitions), each by itself, so that one cannot spoil the rest.

        What is replayed for another consumer is none of ours; its position moves on all the same.
        """
        deliveries: list[Delivery[Any]] = []
        undecodable: list[Rejection] = []
        decode = event_decoder(self.topic)
        for record in records:
            if record.headers and is_for_another(record, self.consumer):
                continue
            try:
                deliveries.append(Delivery(decode(record), record))
            except MessageDecodeError as error:
                undecodable.append(Rejection(record, error))
        return Decoded(by_partition(records), deliveries, undecodable)

    async def apply(self, decoded: Decoded, *, attempt: int = 1) -> None:
        """Apply decoded records in one transaction.

        Raises whatever the handler raised, after nothing was written.
        """
        started = self._clock.monotonic()
        await self._run(decoded, attempt=attempt)
        metrics.EVENT_DURATION.labels(self.consumer).observe(self._clock.monotonic() - started)

    async def drive(
        self,
        records: Sequence[Record],
        *,
        first_attempt: int = 1,
        bug_attempts: int = MAX_BUG_ATTEMPTS,
    ) -> None:
        """Apply records of one partition, however long it takes, by the error policy.

        Transient errors are waited out. A permanent error is narrowed down to its message, which
        becomes a dead letter; so is a bug's, after a bounded number of attempts. Returns when every
        record is applied or dead-lettered.

        Raises:
            StalePositionError: the partition belongs to another consumer now.
        """
        attempt = first_attempt
        bugs = 0
        while True:
            try:
                await self.apply(self.decode(records), attempt=attempt)
            except positions.StalePositionError:
                raise
            except TransientError as error:
                self._count_retry("transient", error, attempt)
                await self._sleep(backoff_seconds(attempt, retry_after=error.retry_after))
            except PermanentError as error:
                await self._isolate(records, error, attempt=attempt)
                return
            except Exception as error:  # noqa: BLE001 - the delivery loop is where bugs end
                bugs += 1
                self._count_retry("bug", error, attempt)
                if bugs >= bug_attempts:
                    await self._isolate(records, error, attempt=attempt)
                    return
                await self._sleep(backoff_seconds(attempt))
            else:
                return
            attempt += 1

    async def _isolate(self, records: Sequence[Record], error: Exception, *, attempt: int) -> None:
        """Halve until the message that fails stands alone, and dead-letter it."""
        if len(records) == 1:
            await self._discard(records[0], error, attempts=attempt)
            return
        middle = len(records) // 2
        for half in (records[:middle], records[middle:]):
            # A bug has had its second chances with the whole batch.
            await self.drive(half, first_attempt=attempt, bug_attempts=1)

    async def _discard(self, record: Record, error: Exception, *, attempts: int) -> None:
        while True:
            try:
                rejected = [Rejection(record, error)]
                await self._run(Decoded(by_partition([record]), [], rejected), attempt=attempts)
            except positions.StalePositionError:
                raise
            except TransientError as outage:
                self._count_retry("transient", outage, attempts)
                await self._sleep(backoff_seconds(attempts, retry_after=outage.retry_after))
            else:
                return

    async def _run(self, decoded: Decoded, *, attempt: int) -> None:
        deliveries = decoded.deliveries
        rejected: list[Rejection] = list(decoded.undecodable)
        refused: Rejected[Any] = {}
        batch: Batch[Any] = Batch(
            deliveries,
            attempt=attempt,
            settle=functools.partial(self._settle, decoded.partitions, rejected, refused, attempt),
            rejected=refused,
        )
        traceparents = (item.event.traceparent for item in deliveries)
        with batch_span(self.topic.name, traceparents, consumer=self.consumer):
            if deliveries:
                await self._handler(batch)
            if not batch.settled:
                async with batch.transaction():
                    pass
        await reach("delivery.after_commit")
        self._count(batch, rejected)

    @contextlib.asynccontextmanager
    async def _settle(
        self,
        partitions: dict[int, list[Record]],
        rejected: list[Rejection],
        refused: Rejected[Any],
        attempt: int,
    ) -> AsyncGenerator[Transaction]:
        async with self._database.transaction() as transaction:
            await positions.advance(
                transaction.connection, self.consumer, self.topic.name, records=partitions
            )
            yield transaction
            rejected.extend(
                Rejection(delivery.record, error) for delivery, error in refused.values()
            )
            await bury(
                transaction,
                rejected,
                consumer=self.consumer,
                service=self._database.service,
                dead_letter_topic=self.topic.dead_letters_of(self.consumer),
                attempts=attempt,
                failed_at=self._clock.now(),
            )
            await reach("delivery.before_commit")

    def _count(self, batch: Batch[Any], rejected: Sequence[Rejection]) -> None:
        accepted = batch.accepted
        if accepted:
            oldest = min(accepted, key=_produced_at).event.time
            age = max(0.0, (self._clock.now() - oldest).total_seconds())
            metrics.EVENT_AGE.labels(self.consumer, self.topic.name).observe(age)
        processed = metrics.EVENTS_PROCESSED
        processed.labels(self.consumer, self.topic.name, "applied").inc(len(accepted))
        processed.labels(self.consumer, self.topic.name, "dead-lettered").inc(len(rejected))
        for item in rejected:
            category = category_of(item.error)
            metrics.DEAD_LETTERS.labels(self.consumer, self.topic.name, category.value).inc()
            get_logger().error(
                "message_dead_lettered",
                topic=self.topic.name,
                partition=item.record.partition,
                offset=item.record.offset,
                error=item.error,
            )

    def _count_retry(self, kind: str, error: BaseException, attempt: int) -> None:
        metrics.BATCH_RETRIES.labels(self.consumer, kind).inc()
        log = get_logger()
        if kind == "bug":
            log.error(
                "batch_failed", topic=self.topic.name, attempt=attempt, error=error, exc_info=error
            )
        else:
            log.warning("batch_retried", topic=self.topic.name, attempt=attempt, error=error)


def by_partition(records: Sequence[Record]) -> dict[int, list[Record]]:
    """Group records by partition, keeping their order."""
    groups: dict[int, list[Record]] = {}
    for record in records:
        groups.setdefault(record.partition, []).append(record)
    return groups
