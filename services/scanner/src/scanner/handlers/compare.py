"""Compares listings with the inventory, a chunk at a time, and announces what came to rest.

Memory is bounded by a chunk: some thousand files, or one directory if that has more (C-10). Rows
and events of an announcement commit together, so a scan that is killed and started again neither
loses nor doubles one.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from chassis import failpoints
from chassis.clock import Clock
from chassis.db import Transaction
from chassis.runs import RunContext
from contracts.runs import RunCounts
from scanner.domain.changes import Announce, Change, Decision, Miss, Observe, decide
from scanner.domain.descent import is_quiet
from scanner.domain.files import parent_of
from scanner.domain.observations import Announcement, Difference, DirectoryNote, Listing
from scanner.handlers.announcer import Announcer
from scanner.ports import Inventory, Mark

CHUNK_WEIGHT = 2000
"""Entries per comparison."""

EVENTS_PER_TRANSACTION = 500

GROWTH_ENTRIES = 500
"""So many new states in one chunk: the tables are growing away from their statistics."""

QUEUE_LISTINGS = 32
"""Listings that wait for their comparison before the walk does."""

ListingQueue = asyncio.Queue[Listing | None]


@dataclass(slots=True)
class Tally:
    """What a scan saw and did; survives a crash through the run's checkpoint."""

    directories: int = 0
    files: int = 0
    added: int = 0
    modified: int = 0
    deleted: int = 0
    missing: int = 0
    held: int = 0
    failed: int = 0

    @classmethod
    def resume(cls, checkpoint: dict[str, int] | None) -> "Tally":
        """Take up what earlier attempts of the run announced; everything else is seen anew."""
        before = checkpoint or {}
        return cls(
            added=before.get("added", 0),
            modified=before.get("modified", 0),
            deleted=before.get("deleted", 0),
        )

    def announced(self, announcements: Sequence[Announcement]) -> None:
        """Count announcements."""
        for item in announcements:
            self.added += item.change.change is Change.ADDED
            self.modified += item.change.change is Change.MODIFIED
            self.deleted += item.change.change is Change.DELETED

    def checkpoint(self) -> dict[str, int]:
        """Return what a resumed run has to know."""
        return {"added": self.added, "modified": self.modified, "deleted": self.deleted}

    def counts(self) -> RunCounts:
        """Return the tally in the ledger's terms."""
        return RunCounts(
            processed=self.files,
            new=self.added,
            changed=self.modified,
            unchanged=max(0, self.files - self.added - self.modified),
            deleted=self.deleted,
            failed=self.failed,
            quarantined=self.held,
        )


@dataclass(frozen=True, slots=True)
class CompareRules:
    """How one source is compared."""

    settle: timedelta
    quiet: timedelta


@dataclass(slots=True)
class _Sorted:
    observe: list[Observe] = field(default_factory=list)
    announce: list[Announce] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)

    def take(self, decision: Decision) -> None:
        match decision:
            case Observe():
                self.observe.append(decision)
            case Announce():
                self.announce.append(decision)
            case Miss(path):
                self.missed.append(path)


