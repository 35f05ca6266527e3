"""Syncs what a command names: a data set, a vendor's, or all; one failure stops no other."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from chassis.errors import LeaseLostError, PenstockError
from chassis.logs import get_logger
from chassis.runs import RunCancelledError
from wrds_sync.domain.datasets import Dataset
from wrds_sync.errors import LockLostError
from wrds_sync.handlers.attempts import SyncOutcome
from wrds_sync.handlers.sync import SyncManager
from wrds_sync.handlers.verify import Verifier
from wrds_sync.ports import OnProgress

SyncMode = Literal["full", "incremental", "verify"]


@dataclass(slots=True)
class TargetResult:
    """What became of each data set."""

    outcomes: dict[str, SyncOutcome] = field(default_factory=dict)
    problems: dict[str, list[str]] = field(default_factory=dict)
    errors: dict[str, PenstockError] = field(default_factory=dict)

    def raise_first(self) -> None:
        """Raise the error that most needs somebody: a permanent one, then any."""
        for error in self.errors.values():
            raise error


class Targets:
    """Runs one mode on one target."""

    def __init__(
        self,
        select: Callable[[str], list[Dataset]],
        manager: SyncManager | None,
        verifier: Verifier,
        *,
        no_account: Callable[[], PenstockError],
    ) -> None:
        self._select = select
        self._manager = manager
        self._verifier = verifier
        self._no_account = no_account

    async def run(
        self,
        target: str,
        mode: SyncMode,
        *,
        start_year: int | None = None,
        on_progress: OnProgress | None = None,
    ) -> TargetResult:
        """Sync or verify every data set of a target.

        Raises:
            DatasetConfigError: the target means nothing.
            LockLostError: another writer has taken over; nothing else is started.
        """
        result = TargetResult()
        for dataset in self._select(target):
            try:
                await self._run_one(result, dataset, mode, start_year, on_progress=on_progress)
            except (LockLostError, LeaseLostError, RunCancelledError):
                raise
            except PenstockError as error:
                get_logger().error(
                    "dataset_failed", dataset=dataset.name, outcome="failure", error=error
                )
                result.errors[dataset.name] = error
        return result

    async def _run_one(
        self,
        result: TargetResult,
        dataset: Dataset,
        mode: SyncMode,
        start_year: int | None,
        *,
        on_progress: OnProgress | None,
    ) -> None:
        if mode == "verify":
            result.problems[dataset.name] = await self._verifier.verify_integrity(dataset)
            return
        if self._manager is None:
            raise self._no_account()
        if mode == "full":
            outcome = await self._manager.full_sync(dataset, start_year, on_progress=on_progress)
        else:
            outcome = await self._manager.incremental_sync(dataset, on_progress=on_progress)
        result.outcomes[dataset.name] = outcome
