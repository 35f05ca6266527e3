"""Asks a source for missing records by name, where it can be asked, and announces the deletion of
those that are gone.
"""

from collections.abc import Sequence
from uuid import uuid4

from chassis import failpoints
from chassis.clock import Clock
from chassis.runs import RunContext
from scanner import metrics
from scanner.domain.record_changes import UnidentifiedRecordError, identify
from scanner.domain.records import ById
from scanner.handlers.poll_batches import PollTally
from scanner.handlers.record_announcer import RecordAnnouncer
from scanner.handlers.record_catalog import RecordSourceEntry
from scanner.ports import Mark
from scanner.ports.records import RecordInventory, RecordSource


class MissingRecords:
    """The missing records of one poll."""

    def __init__(
        self,
        context: RunContext,
        mark: Mark,
        source: RecordSource,
        *,
        entry: RecordSourceEntry,
        inventory: RecordInventory,
        announcer: RecordAnnouncer,
        clock: Clock,
        tally: PollTally,
        is_guarded: bool,
    ) -> None:
        self._context = context
        self._mark = mark
        self._source = source
        self._entry = entry
        self._inventory = inventory
        self._announcer = announcer
        self._clock = clock
        self._tally = tally
        self._is_guarded = is_guarded

    async def announce(self, external_ids: Sequence[str]) -> None:
        """Announce the deletion of those that the source does not give."""
        there = await self._ask(external_ids)
        source = self._mark.source
        event_ids = {item: str(uuid4()) for item in external_ids if item not in there}
        async with self._context.transaction() as transaction:
            await self._inventory.returned(transaction, source, external_ids=sorted(there))
            await self._inventory.conclude(
                transaction, self._mark, event_ids=event_ids, now=self._clock.now()
            )
            self._announcer.publish_deletions(
                transaction,
                self._entry.scan.entity_type,
                source=source,
                scan_id=self._mark.scan_id,
                event_ids=event_ids,
            )
            self._tally.deleted += len(event_ids)
            await self._context.checkpoint(self._tally.checkpoint(), transaction=transaction)
        self._announcer.report_deletions(source, event_ids)
        metrics.DELETIONS_REFUSED.labels(source).inc(len(there))
        await failpoints.reach("poll.after_deletions")

    async def _ask(self, external_ids: Sequence[str]) -> set[str]:
        """Return which of these the source gives, or fails to give, when asked by name."""
        there: set[str] = set()
        if not (self._is_guarded and self._source.abilities.by_id):
            return there
        async for page in self._source.poll(ById(tuple(external_ids))):
            if page.gap is not None:
                return set(external_ids)
            there.update(item.external_id for item in page.failures if item.external_id is not None)
            for record in page.records:
                try:
                    there.add(identify(record, self._entry.scan.id))
                except UnidentifiedRecordError:
                    return set(external_ids)
        return there.intersection(external_ids)
