"""The runs of the service, and what goes on beside them: schedule, watch, backup."""

from datetime import time
from typing import cast

from chassis.clock import Clock
from chassis.db import Database, Transaction
from chassis.drift import StoredDrift, register
from chassis.errors import TransientError
from chassis.periodic import repeat
from chassis.runs import Job, RunContext, submit
from contracts.commands import OverlapPolicy
from contracts.runs import RunCounts
from contracts.schemas import SchemaDecisionRequested
from wrds_sync.domain.lateness import daily_slot
from wrds_sync.errors import SourceRefusedError
from wrds_sync.handlers.showing import Showing
from wrds_sync.handlers.targets import SyncMode, TargetResult, Targets
from wrds_sync.handlers.watching import Watch, back_up
from wrds_sync.ports import Backup, OnProgress, ProgressNote

SYNC = "wrds-sync"
"""The kind of run."""

WATCH_SECONDS = 60.0
_NAP_SECONDS = 20.0


def sync_jobs(targets: Targets) -> dict[str, Job]:
    """Return the kinds of runs that this service executes."""

    async def sync(context: RunContext) -> RunCounts:
        parameters = context.run.parameters
        mode = cast("SyncMode", parameters.get("mode", "incremental"))
        # Looking without changing anything is what `verify` does.
        result = await targets.run(
            context.run.target,
            "verify" if context.run.dry_run else mode,
            start_year=parameters.get("start_year"),
            on_progress=_reporter(context),
        )
        context.counts = counts_of(result)
        result.raise_first()
        return context.counts

    return {SYNC: sync}


async def accept_schema(
    transaction: Transaction, drift: StoredDrift, command: SchemaDecisionRequested
) -> str | None:
    """Queue the sync of the data set whose new columns were accepted; return the run.

    The sync finds the decision where it reports the change, and registers the schema with the
    files.
    """
    await register(
        transaction,
        service=drift.service,
        dataset=drift.dataset,
        columns=drift.new,
        origin="accepted",
    )
    return await submit(
        transaction,
        service=drift.service,
        kind=SYNC,
        target=drift.dataset,
        parameters={"mode": "incremental"},
        requester=command.requester,
        reason=command.reason,
        # One that runs already has read the columns before they were accepted.
        overlap=OverlapPolicy.QUEUE,
    )


def _reporter(context: RunContext) -> OnProgress:
    async def report(note: ProgressNote) -> None:
        await context.report(
            RunCounts(processed=note.rows),
            total=note.expected_rows,
            message=f"{note.dataset} {note.year or ''}, {note.done} of {note.total} partitions",
        )

    return report


def counts_of(result: TargetResult) -> RunCounts:
    """Return what happened, in rows; problems and failed data sets count one each."""
    reports = [item.report for item in result.outcomes.values() if item.report]
    problems = sum(len(found) for found in result.problems.values())
    return RunCounts(
        processed=sum(item.rows for item in result.outcomes.values()),
        new=sum(report.added for report in reports),
        changed=sum(report.changed for report in reports),
        deleted=sum(report.removed for report in reports),
        failed=problems + len(result.errors),
    )


class Schedule:
    """Submits an incremental sync of everything, once a day; replicas make one run of it."""

    def __init__(self, database: Database, targets: list[str], *, at: time, clock: Clock) -> None:
        self._database = database
        self._targets = targets
        self._at = at
        self._clock = clock
        self._submitted: str | None = None

    async def run(self) -> None:
        """Submit for as long as the process lives."""
        await repeat(self.step, every_seconds=_NAP_SECONDS, event="schedule_waits")

    async def step(self) -> None:
        """Submit what is due now: each data set is a run of its own."""
        slot = daily_slot(self._at, self._clock.now()).isoformat()
        if self._submitted == slot:
            return
        async with self._database.transaction() as transaction:
            for target in self._targets:
                await submit(
                    transaction,
                    service=self._database.service,
                    kind=SYNC,
                    target=target,
                    parameters={"mode": "incremental"},
                    command_id=f"schedule/{SYNC}/{target}/{slot}",
                    reason="every day",
                )
        self._submitted = slot


class Watching:
    """Looks after the mirror every minute."""

    def __init__(self, watch: Watch, *, every_seconds: float = WATCH_SECONDS) -> None:
        self._watch = watch
        self._every_seconds = every_seconds

    async def run(self) -> None:
        """Look for as long as the process lives."""
        await repeat(
            self._watch.look,
            every_seconds=self._every_seconds,
            event="watch_waits",
            expected=(TransientError, SourceRefusedError),
        )


class Showings:
    """Writes down every minute where the mirror stands."""

    def __init__(self, showing: Showing, *, every_seconds: float = WATCH_SECONDS) -> None:
        self._showing = showing
        self._every_seconds = every_seconds

    async def run(self) -> None:
        """Look for as long as the process lives."""
        await repeat(self._showing.show, every_seconds=self._every_seconds, event="showing_waits")


class Backups:
    """Copies the mirror elsewhere, once a day; rclone skips what is there."""

    def __init__(self, backup: Backup, *, at: time, clock: Clock) -> None:
        self._backup = backup
        self._at = at
        self._clock = clock
        self._done: str | None = None

    async def run(self) -> None:
        """Copy for as long as the process lives."""
        await repeat(self.step, every_seconds=_NAP_SECONDS, event="backup_waits")

    async def step(self) -> None:
        """Copy if today's time has come; a start after it counts as come."""
        slot = daily_slot(self._at, self._clock.now()).isoformat()
        if self._done != slot:
            await back_up(self._backup, self._clock)
            self._done = slot
