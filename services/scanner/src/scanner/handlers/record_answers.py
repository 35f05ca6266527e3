"""Announces again the records whose announcement nobody answered (C-02)."""

from collections.abc import Callable, Collection
from datetime import timedelta

from chassis.clock import Clock
from chassis.db import Database
from chassis.logs import get_logger
from scanner import metrics
from scanner.handlers.record_announcer import RecordAnnouncer
from scanner.ports.records import RecordAnnouncements


class RepeatRecordAnnouncements:
    """Announces again what expired, a bounded number of times."""

    def __init__(
        self,
        database: Database,
        announcements: RecordAnnouncements,
        *,
        entity_type: Callable[[str], str | None],
        clock: Clock,
        after: timedelta,
        limit: int,
    ) -> None:
        self._database = database
        self._announcements = announcements
        self._entity_type = entity_type
        """Of a source; None for one that is no longer configured."""
        self._clock = clock
        self._after = after
        self._limit = limit

    async def run(self, sources: Collection[str]) -> int:
        """Repeat what is due, and measure what was repeated in vain; return how many were due."""
        total = 0
        while count := await self._expire():
            total += count
        while count := await self._repeat_deletions():
            total += count
        await self._measure(sources)
        return total

    async def _expire(self) -> int:
        async with self._database.transaction() as transaction:
            expired = await self._announcements.expire(
                transaction, after=self._after, limit=self._limit, now=self._clock.now()
            )
        for source, count in expired.items():
            metrics.REANNOUNCED.labels(source).inc(count)
            get_logger().info("records_due_again", source=source, count=count)
        return sum(expired.values())

    async def _repeat_deletions(self) -> int:
        async with self._database.transaction() as transaction:
            page = await self._announcements.expired_deletions(
                transaction, after=self._after, limit=self._limit, now=self._clock.now()
            )
            for item in page:
                entity_type = self._entity_type(item.source)
                if entity_type is not None:
                    RecordAnnouncer.publish_deletions(
                        transaction,
                        entity_type,
                        source=item.source,
                        scan_id=item.run_id,
                        event_ids={item.external_id: item.event_id},
                    )
        for item in page:
            metrics.REANNOUNCED.labels(item.source).inc()
            RecordAnnouncer.report_deletions(item.source, {item.external_id: item.event_id})
        return len(page)

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
