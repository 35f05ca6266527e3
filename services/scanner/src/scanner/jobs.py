"""What runs beside the consumers: the schedule of scans, and housekeeping."""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from datetime import datetime, timedelta
from typing import Protocol

from prometheus_client import Gauge

from chassis.clock import Clock
from chassis.db import Database, Transaction
from chassis.errors import TransientError
from chassis.logs import get_logger
from chassis.periodic import repeat
from chassis.runs import Job, RunContext, submit
from contracts.commands import FlowRequested
from contracts.runs import RunCounts
from contracts.topics import FLOW_REQUESTED
from scanner import metrics
from scanner.domain.descent import nominal_slot
from scanner.handlers.flow import FlowCatalog
from scanner.handlers.poll import PollSource
from scanner.handlers.scan import ScanSource

SCAN = "scan"
FLOW = "flow"
"""The kinds of runs."""

HISTORY = timedelta(days=30)
"""Scans and deleted files older than that are forgotten."""

HOUSEKEEPING_SECONDS = 60.0
_LONGEST_NAP_SECONDS = 5.0
_RETRY_SECONDS = 1.0

Sleep = Callable[[float], Awaitable[None]]


def scan_jobs(
    scan: ScanSource, poll: PollSource | None = None, flow: Job | None = None
) -> dict[str, Job]:
    """Return the kinds of runs that this service executes: a scan is a poll where records are."""

    async def scan_or_poll(context: RunContext) -> RunCounts:
        if poll is not None and context.run.target in poll.names():
            return await poll(context)
        return await scan(context)

    return {SCAN: scan_or_poll} | ({FLOW: flow} if flow is not None else {})


class _Timed(Protocol):
    @property
    def interval(self) -> timedelta: ...


class Scheduled(Protocol):
    """A source with an interval."""

    @property
    def name(self) -> str:
        """Its name."""
        ...

    @property
    def scan(self) -> _Timed:
        """Its section `scan`."""
        ...


class Sources(Protocol):
    """File sources, or record sources."""

    def all(self) -> Collection[Scheduled]:
        """Return all of them."""
        ...


class Schedule:
    """Submits a scan per source and interval.

    A run's command id is its nominal time, so any number of replicas make one run of it.
    """

    def __init__(
        self,
        database: Database,
        catalog: Sources,
        *,
        clock: Clock,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._database = database
        self._catalog = catalog
        self._clock = clock
        self._sleep = sleep
        self._submitted: dict[str, str] = {}

    async def run(self) -> None:
        """Submit for as long as the process lives."""
        while True:
            try:
                await self.step()
            except TransientError as error:
                get_logger().warning("schedule_waits", error=error)
                await self._sleep(_RETRY_SECONDS)
            else:
                await self._sleep(self._nap())

    async def step(self) -> None:
        """Submit what is due now."""
        for source in self._catalog.all():
            metrics.INTERVAL.labels(source.name).set(source.scan.interval.total_seconds())
            command_id = self._command_id(source)
            if self._submitted.get(source.name) == command_id:
                continue
            async with self._database.transaction() as transaction:
                await submit(
                    transaction,
                    service=self._database.service,
                    kind=SCAN,
                    target=source.name,
                    parameters={"mode": "auto"},
                    command_id=command_id,
                    reason="interval",
                )
            self._submitted[source.name] = command_id

    def _command_id(self, source: Scheduled) -> str:
        slot = nominal_slot(self._clock.now(), source.scan.interval)
        return f"schedule/{SCAN}/{source.name}/{slot.isoformat()}"

    def _nap(self) -> float:
        """Return the seconds until the next interval begins."""
        now = self._clock.now()
        waits = [
            (nominal_slot(now, source.scan.interval) + source.scan.interval - now).total_seconds()
            for source in self._catalog.all()
        ]
        return min([*waits, _LONGEST_NAP_SECONDS]) + 0.01


class FlowSchedule:
    """Asks for flows when they are due, by the command that people use (S3-15).

    The command's id is its nominal time: however many replicas and restarts, it makes one run.
    """

    def __init__(
        self,
        database: Database,
        flows: FlowCatalog,
        *,
        clock: Clock,
    ) -> None:
        self._database = database
        self._flows = flows
        self._clock = clock
        self._asked: dict[str, datetime] = {}

    async def run(self) -> None:
        """Ask for as long as the process lives."""
        await repeat(self.step, every_seconds=_LONGEST_NAP_SECONDS, event="flow_schedule_waits")

    async def step(self) -> None:
        """Ask for what is due now."""
        now = self._clock.now()
        for flow in self._flows.all():
            if flow.schedule is None or not flow.schedule.daily().is_due(now):
                continue
            due = flow.schedule.daily().last_due(now)
            if self._asked.get(flow.name) == due:
                continue
            command = FlowRequested(
                flow=flow.name,
                command_id=f"schedule/{FLOW}/{flow.name}/{due.isoformat()}",
                requester="schedule",
                reason=f"due at {due.isoformat()}",
                overlap=flow.schedule.overlap,
            )
            async with self._database.transaction() as transaction:
                transaction.publish(FLOW_REQUESTED, command, event_id=command.command_id)
            self._asked[flow.name] = due


class _Named(Protocol):
    def names(self) -> Collection[str]: ...


class _Repeats(Protocol):
    async def run(self, sources: Collection[str]) -> object: ...


class _Counts(Protocol):
    async def count_present(self, source: str) -> int: ...


class _Forgets(Protocol):
    async def purge(self, transaction: Transaction, *, before: datetime) -> object: ...


class Housekeeping:
    """Repeats unanswered announcements, forgets old history, measures what is known; once for file
    sources and once for record sources.
    """

    def __init__(
        self,
        database: Database,
        catalog: _Named,
        repeat: _Repeats,
        *,
        inventory: _Counts,
        history: _Forgets,
        known: Gauge,
        clock: Clock,
        every_seconds: float = HOUSEKEEPING_SECONDS,
    ) -> None:
        self._database = database
        self._catalog = catalog
        self._repeat = repeat
        self._inventory = inventory
        self._history = history
        self._known = known
        self._clock = clock
        self._every_seconds = every_seconds

    async def run(self) -> None:
        """Keep house for as long as the process lives."""
        await repeat(self.step, every_seconds=self._every_seconds, event="housekeeping_waits")

    async def step(self) -> None:
        """Do everything once."""
        names = self._catalog.names()
        await self._repeat.run(names)
        for name in names:
            self._known.labels(name).set(await self._inventory.count_present(name))
        async with self._database.transaction() as transaction:
            await self._history.purge(transaction, before=self._clock.now() - HISTORY)
