"""The kinds of runs, and what happens beside them: old rows are forgotten in time, and both
databases are compared now and then.
"""

import asyncio
import hashlib

from chassis import leases
from chassis.db import Database
from chassis.errors import PermanentError, TransientError
from chassis.logs import get_logger
from chassis.periodic import repeat
from chassis.runs import Job, RunContext
from contracts.runs import RunCounts
from refresher.handlers.looking import ALL, Looking
from refresher.handlers.planning import Planning
from refresher.handlers.refresh import Refresher
from refresher.ports import EngineFactory, Ledger

REFRESH = "refresh"
APPLY = "refresh-apply"
UNDO = "refresh-undo"
PREVIEW = "refresh-preview"

HOUSEKEEPING_SECONDS = 60.0


def refresh_jobs(refresher: Refresher, looking: Looking | None = None) -> dict[str, Job]:
    """Return the kinds of runs that this service executes; a look follows what may have changed
    rows.
    """
    jobs: dict[str, Job] = {
        REFRESH: refresher.refresh,
        APPLY: refresher.apply,
        UNDO: refresher.undo,
    }
    if looking is None:
        return jobs
    return {kind: _and_look(job, looking) for kind, job in jobs.items()} | {
        PREVIEW: looking.preview
    }


def _and_look(job: Job, looking: Looking) -> Job:
    async def run(context: RunContext) -> RunCounts:
        counts = await job(context)
        if not context.run.dry_run:
            await looking.observe_quietly(context.run.target)
        return counts

    return run


class Observing:
    """Compares both databases every so often, for people to see how far apart they are."""

    def __init__(self, database: Database, looking: Looking, *, every_seconds: float) -> None:
        self._database = database
        self._looking = looking
        self._every_seconds = every_seconds

    async def run(self) -> None:
        """Look for as long as the process lives; one replica does."""
        await repeat(
            self._while_leading,
            every_seconds=HOUSEKEEPING_SECONDS,
            event="observing_waits",
            expected=(TransientError, PermanentError),
        )

    async def _while_leading(self) -> None:
        async with leases.held(self._database, "refresher/observing"):
            while True:
                await self._looking.register()
                await self._looking.observe_quietly(ALL)
                await asyncio.sleep(self._every_seconds)


class Housekeeping:
    """Forgets replaced rows whose time is over, and what crashed runs left in the target."""

    def __init__(
        self,
        database: Database,
        *,
        ledger: Ledger,
        planning: Planning,
        open_engine: EngineFactory,
        every_seconds: float = HOUSEKEEPING_SECONDS,
    ) -> None:
        self._database = database
        self._ledger = ledger
        self._planning = planning
        self._open_engine = open_engine
        self._every_seconds = every_seconds

    async def run(self) -> None:
        """Keep house for as long as the process lives; one replica does."""
        await repeat(
            self._while_leading,
            every_seconds=self._every_seconds,
            event="housekeeping_waits",
            # A target that is away, or not proven today, is no reason to end the service.
            expected=(TransientError, PermanentError),
        )

    async def _while_leading(self) -> None:
        async with leases.held(self._database, "refresher/housekeeping"):
            while True:
                await self.step()
                await asyncio.sleep(self._every_seconds)

    async def step(self) -> list[str]:
        """Do everything once; return the names of tables that were left over."""
        async with self._database.transaction() as transaction:
            await self._ledger.settle(transaction.connection)
            expired = await self._ledger.expired(transaction.connection)
            kept = await self._ledger.kept(transaction.connection)
        gone = {stored.plan.plan_id for stored in expired}
        async with self._open_engine() as engine:
            target = await self._planning.verified(engine)
            for stored in expired:
                for table in stored.plan.tables:
                    await engine.forget(target, table)
                async with self._database.transaction() as transaction:
                    await self._ledger.forgotten(transaction.connection, stored.plan.plan_id)
            tokens = [token_of(plan_id) for plan_id in kept if plan_id not in gone]
            found = await engine.leftovers(target, tokens)
        if found:
            get_logger().info("refresh_leftovers_removed", count=len(found))
        return found


def token_of(plan_id: str) -> str:
    """Return the part of the names of staging and undo tables that tells their plan."""
    return hashlib.sha256(plan_id.encode()).hexdigest()[:10]
