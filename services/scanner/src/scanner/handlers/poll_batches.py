"""Compares a poll's records with the inventory, a batch at a time, and announces what changed.

Hashes, announcements and events of a batch commit together, so a poll that is killed and started
again neither loses nor doubles one; memory is bounded by a page and a batch.
"""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from chassis import failpoints
from chassis.clock import Clock
from chassis.db import Transaction
from chassis.logs import get_logger
from chassis.runs import RunContext
from contracts.errors import ErrorCategory
from contracts.runs import RunCounts
from scanner import metrics
from scanner.domain.hashing import UnhashableRecordError
from scanner.domain.record_changes import (
    RecordDifference,
    RecordVerdict,
    SeenRecord,
    UnidentifiedRecordError,
    identify,
    judge,
)
from scanner.domain.records import ItemFailure, RawRecord, RecordPage
from scanner.handlers.record_announcer import Change, ReadyRecord, RecordAnnouncer
from scanner.handlers.record_catalog import RecordSourceEntry
from scanner.ports import Mark
from scanner.ports.records import HashSpecs, Polls, RecordAnnouncement, RecordInventory

MAX_GAPS = 20
"""So many reasons are written down; more say nothing new."""

GROWTH_RECORDS = 500
"""So many new records in one batch: the tables are growing away from their statistics."""


@dataclass(slots=True)
class PollTally:
    """What a poll saw and did; survives a crash through the run's checkpoint."""

    processed: int = 0
    new: int = 0
    changed: int = 0
    repeated: int = 0
    rehashed: int = 0
    deleted: int = 0
    failed: int = 0
    held: int = 0
    total: int | None = None
    high_water: str | None = None
    gaps: list[str] = field(default_factory=list)

    @classmethod
    def resume(cls, checkpoint: Mapping[str, int] | None) -> "PollTally":
        """Take up what earlier attempts of the run announced; everything else is seen anew."""
        before = checkpoint or {}
        return cls(
            new=before.get("new", 0),
            changed=before.get("changed", 0),
            repeated=before.get("repeated", 0),
            deleted=before.get("deleted", 0),
        )

    def announced(self, announcements: Sequence[RecordAnnouncement]) -> None:
        """Count announcements."""
        for item in announcements:
            self.new += item.verdict is RecordVerdict.NEW
            self.changed += item.verdict is RecordVerdict.CHANGED
            self.repeated += item.verdict is RecordVerdict.REPEATED

    def note_gap(self, reason: str) -> None:
        """Note that the source has records that were not told, and cannot be named."""
        if len(self.gaps) < MAX_GAPS and reason not in self.gaps:
            self.gaps.append(reason)

    def checkpoint(self) -> dict[str, int]:
        """Return what a resumed run has to know."""
        return {
            "new": self.new,
            "changed": self.changed,
            "repeated": self.repeated,
            "deleted": self.deleted,
        }

    def counts(self) -> RunCounts:
        """Return the tally in the ledger's terms (C-12)."""
        announced = self.new + self.changed + self.repeated
        return RunCounts(
            processed=self.processed,
            new=self.new,
            changed=self.changed,
            unchanged=max(0, self.processed - announced - self.failed),
            deleted=self.deleted,
            failed=self.failed,
            quarantined=self.held,
        )


@dataclass(frozen=True, slots=True)
class BatchPorts:
    """What applying a batch needs from outside."""

    inventory: RecordInventory
    polls: Polls
    announcer: RecordAnnouncer
    clock: Clock


@dataclass(slots=True)
class _Sorted:
    announced: list[Change] = field(default_factory=list)
    rehashed: list[SeenRecord] = field(default_factory=list)
    returned: list[SeenRecord] = field(default_factory=list)

    def take(self, record: SeenRecord, verdict: RecordVerdict) -> None:
        if verdict.is_announced:
            self.announced.append((record, verdict))
        elif verdict is RecordVerdict.REHASHED:
            self.rehashed.append(record)
        elif verdict is RecordVerdict.RETURNED:
            self.returned.append(record)


