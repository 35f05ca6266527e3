"""Asks the share for missing files by name, and announces the deletion of those that are gone."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby
from uuid import uuid4

from chassis import failpoints
from chassis.clock import Clock
from chassis.errors import PermanentError
from chassis.logs import get_logger
from chassis.runs import RunContext
from chassis.shares.port import Share, ShareNotFoundError
from scanner import metrics
from scanner.domain.changes import Announce, Change
from scanner.domain.files import parent_of
from scanner.domain.observations import Announcement
from scanner.handlers.anchor import Anchor
from scanner.handlers.announcer import Announcer
from scanner.handlers.compare import Tally
from scanner.ports import Deletions, Mark


@dataclass(slots=True)
class _Verdicts:
    """What the share said about some paths."""

    gone: list[str] = field(default_factory=list)
    there: list[str] = field(default_factory=list)
    unclear: list[str] = field(default_factory=list)


class MissingFiles:
    """The missing files of one scan."""

    def __init__(
        self,
        context: RunContext,
        mark: Mark,
        share: Share,
        *,
        anchor: Anchor,
        deletions: Deletions,
        announcer: Announcer,
        clock: Clock,
        tally: Tally,
        probes: int,
        is_guarded: bool,
    ) -> None:
        self._context = context
        self._mark = mark
        self._share = share
        self._anchor = anchor
        self._deletions = deletions
        self._announcer = announcer
        self._clock = clock
        self._tally = tally
        self._probing = asyncio.Semaphore(probes)
        self._is_guarded = is_guarded

    async def announce(self, paths: Sequence[str]) -> None:
        """Announce the deletion of those that the share does not find."""
        verdicts = await self._probe(paths)
        mark, source = self._mark, self._mark.source
        event_ids = {path: str(uuid4()) for path in verdicts.gone}
        async with self._context.transaction() as transaction:
            await self._deletions.reappeared(transaction, source, paths=verdicts.there)
            announced = await self._deletions.conclude(
                transaction, mark, event_ids=event_ids, now=self._clock.now()
            )
            announcements = [
                Announcement(
                    Announce(path, Change.DELETED, current=None, previous=announced[path]), event_id
                )
                for path, event_id in event_ids.items()
            ]
            self._announcer.publish(
                transaction, source, announcements=announcements, scan_id=mark.scan_id
            )
            self._tally.announced(announcements)
            await self._context.checkpoint(self._tally.checkpoint(), transaction=transaction)
        self._announcer.report(source, announcements)
        self._report_refused(verdicts)
        await failpoints.reach("scan.after_deletions")

    async def _probe(self, paths: Sequence[str]) -> _Verdicts:
        """Ask for each file by name; a folder that is gone answers for all files in it."""
        if not self._is_guarded:
            return _Verdicts(gone=list(paths))
        verdicts = _Verdicts()
        try:
            async with asyncio.TaskGroup() as group:
                for directory, files in groupby(sorted(paths, key=parent_of), parent_of):
                    group.create_task(self._probe_directory(directory, list(files), verdicts))
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from errors
        # If the volume went away meanwhile, every answer was "not found".
        if verdicts.gone and (problem := await self._anchor.problem()) is not None:
            get_logger().error("scan_lost_its_anchor", source=self._mark.source, reason=problem)
            verdicts.unclear.extend(verdicts.gone)
            verdicts.gone.clear()
        return verdicts

    async def _probe_directory(
        self, directory: str, paths: Sequence[str], verdicts: _Verdicts
    ) -> None:
        if directory and await self._is_there(directory) is False:
            verdicts.gone.extend(paths)
            return
        for path in paths:
            found = await self._is_there(path)
            if found is False:
                verdicts.gone.append(path)
            elif found:
                verdicts.there.append(path)
            else:
                verdicts.unclear.append(path)

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
