"""The job `scan`: one pass over one source, from opening its share to its last announcement."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from chassis.clock import Clock
from chassis.errors import PenstockError, TransientError
from chassis.logs import get_logger
from chassis.runs import RunContext
from chassis.shares.paths import validate_nas_path
from chassis.shares.port import Share
from contracts.errors import ErrorCategory
from contracts.runs import RunCounts
from scanner import metrics
from scanner.domain.descent import KnownDirectory, ScanMode, choose_mode
from scanner.domain.files import is_within
from scanner.domain.guard import Coverage
from scanner.domain.sifting import Sieve
from scanner.errors import ScanRequestError
from scanner.handlers.anchor import Anchor
from scanner.handlers.announcer import Announcer
from scanner.handlers.catalog import FileSource, SourceCatalog
from scanner.handlers.compare import QUEUE_LISTINGS, Comparer, CompareRules, ListingQueue, Tally
from scanner.handlers.export import QueueExport
from scanner.handlers.frame import ScanParameters, closing, counted_errors
from scanner.handlers.judge import Judge
from scanner.handlers.log_copy import LogCopy
from scanner.handlers.missing_files import MissingFiles
from scanner.handlers.walk import Children, Sleep, Step, Walker, WalkRules, is_safe_path
from scanner.ports import (
    AuditTrail,
    Deletions,
    Inventory,
    LogFiles,
    Mark,
    Missing,
    ScanRecord,
    Scans,
)

SETTLE_ROUNDS = 2
"""Second looks within one scan; a file that is still being written waits for the next one."""

LONGEST_SETTLE_WAIT = timedelta(seconds=60)
"""A longer settle time spans scans instead of keeping one open."""

SETTLE_PAGE = 500
"""Directories per second look."""

OpenShare = Callable[[FileSource], Share]


@dataclass(frozen=True, slots=True)
class ScanPorts:
    """What scanning needs from outside."""

    inventory: Inventory
    missing: Missing
    deletions: Deletions
    scans: Scans
    audit: AuditTrail
    announcer: Announcer
    clock: Clock
    log_files: LogFiles | None = None
    sleep: Sleep = asyncio.sleep


class ScanSource:
    """Executes runs of the kind `scan`."""

    def __init__(
        self,
        catalog: SourceCatalog,
        open_share: OpenShare,
        ports: ScanPorts,
        *,
        is_guarded: bool = True,
    ) -> None:
        self._catalog = catalog
        self._open_share = open_share
        self._ports = ports
        self._is_guarded = is_guarded

    async def __call__(self, context: RunContext) -> RunCounts:
        """Scan the run's target."""
        name = context.run.target
        with counted_errors():
            source = await self._catalog.resolve(name)
            share = self._open_share(source)
            async with closing(share), _answering(share, name):
                scan = Scan(context, source, share, self._ports, is_guarded=self._is_guarded)
                return await scan.run()


@contextlib.asynccontextmanager
async def _answering(share: Share, name: str) -> AsyncGenerator[None]:
    up = metrics.SHARE_UP.labels(name)
    try:
        # One log-on before there are many: a wrong password is tried once.
        description = await share.describe()
        up.set(1)
        get_logger().debug("share_opened", source=name, backend=description.backend)
        yield
    except PenstockError as error:
        if error.category is ErrorCategory.NAS_CONNECTION:
            up.set(0)
        raise