class BatchApplier:
    """Applies the pages of one poll."""

    def __init__(
        self,
        context: RunContext,
        mark: Mark,
        entry: RecordSourceEntry,
        *,
        specs: HashSpecs,
        ports: BatchPorts,
        tally: PollTally,
        remembers: bool,
    ) -> None:
        self._context = context
        self._mark = mark
        self._entry = entry
        self._specs = specs
        self._ports = ports
        self._tally = tally
        self._remembers = remembers
        self._is_refreshed = False

    async def apply(self, page: RecordPage) -> None:
        """Compare a page, announce what changed, note what failed."""
        tally = self._tally
        tally.total = page.total if page.total is not None else tally.total
        tally.high_water = page.high_water or tally.high_water
        if page.gap is not None:
            tally.note_gap(page.gap)
        failures = list(page.failures)
        for begin in range(0, len(page.records), self._entry.batch_size):
            records = page.records[begin : begin + self._entry.batch_size]
            await self._apply_batch(records, failures)
            failures = []
        if failures:
            await self._apply_batch((), failures)

    async def _apply_batch(self, records: Sequence[RawRecord], failures: list[ItemFailure]) -> None:
        tally = self._tally
        tally.processed += len(records) + len(failures)
        seen = self._identify(records, failures)
        if self._context.run.dry_run:
            await self._preview(seen, failures)
        else:
            await self._write(seen, failures)
        tally.failed += len(failures)
        self._report_failures(failures)
        await self._context.report(
            tally.counts(), total=tally.total, message=f"{tally.processed} records read"
        )

    def _identify(
        self, records: Sequence[RawRecord], failures: list[ItemFailure]
    ) -> dict[str, SeenRecord]:
        found: dict[str, SeenRecord] = {}
        for record in records:
            external_id: str | None = None
            try:
                external_id = identify(record, self._entry.scan.id)
                content_hash = self._specs.present.hash(record)
            except (UnidentifiedRecordError, UnhashableRecordError) as error:
                failures.append(_invalid(external_id, error))
                continue
            twin = found.setdefault(external_id, SeenRecord(external_id, content_hash, record))
            if twin.content_hash != content_hash:
                failures.append(_told_twice(external_id))
        return found

    async def _write(self, seen: Mapping[str, SeenRecord], failures: list[ItemFailure]) -> None:
        ports = self._ports
        async with self._context.transaction() as transaction:
            differences = await ports.inventory.compare(
                transaction,
                self._mark.source,
                records=list(seen.values()),
                version=self._specs.version,
                remembers=self._remembers,
            )
        found = self._sort(seen, differences, failures)
        # Large records go to the object store here: no transaction waits for it.
        ready, refused = await ports.announcer.prepare(
            self._entry.scan.entity_type,
            found.announced,
            mark=self._mark,
            version=self._specs.version,
        )
        failures.extend(refused)
        if not (ready or found.rehashed or found.returned or failures):
            return
        async with self._context.transaction() as transaction:
            await self._announce(transaction, ready)
            await self._settle(transaction, found)
            await self._note_failures(transaction, failures)
            await self._context.checkpoint(self._tally.checkpoint(), transaction=transaction)
        ports.announcer.report(self._mark.source, [item for item, _ in ready])
        await self._refresh_statistics(len(ready))
        await failpoints.reach("poll.after_batch")

    def _sort(
        self,
        seen: Mapping[str, SeenRecord],
        differences: Sequence[RecordDifference],
        failures: list[ItemFailure],
    ) -> _Sorted:
        found = _Sorted()
        for item in differences:
            record = seen[item.external_id]
            verdict = judge(
                record.content_hash,
                item.known,
                version=self._specs.version,
                rehash=functools.partial(self._rehash, record),
            )
            if item.is_repeated and verdict.is_announced:
                failures.append(_told_twice(item.external_id))
            else:
                found.take(record, verdict)
        return found

    def _rehash(self, seen: SeenRecord, version: int) -> bytes | None:
        spec = self._specs.earlier.get(version)
        return None if spec is None else spec.hash(seen.record)

    async def _announce(self, transaction: Transaction, ready: Sequence[ReadyRecord]) -> None:
        announcements = [announcement for announcement, _ in ready]
        if not announcements:
            return
        await self._ports.inventory.announce(
            transaction,
            self._mark,
            announcements=announcements,
            version=self._specs.version,
            now=self._ports.clock.now(),
        )
        self._ports.announcer.publish(transaction, ready)
        self._tally.announced(announcements)

    async def _settle(self, transaction: Transaction, found: _Sorted) -> None:
        """Write what consumers need not be told."""
        inventory, source = self._ports.inventory, self._mark.source
        if found.rehashed:
            await inventory.rehash(
                transaction, source, records=found.rehashed, version=self._specs.version
            )
            self._tally.rehashed += len(found.rehashed)
        if back := [item.external_id for item in (*found.returned, *found.rehashed)]:
            await inventory.returned(transaction, source, external_ids=back)

    async def _note_failures(
        self, transaction: Transaction, failures: Sequence[ItemFailure]
    ) -> None:
        """Write what failed; a record that is known by name is read again by the next poll."""
        if not failures:
            return
        ports, source = self._ports, self._mark.source
        await ports.polls.record_failures(transaction, self._mark, failures)
        named = sorted({item.external_id for item in failures if item.external_id is not None})
        if named:
            await ports.inventory.keep_seen(transaction, source, external_ids=named)
            await ports.polls.note_due(
                transaction,
                source,
                external_ids=named,
                reason="it could not be read",
                now=ports.clock.now(),
            )
        if any(item.external_id is None for item in failures):
            self._tally.note_gap("a record could not be read, and nobody knows which")

    def _report_failures(self, failures: Sequence[ItemFailure]) -> None:
        for item in failures:
            metrics.RECORD_FAILURES.labels(self._mark.source, item.category.value).inc()
            metrics.count_error(item.category)
            get_logger().warning(
                "record_failed",
                source=self._mark.source,
                external_id=item.external_id,
                category=item.category.value,
                reason=item.message,
                outcome="warning",
            )

    async def _refresh_statistics(self, announced: int) -> None:
        if self._is_refreshed or announced < GROWTH_RECORDS:
            return
        self._is_refreshed = True
        await self._ports.inventory.refresh_statistics()

    async def _preview(self, seen: Mapping[str, SeenRecord], failures: list[ItemFailure]) -> None:
        """Count what a poll would find, and write nothing."""
        async with self._context.transaction() as transaction:
            differences = await self._ports.inventory.compare(
                transaction,
                self._mark.source,
                records=list(seen.values()),
                version=self._specs.version,
                remembers=False,
            )
        found = self._sort(seen, differences, failures)
        self._tally.announced(
            [
                RecordAnnouncement(item.external_id, verdict, item.content_hash, "")
                for item, verdict in found.announced
            ]
        )


def _invalid(external_id: str | None, error: ValueError) -> ItemFailure:
    return ItemFailure(
        external_id, ErrorCategory.CONTENT_VALIDATION, type(error).__name__, str(error)
    )


def _told_twice(external_id: str) -> ItemFailure:
    return ItemFailure(
        external_id,
        ErrorCategory.CONTENT_VALIDATION,
        "AmbiguousRecordError",
        "the source tells two different records with this identity; the first one stands",
    )
