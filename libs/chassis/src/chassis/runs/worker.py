"""Takes runs from the ledger and executes them, one per target at a time."""

import asyncio
import contextlib
import uuid
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import TypeAlias

from chassis import leases, metrics
from chassis.clock import Clock
from chassis.db import Database
from chassis.errors import LeaseLostError, PenstockError, PermanentError, TransientError
from chassis.logs import get_logger
from chassis.retry import backoff_seconds
from chassis.runs import ledger
from chassis.runs.context import RunCancelledError, RunContext
from chassis.runs.ledger import Run
from chassis.tracing import span
from contracts.runs import RunCounts, RunStatus

Job: TypeAlias = Callable[[RunContext], Awaitable[RunCounts]]
"""Does the work of one kind of run and returns what it did."""

POLL_SECONDS = 1.0
BEAT_SECONDS = 3.0
LEASE_SECONDS = 15.0

FAILURE_SHARE = 0.05
"""A run of which more records failed is `completed-with-errors`."""


class RunWorker:
    """Executes the runs of one service's kinds."""

    def __init__(
        self,
        database: Database,
        jobs: Mapping[str, Job],
        *,
        clock: Clock,
        concurrency: int = 4,
        max_attempts: int = ledger.MAX_ATTEMPTS,
    ) -> None:
        self._database = database
        self._jobs = dict(jobs)
        self._clock = clock
        self._concurrency = concurrency
        self._max_attempts = max_attempts

    async def run(self) -> None:
        """Work until cancelled; runs in hand go back to the queue."""
        async with asyncio.TaskGroup() as group:
            for _ in range(self._concurrency):
                group.create_task(self._loop())

    async def _loop(self) -> None:
        attempt = 0
        while True:
            try:
                if not await self.step():
                    await asyncio.sleep(POLL_SECONDS)
                attempt = 0
            except TransientError as error:
                attempt += 1
                get_logger().warning("run_worker_waits", error=error)
                await asyncio.sleep(backoff_seconds(attempt))

    async def step(self) -> bool:
        """Execute one run if one waits; return whether there was one."""
        service = self._database.service
        async with self._database.transaction() as transaction:
            await ledger.reap(transaction, service)
            run = await ledger.claim(transaction.connection, service, list(self._jobs))
            if run is not None:
                await ledger.announce(transaction, run)
        if run is None:
            return False
        lease = await self._lease(run)
        if lease is None:
            # The last worker of this target may still be inside a transaction.
            await self._give_back(run, "the target's lease is still held", delay=POLL_SECONDS)
            return True
        try:
            await self._execute(run, lease)
        finally:
            with contextlib.suppress(TransientError):
                await leases.release(self._database, lease)
        return True

    async def _lease(self, run: Run) -> leases.Lease | None:
        name = f"run/{run.service}/{run.kind}/{run.target}"
        try:
            return await leases.acquire(
                self._database, name, holder=str(uuid.uuid4()), ttl_seconds=LEASE_SECONDS
            )
        except TransientError as error:
            get_logger().warning("run_lease_unknown", run_id=run.run_id, error=error)
            return None

    async def _execute(self, run: Run, lease: leases.Lease) -> None:
        log = get_logger().bind(run_id=run.run_id, kind=run.kind, target=run.target)
        context = RunContext(run, database=self._database, lease=lease, clock=self._clock)
        started = metrics.RUN_STARTED.labels(run.service, run.kind)
        started.set(self._clock.now().timestamp())
        log.info("run_started", attempt=run.attempts, dry_run=run.dry_run)
        try:
            with span(f"run {run.kind}", {"run_id": str(run.run_id), "target": run.target}):
                counts = await self._work(context, lease)
        except asyncio.CancelledError:
            await self._give_back(run, "the worker was stopped")
            raise
        except RunCancelledError:
            await self._finish(context, RunStatus.CANCELLED, "cancelled on request")
        except LeaseLostError as error:
            # Whoever holds the lease now owns the run; writing its status is not ours any more.
            log.warning("run_lost", error=error)
        except TransientError as error:
            await self._interrupted(context, error)
        except PenstockError as error:
            log.error("run_failed", outcome="failure", error=error)  # noqa: TRY400 - expected failure
            await self._finish(context, RunStatus.FAILED, error.message)
        except Exception as error:
            log.exception("run_crashed", outcome="failure", error=error)
            await self._finish(context, RunStatus.FAILED, f"{type(error).__name__}: {error}")
        else:
            context.counts = counts
            await self._finish(context, self._verdict(counts), None)
        finally:
            started.set(0)

    @staticmethod
    def _verdict(counts: RunCounts) -> RunStatus:
        failed = counts.failed + counts.quarantined
        if failed > FAILURE_SHARE * max(counts.processed, 1):
            return RunStatus.COMPLETED_WITH_ERRORS
        return RunStatus.COMPLETED

    async def _work(self, context: RunContext, lease: leases.Lease) -> RunCounts:
        """Run the job beside its heartbeat; whichever fails first stops the other."""
        try:
            async with asyncio.TaskGroup() as group:
                beating = group.create_task(self._beat(context, lease))
                counts = await self._jobs[context.run.kind](context)
                beating.cancel()
        except BaseExceptionGroup as errors:
            error = _decisive(errors)
            raise error from error.__cause__
        return counts

    async def _beat(self, context: RunContext, lease: leases.Lease) -> None:
        deadline = self._clock.monotonic() + LEASE_SECONDS
        while True:
            await asyncio.sleep(BEAT_SECONDS)
            sent_at = self._clock.monotonic()
            try:
                # A call that hangs must not keep the job at work beyond the lease's end.
                async with asyncio.timeout(deadline - sent_at):
                    await leases.renew(self._database, lease, ttl_seconds=LEASE_SECONDS)
                    async with self._database.connection() as connection:
                        context.is_cancelled = await ledger.beat(connection, context.run)
                deadline = sent_at + LEASE_SECONDS
            except LeaseLostError:
                raise
            except (TransientError, TimeoutError) as error:
                if self._clock.monotonic() >= deadline:
                    raise LeaseLostError(lease=lease.name) from error

    async def _interrupted(self, context: RunContext, error: TransientError) -> None:
        run = context.run
        async with self._database.connection() as connection:
            failures = 1 + await ledger.failures(connection, run)
        if failures >= self._max_attempts:
            get_logger().error("run_failed", run_id=run.run_id, outcome="failure", error=error)
            await self._finish(context, RunStatus.FAILED, error.message)
            return
        delay = backoff_seconds(failures, retry_after=error.retry_after)
        get_logger().warning(
            "run_interrupted", run_id=run.run_id, failures=failures, delay=delay, error=error
        )
        await self._give_back(run, error.message, delay=delay, is_failure=True)

    async def _give_back(
        self, run: Run, message: str, *, delay: float = 0.0, is_failure: bool = False
    ) -> None:
        async with self._database.transaction() as transaction:
            await ledger.requeue(transaction, run, message, delay=delay, is_failure=is_failure)

    async def _finish(self, context: RunContext, status: RunStatus, message: str | None) -> None:
        run = context.run
        async with self._database.transaction() as transaction:
            is_ours = await ledger.finish(
                transaction, run, status, counts=context.counts, message=message
            )
        if not is_ours:
            get_logger().warning("run_lost", run_id=run.run_id, status=status.value)
            return
        metrics.RUNS.labels(run.service, run.kind, status.value).inc()
        get_logger().info(
            "run_finished",
            run_id=run.run_id,
            kind=run.kind,
            target=run.target,
            status=status.value,
            outcome="summary",
            message=message,
            duration_seconds=round(context.seconds, 3),
            **context.counts.model_dump(),
        )


def _decisive(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the error that says what becomes of the run.

    A lost lease before all else, since nothing may be written; then a request to stop; then a
    bug, which an outage beside it must not hide; then what is permanent.
    """
    leaves = list(_leaves(errors))
    for kind in (LeaseLostError, RunCancelledError):
        for error in leaves:
            if isinstance(error, kind):
                return error
    for error in leaves:
        if not isinstance(error, PenstockError):
            return error
    return next((error for error in leaves if isinstance(error, PermanentError)), leaves[0])


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for part in error.exceptions:
            yield from _leaves(part)
    else:
        yield error
