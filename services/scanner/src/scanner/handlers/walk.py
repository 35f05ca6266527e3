"""Lists a tree with several workers, and remembers what could not be seen.

Work is taken from the end of one list, so the walk goes deep first: what waits is bounded by the
depth times the widest directory, not by the size of the tree. A listing that fails is never an
empty listing.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from chassis.clock import Clock
from chassis.errors import PenstockError, PermanentError, TransientError
from chassis.logs import get_logger
from chassis.retry import backoff_seconds
from chassis.shares.paths import validate_file_path
from chassis.shares.port import (
    Entry,
    Share,
    ShareBusyError,
    ShareLogonError,
    ShareUnavailableError,
    UnsafePathError,
)
from contracts.errors import ErrorCategory
from scanner import metrics
from scanner.domain.descent import KnownDirectory, may_skip
from scanner.domain.guard import Coverage
from scanner.domain.observations import Listing
from scanner.domain.sifting import RefusalReason, Sieve, Sifted

LISTING_ATTEMPTS = 3
"""Tries per directory, with back-off (C-05)."""

DOWN_AFTER_FAILURES = 3
"""So many directories in a row without an answer, and the share counts as gone."""

FAILURES_KEPT = 100
"""For the scan's record; the log has all of them."""

_PLAIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._&(),'+~-]*[A-Za-z0-9_()-]|[A-Za-z0-9]")

_REFUSAL_CATEGORIES = {RefusalReason.BAD_METADATA: ErrorCategory.FILE_METADATA}

Emit = Callable[[Listing], Awaitable[None]]
Children = Callable[[str], Coroutine[Any, Any, Mapping[str, KnownDirectory]]]
Sleep = Callable[[float], Awaitable[None]]


def is_safe_path(path: str) -> bool:
    """Return whether a listed path may be sent to a share and used as a key.

    Its directory was checked when it was listed, so ordinary names need no second look.
    """
    name = path.rpartition("/")[2]
    if len(name) <= 255 and _PLAIN_NAME.fullmatch(name):  # noqa: PLR2004 - a name's limit
        return True
    try:
        validate_file_path(path)
    except UnsafePathError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class Step:
    """One directory to list."""

    path: str
    depth: int
    """Levels below the scanned root."""

    parent: str | None
    modified_us: int | None
    descends: bool = True


@dataclass(frozen=True, slots=True)
class WalkRules:
    """How one source is walked."""

    source: str
    workers: int
    leaf_depth: int
    """Directories so deep should hold files: tells the two listing errors apart (S1-13)."""

    believes_failures: bool = False
    """Takes a failed listing for an empty one: the mistake that the guard exists for (tests)."""


