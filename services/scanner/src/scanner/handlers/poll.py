"""The job `scan` of a record source: one poll, from opening the source to its last announcement."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Collection, Sequence
from dataclasses import dataclass

from chassis.clock import Clock
from chassis.errors import PermanentError, UnavailableError
from chassis.logs import get_logger
from chassis.runs import RunContext
from contracts.errors import ErrorCategory
from contracts.runs import RunCounts
from scanner import metrics
from scanner.domain.record_changes import UnidentifiedRecordError, identify
from scanner.domain.records import ById, Full, PollRequest, RecordPage, Since
from scanner.errors import ScanRequestError, UniverseError
from scanner.handlers.frame import ScanParameters, closing, counted_errors
from scanner.handlers.judge import Judge
from scanner.handlers.missing_records import MissingRecords
from scanner.handlers.poll_batches import BatchApplier, BatchPorts, PollTally
from scanner.handlers.record_announcer import RecordAnnouncer
from scanner.handlers.record_catalog import RecordCatalog, RecordSourceEntry
from scanner.ports import AuditTrail, Mark, Missing
from scanner.ports.records import (
    HashSpecs,
    PollMode,
    PollRecord,
    Polls,
    RecordInventory,
    RecordList,
    RecordSource,
)

DUE_AT_ONCE = 5000
"""Records that are read again by name in one poll; the rest follows with the next ones."""

OpenRecords = Callable[[RecordSourceEntry], RecordSource]
OpenList = Callable[[RecordSourceEntry], RecordList | None]


@dataclass(frozen=True, slots=True)
class PollPorts:
    """What polling needs from outside."""

    inventory: RecordInventory
    missing: Missing
    polls: Polls
    audit: AuditTrail
    announcer: RecordAnnouncer
    clock: Clock
    open_list: OpenList


class PollSource:
    """Executes runs of the kind `scan` whose target is a record source."""

    def __init__(
        self,
        catalog: RecordCatalog,
        open_records: OpenRecords,
        ports: PollPorts,
        *,
        is_guarded: bool = True,
    ) -> None:
        self._catalog = catalog
        self._open_records = open_records
        self._ports = ports
        self._is_guarded = is_guarded

    def names(self) -> Collection[str]:
        """Return the names of all record sources."""
        return self._catalog.names()

    async def __call__(self, context: RunContext) -> RunCounts:
        """Poll the run's target."""
        with counted_errors():
            entry = self._catalog.resolve(context.run.target)
            source = self._open_records(entry)
            async with closing(source), _answering(source, entry):
                poll = Poll(context, entry, source, ports=self._ports, is_guarded=self._is_guarded)
                return await poll.run()


@contextlib.asynccontextmanager
async def _answering(source: RecordSource, entry: RecordSourceEntry) -> AsyncGenerator[None]:
    up = metrics.SOURCE_UP.labels(entry.name)
    try:
        async with asyncio.timeout(entry.scan.timeout_seconds):
            description = await source.describe()
        up.set(1)
        get_logger().debug("source_opened", source=entry.name, kind=description.kind)
        yield
    except TimeoutError as error:
        up.set(0)
        raise UnavailableError(
            f"`{entry.name}` does not answer in time", category=ErrorCategory.SOURCE_REQUEST
        ) from error
    except UnavailableError:
        up.set(0)
        raise


