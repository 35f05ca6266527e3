"""What a job is given: its run, a fenced transaction, and ways to report."""

import contextlib
from collections.abc import AsyncGenerator
from typing import Any

from chassis import leases
from chassis.clock import Clock
from chassis.db import Database, Transaction
from chassis.errors import PermanentError
from chassis.logs import get_logger
from chassis.runs import ledger
from chassis.runs.ledger import Run
from contracts.runs import RunCounts

REPORT_EVERY_SECONDS = 1.0


class RunCancelledError(PermanentError):
    """The run was cancelled on request."""


class RunContext:
    """A run in progress."""

    def __init__(self, run: Run, *, database: Database, lease: leases.Lease, clock: Clock) -> None:
        self.run = run
        self.counts = RunCounts()
        """What was reported last; stands in the ledger if the job fails."""
        self.is_cancelled = False
        self._database = database
        self._lease = lease
        self._clock = clock
        self._started_at = clock.monotonic()
        self._reported_at = float("-inf")

    @property
    def seconds(self) -> float:
        """How long this attempt has been at work."""
        return self._clock.monotonic() - self._started_at

    async def report(
        self, counts: RunCounts, *, total: int | None = None, message: str | None = None
    ) -> None:
        """Tell how far the job is; cheap to call often, written once a second.

        Raises:
            RunCancelledError: somebody asked for it; stop at this safe point.
        """
        self.counts = counts
        self.raise_if_cancelled()
        now = self._clock.monotonic()
        if now - self._reported_at < REPORT_EVERY_SECONDS:
            return
        self._reported_at = now
        async with self.transaction() as transaction:
            await ledger.report(transaction, self.run, counts, total=total, message=message)
        get_logger().info(
            "run_progress",
            run_id=self.run.run_id,
            kind=self.run.kind,
            target=self.run.target,
            total=total,
            **counts.model_dump(),
        )

    def raise_if_cancelled(self) -> None:
        """Raise `RunCancelledError` if somebody asked for it."""
        if self.is_cancelled:
            raise RunCancelledError

    async def checkpoint(
        self, state: dict[str, Any], *, transaction: Transaction | None = None
    ) -> None:
        """Store where to resume; in the given transaction, so that it commits with the work.

        Raises:
            LeaseLostError: another worker has taken over.
        """
        if transaction is not None:
            await ledger.checkpoint(transaction, self.run, state)
            return
        async with self.transaction() as own:
            await ledger.checkpoint(own, self.run, state)

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncGenerator[Transaction]:
        """Open a transaction that commits only while this worker owns the run.

        Raises:
            LeaseLostError: another worker has taken over.
        """
        async with self._database.transaction() as transaction:
            await leases.guard(transaction.connection, self._lease)
            yield transaction
