"""Decides which missing records are deleted, and announces them (docs/decisions/0013).

Runs at the end of a complete full poll. Too many at once are held for a person; a source that can
be asked for single records is asked for each of the others before its deletion is announced.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import uuid4

from chassis import failpoints
from chassis.clock import Clock
from chassis.db import Transaction
from chassis.logs import get_logger
from chassis.runs import RunContext
from contracts.errors import ErrorCategory
from scanner import metrics
from scanner.domain.guard import DeletionRules
from scanner.domain.record_changes import UnidentifiedRecordError, identify
from scanner.domain.records import ById
from scanner.handlers.poll_batches import PollTally
from scanner.handlers.record_announcer import RecordAnnouncer
from scanner.handlers.record_catalog import RecordSourceEntry
from scanner.ports import AuditTrail, Belief, Mark
from scanner.ports.records import RecordDeletions, RecordInventory, RecordSource

PAGE = 500


@dataclass(frozen=True, slots=True)
class RecordJudgePorts:
    """What judging needs from outside."""

    inventory: RecordInventory
    deletions: RecordDeletions
    audit: AuditTrail
    announcer: RecordAnnouncer
    clock: Clock


class RecordJudge:
    """Judges the missing records of one poll."""

    def __init__(
        self,
        context: RunContext,
        mark: Mark,
        entry: RecordSourceEntry,
        *,
        rules: DeletionRules,
        source: RecordSource,
        ports: RecordJudgePorts,
        tally: PollTally,
    ) -> None:
        self._context = context
        self._mark = mark
        self._entry = entry
        self._rules = rules
        self._source = source
        self._ports = ports
        self._tally = tally
        self._belief = Belief(rules.needed_misses, rules.believed_before(mark.started_at))

    async def judge(self, *, releases: bool) -> None:
        """Announce or hold what is believed gone; `releases` lets go what was held before."""
        deletions = self._ports.deletions
        async with self._context.transaction() as transaction:
            await deletions.miss(transaction, self._mark)
        fresh = await deletions.count(self._mark, self._belief, held=False)
        held = await deletions.count(self._mark, self._belief, held=True)
        if releases and held:
            await self._release(held)
        missing = fresh if releases else fresh + held
        reason = await self._hold_reason(missing) if missing else None
        if reason is not None:
            await self._hold(reason)
        elif fresh:
            await self._announce(held=False)
        await self.count_held()

    async def count_held(self) -> None:
        """Take up how many deletions wait for a person."""
        self._tally.held = await self._ports.deletions.held(self._mark.source)
        metrics.HELD_DELETIONS.labels(self._mark.source).set(self._tally.held)

    async def _hold_reason(self, missing: int) -> str | None:
        if self._rules.is_guarded and not self._tally.processed:
            return "the source told no record at all"
        total = await self._ports.inventory.count_present(self._mark.source)
        return self._rules.hold_reason(missing, total, noun="records")

    async def _hold(self, reason: str) -> None:
        async with self._context.transaction() as transaction:
            count = await self._ports.deletions.hold(
                transaction, self._mark, self._belief, reason=reason
            )
            if count:
                await self._record(transaction, "deletions.held", count=count, reason=reason)
        metrics.count_error(ErrorCategory.DELETION_GUARD)
        get_logger().error(
            "deletions_held",
            source=self._mark.source,
            category=ErrorCategory.DELETION_GUARD.value,
            outcome="warning",
            count=count,
            reason=reason,
            hint="look at the source; then `scan.requested` with `release_held_deletions`",
        )

    async def _release(self, held: int) -> None:
        async with self._context.transaction() as transaction:
            await self._record(transaction, "deletions.released", count=held, reason=None)
        await self._announce(held=True)

    async def _announce(self, *, held: bool) -> None:
        after: str | None = None
        while page := await self._ports.deletions.page(
            self._mark, self._belief, held=held, after=after, limit=PAGE
        ):
            after = page[-1]
            there = await self._ask(page)
            await self._conclude([item for item in page if item not in there], sorted(there))
            await self._context.report(self._tally.counts(), message="deletions announced")

    async def _ask(self, external_ids: Sequence[str]) -> set[str]:
        """Return which of these the source gives, or fails to give, when asked by name."""
        there: set[str] = set()
        if not (self._rules.is_guarded and self._source.abilities.by_id):
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

    async def _conclude(self, gone: Sequence[str], there: Sequence[str]) -> None:
        source, ports = self._mark.source, self._ports
        event_ids = {external_id: str(uuid4()) for external_id in gone}
        async with self._context.transaction() as transaction:
            await ports.inventory.returned(transaction, source, external_ids=there)
            await ports.deletions.conclude(
                transaction, self._mark, event_ids=event_ids, now=ports.clock.now()
            )
            ports.announcer.publish_deletions(
                transaction,
                self._entry.scan.entity_type,
                source=source,
                scan_id=self._mark.scan_id,
                event_ids=event_ids,
            )
            self._tally.deleted += len(event_ids)
            await self._context.checkpoint(self._tally.checkpoint(), transaction=transaction)
        ports.announcer.report_deletions(source, event_ids)
        metrics.DELETIONS_REFUSED.labels(source).inc(len(there))
        await failpoints.reach("poll.after_deletions")

    async def _record(
        self, transaction: Transaction, action: str, *, count: int, reason: str | None
    ) -> None:
        run = self._context.run
        await self._ports.audit.record(
            transaction,
            actor=run.requester,
            action=action,
            subject=self._mark.source,
            details={"run_id": run.run_id, "count": count, "reason": reason or run.reason},
        )