class Poll:
    """One poll in progress."""

    def __init__(
        self,
        context: RunContext,
        entry: RecordSourceEntry,
        source: RecordSource,
        *,
        ports: PollPorts,
        is_guarded: bool,
    ) -> None:
        self._context = context
        self._entry = entry
        self._source = source
        self._ports = ports
        self._rules = entry.scan.deletion_rules(is_guarded=is_guarded)
        self._asked = ScanParameters.model_validate(context.run.parameters)
        self._tally = PollTally.resume(context.run.checkpoint)
        run = context.run
        self._mark = Mark(entry.name, run.run_id, run.attempts, ports.clock.now())
        self._is_dry = run.dry_run

    async def run(self) -> RunCounts:
        """Read the source, compare, judge what is missing, and write down what came of it.

        Raises:
            TransientError: the source went away; what was announced before stands.
            UniverseError: the set of records moved too far; nothing was announced.
        """
        if self._asked.prefix:
            raise ScanRequestError(f"`{self._entry.name}` has records, not folders: no `prefix`")
        started = self._ports.clock.monotonic()
        record, specs = await self._begin()
        await self._check_universe(record)
        applier = self._applier(specs, remembers=record.mode is PollMode.FULL)
        await self._read(record, applier)
        settled = await self._read_due(record, applier)
        if not self._is_dry:
            await self._judge(record)
            await self._finish(record, settled)
        self._measure(record, self._ports.clock.monotonic() - started)
        return self._tally.counts()

    async def _begin(self) -> tuple[PollRecord, HashSpecs]:
        record = await self._choose_mode()
        async with self._context.transaction() as transaction:
            inventory = self._ports.inventory
            specs = await inventory.specs(
                transaction,
                self._entry.name,
                self._entry.scan.hash_spec(),
                adds=not self._is_dry,
            )
            if not self._is_dry:
                await inventory.begin(transaction, self._entry.name)
                await self._ports.polls.begin(transaction, record)
        return record, specs

    async def _choose_mode(self) -> PollRecord:
        """Ask for changes only where the source can tell them, and a full poll is not due."""
        entry, asked = self._entry, self._asked.mode
        progress = await self._ports.polls.progress(entry.name)
        overlap, full_interval = entry.scan.overlap, entry.scan.full_interval
        if overlap is None or full_interval is None or not self._source.abilities.since:
            return PollRecord(self._mark, PollMode.FULL)
        is_due = (
            progress.last_full_at is None
            or self._mark.started_at - progress.last_full_at >= full_interval
        )
        wants_full = asked == "full" or self._asked.release_held_deletions
        if progress.high_water is None or wants_full or (is_due and asked == "auto"):
            reason = "no earlier success" if progress.high_water is None else "due, or asked for"
            get_logger().info("poll_full", source=entry.name, reason=reason)
            return PollRecord(self._mark, PollMode.FULL)
        return PollRecord(
            self._mark, PollMode.SINCE, asked_since=overlap.below(progress.high_water)
        )

    def _applier(self, specs: HashSpecs, *, remembers: bool) -> BatchApplier:
        ports = self._ports
        return BatchApplier(
            self._context,
            self._mark,
            self._entry,
            specs=specs,
            ports=BatchPorts(ports.inventory, ports.polls, ports.announcer, ports.clock),
            tally=self._tally,
            remembers=remembers,
        )

    async def _check_universe(self, record: PollRecord) -> None:
        """Read the source once before anything is announced, where its set of records is guarded.

        Raises:
            UniverseError: too many records are new or gone, or there are too few.
        """
        band = self._entry.scan.band
        if band is None or record.mode is not PollMode.FULL or self._is_dry:
            return
        known = await self._ports.inventory.count_present(self._entry.name)
        count = await self._note_ids()
        if count < band.min_records:
            raise UniverseError(f"{count} records, {band.min_records} are the least to believe")
        added, gone = await self._ports.inventory.compare_universe(self._entry.name)
        share = (added + gone) / known if known else 0.0
        if share > band.max_change_share and not self._asked.release_held_deletions:
            raise UniverseError(
                f"{added} records are new and {gone} gone, of {known} known: "
                f"{share:.1%}, the band is {band.max_change_share:.1%}",
                source=self._entry.name,
            )
        async with self._context.transaction() as transaction:
            await self._ports.inventory.begin(transaction, self._entry.name)

    async def _note_ids(self) -> int:
        count = 0
        async for page in self._pages(Full()):
            ids = page_ids(page, self._entry)
            count += len(ids)
            async with self._context.transaction() as transaction:
                await self._ports.inventory.keep_seen(
                    transaction, self._entry.name, external_ids=ids
                )
        return count

    async def _read(self, record: PollRecord, applier: BatchApplier) -> None:
        since = record.asked_since
        request: PollRequest = Full() if since is None else Since(since)
        limit = self._entry.max_records
        async for page in self._pages(request):
            if limit and self._tally.processed + len(page.records) > limit:
                keep = limit - self._tally.processed
                await applier.apply(_cut(page, keep))
                return
            await applier.apply(page)

    async def _read_due(self, record: PollRecord, applier: BatchApplier) -> Sequence[str] | None:
        """Read again what failed or was never answered; return what was read, None for all."""
        if record.mode is PollMode.FULL:
            return [] if self._tally.gaps else None
        if not self._source.abilities.by_id:
            return []
        due = await self._ports.polls.due(self._entry.name, limit=DUE_AT_ONCE)
        if due:
            high_water = self._tally.high_water
            async for page in self._pages(ById(tuple(due))):
                await applier.apply(page)
            self._tally.high_water = high_water
        return due

    async def _pages(self, request: PollRequest) -> AsyncGenerator[RecordPage]:
        """Yield pages; one that takes too long is an outage.

        Raises:
            UnavailableError: the source does not answer in time.
        """
        async with contextlib.aclosing(self._source.poll(request)) as pages:
            while True:
                try:
                    async with asyncio.timeout(self._entry.scan.timeout_seconds):
                        page = await anext(pages)
                except StopAsyncIteration:
                    return
                except TimeoutError as error:
                    raise UnavailableError(
                        f"`{self._entry.name}` gave no page within "
                        f"{self._entry.scan.timeout_seconds:g} s",
                        category=ErrorCategory.SOURCE_REQUEST,
                    ) from error
                yield page

    async def _judge(self, record: PollRecord) -> None:
        judge = self._build_judge()
        if record.mode is PollMode.FULL and not self._tally.gaps:
            async with self._context.transaction() as transaction:
                await self._ports.inventory.miss(transaction, self._mark)
            doubt = None if self._tally.processed else "the source told no record at all"
            await judge.judge(doubt=doubt, releases=self._asked.release_held_deletions)
            return
        await judge.count_held()
        if self._tally.gaps:
            get_logger().warning(
                "poll_incomplete",
                source=self._entry.name,
                outcome="warning",
                reasons=self._tally.gaps,
            )

    def _build_judge(self) -> Judge:
        ports = self._ports
        records = MissingRecords(
            self._context,
            self._mark,
            self._source,
            entry=self._entry,
            inventory=ports.inventory,
            announcer=ports.announcer,
            clock=ports.clock,
            tally=self._tally,
            is_guarded=self._rules.is_guarded,
        )
        return Judge(
            self._context,
            self._mark,
            self._rules,
            missing=ports.missing,
            inventory=ports.inventory,
            audit=ports.audit,
            tally=self._tally,
            announce=records.announce,
            noun="records",
            place="source",
        )

    async def _finish(self, record: PollRecord, settled: Sequence[str] | None) -> None:
        tally = self._tally
        record.counts, record.held = tally.counts(), tally.held
        record.gaps = tuple(tally.gaps)
        record.outcome = self._outcome()
        # A mark past records that nobody has seen would hide them for good.
        record.high_water = None if tally.gaps else tally.high_water
        if record.mode is PollMode.FULL and not tally.gaps:
            await self._write_list()
        async with self._context.transaction() as transaction:
            await self._ports.polls.finish(
                transaction, record, now=self._ports.clock.now(), settled=settled
            )

    def _outcome(self) -> str:
        if self._tally.gaps:
            return "incomplete"
        return "partial" if self._tally.failed else "complete"

    async def _write_list(self) -> None:
        written = self._ports.open_list(self._entry)
        if written is None:
            return
        lines: list[str] = []
        async for page in self._ports.inventory.present(self._entry.name):
            lines.extend(page)
        try:
            await written.write(lines)
        except PermanentError as error:
            raise PermanentError(
                f"The clean list of `{self._entry.name}` cannot be written: {error.message}",
                category=ErrorCategory.QUEUE_SAVE,
            ) from error

    def _measure(self, record: PollRecord, seconds: float) -> None:
        name, mode, outcome = self._entry.name, record.mode.value, self._outcome()
        metrics.POLLS.labels(name, mode, outcome).inc()
        metrics.POLL_DURATION.labels(name, mode).observe(seconds)
        metrics.POLL_RECORDS.labels(name).set(self._tally.processed)
        if outcome != "incomplete":
            now = self._ports.clock.now().timestamp()
            metrics.COMPLETE_POLL_AT.labels(name, mode).set(now)


def page_ids(page: RecordPage, entry: RecordSourceEntry) -> list[str]:
    """Return the identities of a page's records; what has none is counted when it is applied."""
    found = []
    for record in page.records:
        with contextlib.suppress(UnidentifiedRecordError):
            found.append(identify(record, entry.scan.id))
    return found


def _cut(page: RecordPage, keep: int) -> RecordPage:
    return RecordPage(
        page.records[:keep], page.failures, total=page.total, gap="stopped at `max_records`"
    )
