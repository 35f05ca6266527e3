"""Decides which missing files, or records, are deleted (docs/decisions/0013).

Runs at the end of a scan or a poll that saw everything. Too many at once are held for a person; the
others are announced, page by page, by `missing_files` or `missing_records`.
"""

from collections.abc import Awaitable, Callable, Sequence

from chassis.db import Transaction
from chassis.logs import get_logger
from chassis.runs import RunContext
from contracts.errors import ErrorCategory
from scanner import metrics
from scanner.domain.guard import DeletionRules
from scanner.handlers.compare import Tally
from scanner.handlers.poll_batches import PollTally
from scanner.ports import AuditTrail, Belief, Inventory, Mark, Missing
from scanner.ports.records import RecordInventory

PAGE = 500
"""Deletions per transaction."""

AnnounceGone = Callable[[Sequence[str]], Awaitable[None]]
"""Announces the deletion of those that are gone when they are asked for by name."""


class Judge:
    """Judges what one scan, or poll, has missed.

    Args:
        context, mark, tally: of the scan or poll.
        rules, missing, inventory, audit: what is judged by, and where it is written down.
        announce: announces a page of deletions.
        noun: what the keys are, for people.
        place: where people look when deletions are held.
    """

    def __init__(
        self,
        context: RunContext,
        mark: Mark,
        rules: DeletionRules,
        *,
        missing: Missing,
        inventory: Inventory | RecordInventory,
        audit: AuditTrail,
        tally: Tally | PollTally,
        announce: AnnounceGone,
        noun: str,
        place: str,
    ) -> None:
        self._context = context
        self._mark = mark
        self._rules = rules
        self._missing = missing
        self._inventory = inventory
        self._audit = audit
        self._tally = tally
        self._announce_gone = announce
        self._noun = noun
        self._place = place
        self._belief = Belief(rules.needed_misses, rules.believed_before(mark.started_at))

    async def judge(self, *, doubt: str | None, releases: bool) -> None:
        """Announce or hold what is believed gone.

        Args:
            doubt: why the listing as a whole is not believed, if so.
            releases: lets go what was held before.
        """
        fresh = await self._missing.count(self._mark, self._belief, held=False)
        held = await self._missing.count(self._mark, self._belief, held=True)
        if releases and held:
            await self._release(held)
        # What is held and still missing counts: a half-mounted share stays held as a whole.
        missing = fresh if releases else fresh + held
        total = await self._inventory.count_present(self._mark.source) if missing else 0
        reason = self._rules.hold_reason(missing, total, doubt=doubt, noun=self._noun)
        if reason is not None:
            await self._hold(reason)
        elif fresh:
            await self._announce(held=False)
        await self.count_held()

    async def count_held(self) -> None:
        """Take up how many deletions wait for a person."""
        self._tally.held = await self._missing.held(self._mark.source)
        metrics.HELD_DELETIONS.labels(self._mark.source).set(self._tally.held)

    async def _hold(self, reason: str) -> None:
        async with self._context.transaction() as transaction:
            count = await self._missing.hold(transaction, self._mark, self._belief, reason=reason)
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
            hint=f"look at the {self._place}; then `scan.requested` with `release_held_deletions`",
        )

    async def _release(self, held: int) -> None:
        async with self._context.transaction() as transaction:
            await self._record(transaction, "deletions.released", count=held, reason=None)
        await self._announce(held=True)

    async def _announce(self, *, held: bool) -> None:
        after: str | None = None
        while page := await self._missing.page(
            self._mark, self._belief, held=held, after=after, limit=PAGE
        ):
            after = page[-1]
            await self._announce_gone(page)
            await self._context.report(self._tally.counts(), message="deletions announced")

    async def _record(
        self, transaction: Transaction, action: str, *, count: int, reason: str | None
    ) -> None:
        run = self._context.run
        await self._audit.record(
            transaction,
            actor=run.requester,
            action=action,
            subject=self._mark.source,
            details={"run_id": run.run_id, "count": count, "reason": reason or run.reason},
        )