class Scan:
    """One scan in progress."""

    def __init__(
        self,
        context: RunContext,
        source: FileSource,
        share: Share,
        ports: ScanPorts,
        *,
        is_guarded: bool,
    ) -> None:
        self._context = context
        self._source = source
        self._share = share
        self._ports = ports
        self._asked = ScanParameters.model_validate(context.run.parameters)
        self._rules = source.scan.deletion_rules(is_guarded=is_guarded)
        self._coverage = Coverage()
        self._tally = Tally.resume(context.run.checkpoint)
        run = context.run
        self._mark = Mark(source.name, run.run_id, run.attempts, ports.clock.now())
        self._anchor = Anchor(
            share, sentinel=source.scan.sentinel, folders=source.scan.expected_folders
        )
        self._workers = source.scan.concurrency or source.share.connections
        self._comparer = Comparer(
            context,
            self._mark,
            CompareRules(settle=source.scan.settle, quiet=source.scan.quiet),
            inventory=ports.inventory,
            announcer=ports.announcer,
            tally=self._tally,
            clock=ports.clock,
        )
        self._walker = self._build_walker()

    async def run(self) -> RunCounts:
        """Walk, look twice at what settles, judge what is missing, and write down what came of it.

        Raises:
            TransientError: the share went away; what was seen before is kept.
        """
        started = self._ports.clock.monotonic()
        scopes = self._scopes()
        record = ScanRecord(self._mark, await self._choose_mode(), prefix=self._prefix())
        await self._begin(record)
        await self._check_anchor()
        await self._walk(record.mode, scopes)
        if not self._context.run.dry_run:
            await self._look_again(scopes)
            await self._judge()
        self._tally.failed = (
            self._coverage.failed + len(self._coverage.excluded) + self._walker.refused
        )
        if not self._context.run.dry_run:
            await self._finish(record)
        self._measure(record, self._ports.clock.monotonic() - started)
        if self._walker.abort is not None:
            raise self._walker.abort
        return self._tally.counts()

    def _build_walker(self) -> Walker:
        scan = self._source.scan
        return Walker(
            self._share,
            Sieve(scan.sift_rules(), is_safe_path),
            WalkRules(
                source=self._source.name,
                workers=self._workers,
                leaf_depth=len(scan.layout) or scan.max_depth,
                believes_failures=not self._rules.is_guarded,
            ),
            coverage=self._coverage,
            clock=self._ports.clock,
            sleep=self._ports.sleep,
        )

    def _prefix(self) -> str:
        return validate_nas_path(self._asked.prefix or "")

    def _scopes(self) -> Sequence[str]:
        """Return the folders to walk: all of the source's, or the one that was asked for."""
        roots = self._source.scan.paths
        prefix = self._prefix()
        if not prefix:
            return roots
        if any(is_within(prefix, root) for root in roots):
            return (prefix,)
        raise ScanRequestError(
            f"`{self._source.name}`: {prefix!r} lies in none of the scanned folders"
        )

    async def _choose_mode(self) -> ScanMode:
        scan = self._source.scan
        return choose_mode(
            self._asked.mode,
            now=self._mark.started_at,
            last_full_at=await self._ports.scans.last_full(self._source.name),
            full_interval=scan.full_interval,
            has_fast_pass=scan.fast_pass,
        )

    async def _begin(self, record: ScanRecord) -> None:
        if self._context.run.dry_run:
            return
        async with self._context.transaction() as transaction:
            await self._ports.scans.begin(transaction, record)

    async def _check_anchor(self) -> None:
        try:
            problem = await self._anchor.problem()
        except TransientError as error:
            problem = error.message
        if problem is not None and self._rules.is_guarded:
            self._coverage.is_anchored = False
            metrics.count_error(ErrorCategory.DELETION_GUARD)
            get_logger().error(
                "scan_not_anchored",
                source=self._source.name,
                category=ErrorCategory.DELETION_GUARD.value,
                reason=problem,
            )

    async def _walk(self, mode: ScanMode, scopes: Sequence[str]) -> None:
        steps = [Step(path, self._depth(path), parent=None, modified_us=None) for path in scopes]
        children = self._children if mode is ScanMode.FAST else None
        await self._compare(steps, children, counts_files=True)

    def _depth(self, path: str) -> int:
        """Return how many levels `path` lies below its scanned root."""
        root = next(item for item in self._source.scan.paths if is_within(path, item))
        below = path[len(root) :].strip("/")
        return below.count("/") + 1 if below else 0

    async def _children(self, directory: str) -> Mapping[str, KnownDirectory]:
        return await self._ports.inventory.children(self._source.name, directory)

    async def _compare(
        self, steps: Sequence[Step], children: Children | None, *, counts_files: bool
    ) -> None:
        queue: ListingQueue = asyncio.Queue(QUEUE_LISTINGS)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._comparer.consume(queue, counts_files=counts_files))
                await self._walker.walk(steps, queue.put, children=children)
                await queue.put(None)
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from errors

    async def _look_again(self, scopes: Sequence[str]) -> None:
        """List once more what was seen for the first time, when it has had time to settle."""
        for _ in range(SETTLE_ROUNDS):
            latest = await self._ports.inventory.latest_settling(self._mark)
            if latest is None or self._walker.abort is not None:
                return
            wait = self._source.scan.settle - (self._ports.clock.now() - latest)
            if wait > LONGEST_SETTLE_WAIT:
                return
            await self._pause(wait)
            await self._list_settling(scopes)

    async def _pause(self, wait: timedelta) -> None:
        remaining = wait.total_seconds()
        while remaining > 0:
            await self._context.report(self._tally.counts(), message="waiting for files to settle")
            await self._ports.sleep(min(remaining, 1.0))
            remaining -= 1.0

    async def _list_settling(self, scopes: Sequence[str]) -> None:
        after: str | None = None
        while page := await self._ports.inventory.settling(
            self._mark, within=scopes, after=after, limit=SETTLE_PAGE
        ):
            after = page[-1].path
            steps = [
                Step(
                    item.path,
                    self._depth(item.path),
                    parent=item.parent,
                    modified_us=item.modified_us,
                    descends=False,
                )
                for item in page
            ]
            await self._compare(steps, None, counts_files=False)

    async def _judge(self) -> None:
        if self._walker.abort is None:
            await self._check_anchor()
        ports, coverage = self._ports, self._coverage
        if self._rules.is_guarded and not coverage.is_complete:
            self._report_incomplete()
            self._tally.held = await ports.missing.held(self._source.name)
            return
        async with self._context.transaction() as transaction:
            await ports.deletions.confirm(transaction, self._mark, excluded=coverage.excluded)
        releases = self._asked.release_held_deletions
        await self._build_judge().judge(doubt=coverage.doubt, releases=releases)
        async with self._context.transaction() as transaction:
            await ports.deletions.tidy(transaction, self._mark)

    def _build_judge(self) -> Judge:
        ports = self._ports
        files = MissingFiles(
            self._context,
            self._mark,
            self._share,
            anchor=self._anchor,
            deletions=ports.deletions,
            announcer=ports.announcer,
            clock=ports.clock,
            tally=self._tally,
            probes=self._workers,
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
            announce=files.announce,
            noun="files",
            place="share",
        )

    def _report_incomplete(self) -> None:
        get_logger().warning(
            "scan_incomplete",
            source=self._source.name,
            outcome="warning",
            failed=self._coverage.failed,
            excluded=len(self._coverage.excluded),
            is_anchored=self._coverage.is_anchored,
            missing_not_judged=self._tally.missing,
        )

    async def _finish(self, record: ScanRecord) -> None:
        self._fill(record)
        if self._walker.abort is None:
            await self._write_outputs()
        now = self._ports.clock.now()
        async with self._context.transaction() as transaction:
            await self._ports.scans.finish(
                transaction, record, outcome=self._coverage.outcome, now=now
            )

    def _fill(self, record: ScanRecord) -> None:
        tally = self._tally
        record.directories, record.files = tally.directories, tally.files
        record.added, record.modified = tally.added, tally.modified
        record.deleted, record.held = tally.deleted, tally.held
        record.failures = [
            {"path": path, "reason": error.message} for path, error in self._walker.failures
        ]

    async def _write_outputs(self) -> None:
        scan, ports = self._source.scan, self._ports
        if scan.legacy_export is not None:
            export = QueueExport(self._share, scan.legacy_export)
            await export.run(
                self._context, self._source.name, inventory=ports.inventory, scans=ports.scans
            )
        tally = self._tally
        is_news = bool(tally.added or tally.modified or tally.deleted or tally.failed)
        if scan.logs_copy is not None and ports.log_files is not None and is_news:
            copy = LogCopy(self._share, scan.logs_copy, ports.log_files)
            await copy.run(scan_id=self._mark.scan_id, now=ports.clock.now())

    def _measure(self, record: ScanRecord, seconds: float) -> None:
        name, mode, tally = self._source.name, record.mode, self._tally
        metrics.SCANS.labels(name, mode.value, self._coverage.outcome).inc()
        metrics.SCAN_DURATION.labels(name, mode.value).observe(seconds)
        metrics.SCAN_RATE.labels(name).set(tally.files / seconds if seconds > 0 else 0)
        metrics.FILES_TO_PROCESS.labels(name).set(tally.added + tally.modified)
        metrics.FILES_TO_REMOVE.labels(name).set(tally.deleted)
        metrics.DIRECTORIES_SKIPPED.labels(name).inc(self._walker.skipped)
        if not self._coverage.is_complete:
            return
        metrics.COMPLETE_SCAN_AT.labels(name, mode.value).set(self._ports.clock.now().timestamp())
        if mode is ScanMode.FULL and not record.prefix:
            metrics.SHARE_FILES.labels(name).set(tally.files)
