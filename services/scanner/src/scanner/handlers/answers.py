"""Takes bronze's answers to announcements, and repeats those that nobody answered (C-02)."""

from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import Generic, Protocol, TypeVar

from chassis.bus.delivery import Batch, Delivery
from chassis.clock import Clock
from chassis.db import Database, Transaction
from chassis.logs import get_logger
from contracts.layers import BronzeOperation, BronzeStored
from scanner import metrics
from scanner.handlers.announcer import Announcer
from scanner.ports import Announcements, Answer, RepeatedFile
from scanner.ports.records import RepeatedRecord

T = TypeVar("T", bound=RepeatedFile | RepeatedRecord)
T_contra = TypeVar("T_contra", contravariant=True)


class TakeAnswers:
    """Handles `bronze.stored`: what was announced is ingested, or retired."""

    def __init__(self, announcements: Sequence[Announcements[object]], clock: Clock) -> None:
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


class Again(Protocol[T_contra]):
    """How announcements of files, or of records, are made again."""

    def publish(self, transaction: Transaction, page: Sequence[T_contra]) -> None:
        """Queue their events; they leave if the transaction commits."""
        ...

    def report(self, page: Sequence[T_contra]) -> None:
        """Log and count them; call it after the commit."""
        ...


class FilesAgain:
    """Announces files again."""

    def __init__(self, announcer: Announcer) -> None:
        self._announcer = announcer

    def publish(self, transaction: Transaction, page: Sequence[RepeatedFile]) -> None:
        """Queue the events of a page; they leave if the transaction commits."""
        for item in page:
            self._announcer.publish(
                transaction, item.source, announcements=[item.announcement], scan_id=item.scan_id
            )

    def report(self, page: Sequence[RepeatedFile]) -> None:
        """Log and count a page; call it after the commit."""
        for item in page:
            self._announcer.report(item.source, [item.announcement])


class RepeatAnnouncements(Generic[T]):
    """Announces again what expired, a bounded number of times."""

    def __init__(
        self,
        database: Database,
        announcements: Announcements[T],
        again: Again[T],
        *,
        clock: Clock,
        after: timedelta,
        limit: int,
    ) -> None:
        self._database = database
        self._announcements = announcements
        self._again = again
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
            self._again.report(page)
        await self._measure(sources)
        return total

    async def _repeat_page(self) -> Sequence[T]:
        async with self._database.transaction() as transaction:
            page = await self._announcements.repeat(
                transaction, after=self._after, limit=self._limit, now=self._clock.now()
            )
            self._again.publish(transaction, page)
        return page

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