class Walker:
    """Walks one tree, once."""

    def __init__(
        self,
        share: Share,
        sieve: Sieve,
        rules: WalkRules,
        *,
        coverage: Coverage,
        clock: Clock,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._share = share
        self._sieve = sieve
        self._rules = rules
        self._coverage = coverage
        self._clock = clock
        self._sleep = sleep
        self._steps: list[Step] = []
        self._busy = 0
        self._failures_in_row = 0
        self._changed = asyncio.Condition()
        self.failures: list[tuple[str, PenstockError]] = []
        """The first directories that could not be listed, and why."""
        self.refused = 0
        self.skipped = 0
        self.abort: TransientError | None = None
        """Why the walk stopped before its end."""

    async def walk(self, steps: Sequence[Step], emit: Emit, *, children: Children | None) -> None:
        """List `steps` and what lies below; with `children`, leave out unchanged leaves.

        Returns when everything was listed or the share is gone; `coverage` and `abort` tell which.
        """
        self._steps.extend(steps)
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(self._rules.workers):
                    group.create_task(self._work(emit, children))
        except BaseExceptionGroup as errors:
            raise _first_of(errors) from errors

    async def _work(self, emit: Emit, children: Children | None) -> None:
        while (step := await self._next()) is not None:
            try:
                await self._visit(step, emit, children)
            finally:
                self._busy -= 1
                async with self._changed:
                    self._changed.notify_all()

    async def _next(self) -> Step | None:
        async with self._changed:
            await self._changed.wait_for(lambda: self._steps or not self._busy)
            if not self._steps:
                self._changed.notify_all()
                return None
            self._busy += 1
            return self._steps.pop()

    async def _visit(self, step: Step, emit: Emit, children: Children | None) -> None:
        entries, known = await self._look(step, children)
        if entries is None:
            return
        listed_at = self._clock.now()
        sifted = self._sieve.sift(step.path, step.depth, entries)
        if step.descends:
            self._report(sifted)
            await self._descend(step, sifted, known)
        if not step.depth and not entries:
            self._coverage.empty_roots.append(step.path)
        await emit(
            Listing(
                directory=step.path,
                parent=step.parent,
                modified_us=step.modified_us,
                listed_at=listed_at,
                files=tuple(sifted.files),
                present=tuple(sifted.present),
                subdirectories=tuple(sifted.all_subdirectories),
                is_leaf=not sifted.subdirectories,
            )
        )

    async def _look(
        self, step: Step, children: Children | None
    ) -> tuple[Sequence[Entry] | None, Mapping[str, KnownDirectory]]:
        """List a directory, and meanwhile ask what was known of the directories in it."""
        if children is None or not step.descends:
            return await self._list(step), {}
        async with asyncio.TaskGroup() as group:
            known = group.create_task(children(step.path))
            entries = await self._list(step)
        return entries, known.result()

    async def _descend(
        self, step: Step, sifted: Sifted, known: Mapping[str, KnownDirectory]
    ) -> None:
        if self.abort is not None:
            return
        for item in sifted.subdirectories:
            if may_skip(item.modified_us, known.get(item.path)):
                self.skipped += 1
                continue
            self._steps.append(Step(item.path, step.depth + 1, step.path, item.modified_us))
        async with self._changed:
            self._changed.notify_all()

    async def _list(self, step: Step) -> Sequence[Entry] | None:
        for attempt in range(1, LISTING_ATTEMPTS + 1):
            started = self._clock.monotonic()
            try:
                entries = await self._share.list_directory(step.path)
            except ShareLogonError as error:
                # Not tried again here: accounts get locked.
                self._stop(error)
                return self._fail(step, error)
            except (ShareUnavailableError, ShareBusyError) as error:
                if self.abort is not None or attempt == LISTING_ATTEMPTS:
                    return self._lose(step, error)
                await self._sleep(backoff_seconds(attempt, retry_after=error.retry_after))
            except PermanentError as error:
                return self._exclude(step, error)
            else:
                self._failures_in_row = 0
                taken = self._clock.monotonic() - started
                metrics.LISTING_DURATION.labels(self._rules.source).observe(taken)
                return entries
        return None

    def _lose(self, step: Step, error: TransientError) -> Sequence[Entry] | None:
        self._failures_in_row += 1
        if self._failures_in_row >= DOWN_AFTER_FAILURES:
            self._stop(error)
        return self._fail(step, error)

    def _fail(self, step: Step, error: PenstockError) -> Sequence[Entry] | None:
        self._note(step, error)
        if self._rules.believes_failures:
            return []
        self._coverage.failed += 1
        return None

    def _exclude(self, step: Step, error: PermanentError) -> Sequence[Entry] | None:
        """Take out a directory that the server refuses or no longer knows, and go on."""
        self._note(step, error)
        if self._rules.believes_failures:
            return []
        self._coverage.excluded.append(step.path)
        return None

    def _stop(self, error: TransientError) -> None:
        if self._rules.believes_failures:
            return
        self.abort = self.abort or error
        self._coverage.is_aborted = True
        self._steps.clear()

    def _note(self, step: Step, error: PenstockError) -> None:
        category = self._category(step, error)
        metrics.count_error(category)
        if len(self.failures) < FAILURES_KEPT:
            self.failures.append((step.path, error))
        get_logger().error(
            "directory_not_listed",
            source=self._rules.source,
            path=step.path,
            category=category.value,
            error_class=type(error).__name__,
            error=error.message,
        )

    def _category(self, step: Step, error: PenstockError) -> ErrorCategory:
        if isinstance(error, ShareLogonError):
            return ErrorCategory.NAS_CONNECTION
        if isinstance(error, UnsafePathError):
            return ErrorCategory.PATH_VALIDATION
        if step.depth >= self._rules.leaf_depth:
            return ErrorCategory.NAS_LIST_FILES
        return ErrorCategory.NAS_LIST_DIRECTORIES

    def _report(self, sifted: Sifted) -> None:
        log = get_logger()
        source = self._rules.source
        for refusal in sifted.refusals:
            self.refused += 1
            category = _REFUSAL_CATEGORIES.get(refusal.reason, ErrorCategory.PATH_VALIDATION)
            metrics.ENTRIES_REFUSED.labels(source, refusal.reason.value).inc()
            metrics.count_error(category)
            log.error(
                "file_decision",
                source=source,
                path=ascii(refusal.path),
                decision="refused",
                reason=refusal.reason.value,
                category=category.value,
            )
        for path, oddity in sifted.oddities:
            log.warning("file_name_odd", source=source, path=path, oddity=oddity.value)


def _first_of(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
