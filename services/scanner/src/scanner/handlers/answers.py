"""Takes bronze's answers to announcements, and repeats those that nobody answered (C-02)."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Protocol

from chassis.bus.delivery import Batch, Delivery
from chassis.clock import Clock
from chassis.db import Database, Transaction
from chassis.logs import get_logger
from contracts.layers import BronzeOperation, BronzeStored
from scanner import metrics
from scanner.handlers.announcer import Announcer
from scanner.ports import Announcements, Answer, Repeated


class TakesAnswers(Protocol):
    """What keeps announcements: of files, of records."""

    async def answer(
        self, transaction: Transaction, answers: Sequence[Answer], *, now: datetime
    ) -> int:
        """Mark what was announced as ingested or retired; return how many fitted."""
        ...


class TakeAnswers:
    """Handles `bronze.stored`: what was announced is ingested, or retired."""

    def __init__(self, announcements: Sequence[TakesAnswers], clock: Clock) -> None:
        self._announcements = tuple(announcements)
        self._clock = clock

    async def __call__(self, batch: Batch[BronzeStored]) -> None:
        """Mark what was answered; answers that fit nothing (any more) change nothing."""
        answers = [_answer(delivery) for delivery in batch.accepted]
        async with batch.transaction() as transaction:
            for announcements in self._announcements:
                await announcements.answer(transaction, answers, now=self._clock.now())


def _answer(delivery: Delivery[BronzeStored]) -> Answer:
    return Answer(
        source=delivery.data.source_system,
        external_id=delivery.data.external_id,
        event_id=delivery.event.causationid,
        is_tombstone=delivery.data.operation is BronzeOperation.TOMBSTONED,
    )


class RepeatAnnouncements:
    """Announces again what expired, a bounded number of times."""

    def __init__(
        self,
        database: Database,
        announcements: Announcements,
        announcer: Announcer,
        *,
        clock: Clock,
        after: timedelta,
        limit: int,
    ) -> None:
        self._database = database
        self._announcements = announcements
        self._announcer = announcer
        self._clock = clock
        self._after = after
        self._limit = limit

    async def run(self, sources: Collection[str]) -> int:
        """Repeat what is due, and measure what was repeated in vain; return how many were due."""
        total = 0
        while page := await self._repeat_page():
            total += len(page)
            for item in page:
                metrics.REANNOUNCED.labels(item.source).inc()
                self._announcer.report(item.source, [item.announcement])
        await self._measure(sources)
        return total

    async def _repeat_page(self) -> list[Repeated]:
        async with self._database.transaction() as transaction:
            page = await self._announcements.repeat(
                transaction, after=self._after, limit=self._limit, now=self._clock.now()
            )
            for item in page:
                self._announcer.publish(
                    transaction,
                    item.source,
                    announcements=[item.announcement],
                    scan_id=item.scan_id,
                )
        return list(page)

    async def _measure(self, sources: Collection[str]) -> None:
        unanswered = await self._announcements.unanswered(
            after=self._after, limit=self._limit, now=self._clock.now()
        )
        for source in sources:
            count = unanswered.get(source, 0)
            metrics.UNANSWERED.labels(source).set(count)
            if count:
                get_logger().warning(
                    "announcements_unanswered", source=source, count=count, outcome="warning"
                )