class Comparer:
    """Compares the listings of one scan."""

    def __init__(
        self,
        context: RunContext,
        mark: Mark,
        rules: CompareRules,
        *,
        inventory: Inventory,
        announcer: Announcer,
        tally: Tally,
        clock: Clock,
    ) -> None:
        self._context = context
        self._mark = mark
        self._rules = rules
        self._inventory = inventory
        self._announcer = announcer
        self._tally = tally
        self._clock = clock
        self._is_refreshed = False

    async def consume(self, queue: ListingQueue, *, counts_files: bool) -> None:
        """Compare what arrives until `None` does; `counts_files` is off for second looks."""
        chunk: list[Listing] = []
        weight = 0
        while (listing := await queue.get()) is not None:
            chunk.append(listing)
            weight += listing.weight
            if counts_files:
                self._tally.directories += 1
                self._tally.files += len(listing.files)
            if weight >= CHUNK_WEIGHT:
                await self._apply(chunk)
                chunk, weight = [], 0
        if chunk:
            await self._apply(chunk)

    async def _apply(self, chunk: Sequence[Listing]) -> None:
        if self._context.run.dry_run:
            await self._preview(chunk)
        else:
            await self._write(chunk)
        await self._context.report(
            self._tally.counts(), message=f"{self._tally.directories} folders listed"
        )

    async def _write(self, chunk: Sequence[Listing]) -> None:
        source = self._mark.source
        async with self._context.transaction() as transaction:
            differences = await self._inventory.differences(transaction, source, chunk)
            found = self._decide(chunk, differences)
            if found.observe:
                await self._inventory.observe(
                    transaction, source, observations=found.observe, now=chunk[-1].listed_at
                )
            if found.missed:
                await self._inventory.mark_missing(transaction, self._mark, paths=found.missed)
            gone = await self._inventory.mark_gone(transaction, self._mark, listings=chunk)
            if not found.announce:
                await self._remember(transaction, chunk)
        self._tally.missing += len(found.missed) + gone
        await failpoints.reach("scan.after_observe")
        await self._refresh_statistics(len(found.observe))
        await self._announce(found.announce)
        if found.announce:
            # Only now has what was settling come to rest, so that the folder may be left out.
            async with self._context.transaction() as transaction:
                await self._remember(transaction, chunk)

    async def _refresh_statistics(self, observed: int) -> None:
        if self._is_refreshed or observed < GROWTH_ENTRIES:
            return
        self._is_refreshed = True
        await self._inventory.refresh_statistics()

    async def _announce(self, changes: Sequence[Announce]) -> None:
        for begin in range(0, len(changes), EVENTS_PER_TRANSACTION):
            page = self._announcer.prepare(changes[begin : begin + EVENTS_PER_TRANSACTION])
            async with self._context.transaction() as transaction:
                await self._inventory.announce(
                    transaction, self._mark, announcements=page, now=self._clock.now()
                )
                self._announcer.publish(
                    transaction,
                    self._mark.source,
                    announcements=page,
                    scan_id=self._mark.scan_id,
                )
                self._tally.announced(page)
                await self._context.checkpoint(self._tally.checkpoint(), transaction=transaction)
            self._announcer.report(self._mark.source, page)
            await failpoints.reach("scan.after_announce")

    def _decide(self, chunk: Sequence[Listing], differences: Sequence[Difference]) -> _Sorted:
        listed_at = {listing.directory: listing.listed_at for listing in chunk}
        found = _Sorted()
        for item in differences:
            path = item.seen.path if item.seen else item.known.path if item.known else ""
            decision = decide(
                item.seen,
                item.known,
                now=listed_at[parent_of(path)],
                settle=self._rules.settle,
            )
            if decision is not None:
                found.take(decision)
        return found

    async def _remember(self, transaction: Transaction, chunk: Sequence[Listing]) -> None:
        notes = [
            DirectoryNote(
                path=listing.directory,
                parent=listing.parent,
                modified_us=listing.modified_us,
                is_leaf=listing.is_leaf,
                is_quiet=is_quiet(
                    listing.modified_us, listed_at=listing.listed_at, quiet=self._rules.quiet
                ),
            )
            for listing in chunk
        ]
        await self._inventory.remember(transaction, self._mark.source, notes=notes)

    async def _preview(self, chunk: Sequence[Listing]) -> None:
        """Count what a scan would find, and write nothing."""
        async with self._context.transaction() as transaction:
            differences = await self._inventory.differences(transaction, self._mark.source, chunk)
        for item in differences:
            known = item.known
            if item.seen is None:
                self._tally.missing += 1
            elif known is None or not known.is_present or known.announced is None:
                self._tally.added += 1
            elif item.seen.fingerprint != known.announced:
                self._tally.modified += 1
