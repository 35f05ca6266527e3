"""Decides which missing files are deleted, and announces them (docs/decisions/0013).

Runs at the end of a complete scan. Too many at once are held for a person; each of the others is
asked for by name before its deletion is announced.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from chassis import failpoints
from chassis.clock import Clock
from chassis.db import Transaction
from chassis.errors import PermanentError
from chassis.logs import get_logger
from chassis.runs import RunContext
from chassis.shares.port import Share, ShareNotFoundError
from contracts.errors import ErrorCategory
from scanner import metrics
from scanner.domain.changes import Announce, Change
from scanner.domain.guard import Coverage, DeletionRules
from scanner.domain.observations import Candidate
from scanner.handlers.anchor import Anchor
from scanner.handlers.announcer import Announcer
from scanner.handlers.compare import EVENTS_PER_TRANSACTION, Tally
from scanner.ports import AuditTrail, Belief, Deletions, Inventory, Mark


@dataclass(slots=True)
class _Verdicts:
    """What the share said about one page of candidates."""

    gone: list[Candidate]
    there: list[str]
    unclear: list[str]


@dataclass(frozen=True, slots=True)
class JudgePorts:
    """What judging needs from outside."""

    deletions: Deletions
    inventory: Inventory
    audit: AuditTrail
    announcer: Announcer
    clock: Clock


class Judge:
    """Judges the missing files of one scan."""

    def __init__(
        self,
        context: RunContext,
        mark: Mark,
        rules: DeletionRules,
        *,
        share: Share,
        anchor: Anchor,
        ports: JudgePorts,
        probes: int,
        tally: Tally,
    ) -> None:
        self._context = context
        self._mark = mark
        self._rules = rules
        self._share = share
        self._anchor = anchor
        self._ports = ports
        self._probing = asyncio.Semaphore(probes)
        self._tally = tally
        self._belief = Belief(rules.needed_misses, rules.believed_before(mark.started_at))

    async def judge(self, coverage: Coverage, *, releases: bool) -> None:
        """Announce or hold what is believed gone; `releases` lets go what was held before."""
        deletions = self._ports.deletions
        async with self._context.transaction() as transaction:
            await deletions.confirm(transaction, self._mark, excluded=coverage.excluded)
        fresh = await deletions.count(self._mark, self._belief, held=False)
        held = await deletions.count(self._mark, self._belief, held=True)
        if releases and held:
            await self._release(held)
        # What is held and still missing counts: a half-mounted share stays held as a whole.
        missing = fresh if releases else fresh + held
        total = await self._ports.inventory.count_present(self._mark.source) if missing else 0
        reason = self._rules.hold_reason(missing, total, empty_roots=coverage.empty_roots)
        if reason is not None:
            await self._hold(reason)
        elif fresh:
            await self._announce(held=False)
        async with self._context.transaction() as transaction:
            await deletions.tidy(transaction, self._mark)
        self._tally.held = await deletions.held(self._mark.source)
        metrics.HELD_DELETIONS.labels(self._mark.source).set(self._tally.held)

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
            hint="look at the share; then `scan.requested` with `release_held_deletions`",
        )

    async def _release(self, held: int) -> None:
        async with self._context.transaction() as transaction:
            await self._record(transaction, "deletions.released", count=held, reason=None)
        await self._announce(held=True)

    async def _announce(self, *, held: bool) -> None:
        after: str | None = None
        while page := await self._ports.deletions.page(
            self._mark, self._belief, held=held, after=after, limit=EVENTS_PER_TRANSACTION
        ):
            after = page[-1].path
            verdicts = await self._probe(page)
            await self._conclude(verdicts)
            await self._context.report(self._tally.counts(), message="deletions announced")

    async def _conclude(self, verdicts: _Verdicts) -> None:
        source = self._mark.source
        ports = self._ports
        announcements = ports.announcer.prepare(
            Announce(item.path, Change.DELETED, current=None, previous=item.announced)
            for item in verdicts.gone
        )
        async with self._context.transaction() as transaction:
            await ports.deletions.reappeared(transaction, source, paths=verdicts.there)
            await ports.deletions.conclude(
                transaction, self._mark, announcements=announcements, now=ports.clock.now()
            )
            ports.announcer.publish(
                transaction, source, announcements=announcements, scan_id=self._mark.scan_id
            )
            self._tally.announced(announcements)
            await self._context.checkpoint(self._tally.checkpoint(), transaction=transaction)
        ports.announcer.report(source, announcements)
        self._report_refused(verdicts)
        await failpoints.reach("scan.after_deletions")

    async def _probe(self, page: Sequence[Candidate]) -> _Verdicts:
        """Ask for each file by name; a folder that is gone answers for all files in it."""
        if not self._rules.is_guarded:
            return _Verdicts(list(page), [], [])
        verdicts = _Verdicts([], [], [])
        try:
            async with asyncio.TaskGroup() as group:
                for directory, files in groupby(
                    sorted(page, key=lambda item: item.directory), lambda item: item.directory
                ):
                    group.create_task(self._probe_directory(directory, list(files), verdicts))
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from errors
        # If the volume went away meanwhile, every answer was "not found".
        if verdicts.gone and (problem := await self._anchor.problem()) is not None:
            get_logger().error("scan_lost_its_anchor", source=self._mark.source, reason=problem)
            verdicts.unclear.extend(item.path for item in verdicts.gone)
            verdicts.gone.clear()
        return verdicts

    async def _probe_directory(
        self, directory: str, files: Sequence[Candidate], verdicts: _Verdicts
    ) -> None:
        if directory and await self._is_there(directory) is False:
            verdicts.gone.extend(files)
            return
        for item in files:
            found = await self._is_there(item.path)
            if found is False:
                verdicts.gone.append(item)
            elif found:
                verdicts.there.append(item.path)
            else:
                verdicts.unclear.append(item.path)

    async def _is_there(self, path: str) -> bool | None:
        """Return whether the path exists; None where the server does not say."""
        async with self._probing:
            try:
                await self._share.stat(path)
            except ShareNotFoundError:
                return False
            except PermanentError:
                return None
        return True

    def _report_refused(self, verdicts: _Verdicts) -> None:
        log = get_logger()
        metrics.DELETIONS_REFUSED.labels(self._mark.source).inc(
            len(verdicts.there) + len(verdicts.unclear)
        )
        for paths, reason in (
            (verdicts.there, "the file answers by name"),
            (verdicts.unclear, "the server does not say that it is gone"),
        ):
            for path in paths:
                log.warning(
                    "file_decision",
                    source=self._mark.source,
                    path=path,
                    decision="kept",
                    reason=reason,
                )

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
