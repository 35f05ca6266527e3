"""Tells the database where the mirror stands, so that nobody has to read its files for that."""

from collections.abc import Sequence
from typing import Any, Protocol

from wrds_sync.domain.datasets import Dataset
from wrds_sync.domain.disk import DiskSpaceStatus, assess
from wrds_sync.domain.manifest import SyncManifest
from wrds_sync.domain.states import DatasetState
from wrds_sync.errors import ManifestError
from wrds_sync.handlers.checkpoints import Checkpoints
from wrds_sync.ports import Locks, LockState, Storage


class _Catalog(Protocol):
    def all(self) -> list[Dataset]: ...


class Showcase(Protocol):
    """Where people see how the mirror stands."""

    async def show(self, states: Sequence[DatasetState], disk: DiskSpaceStatus) -> None:
        """Write what was seen; data sets that are configured no more are forgotten."""
        ...


class Showing:
    """One look at manifests, checkpoints, locks and the disk, written down."""

    def __init__(
        self, catalog: _Catalog, storage: Storage, locks: Locks, *, showcase: Showcase
    ) -> None:
        self._catalog = catalog
        self._storage = storage
        self._locks = locks
        self._showcase = showcase

    async def show(self) -> None:
        """Look once."""
        locks = {state.dataset: state for state in await self._locks.states()}
        states = [await self._state(item, locks.get(item.name)) for item in self._catalog.all()]
        await self._showcase.show(states, assess(await self._storage.disk(), 0))

    async def _state(self, dataset: Dataset, lock: LockState | None) -> DatasetState:
        manifest: SyncManifest | None = None
        problem: str | None = None
        try:
            manifest = await self._storage.read_manifest(dataset.name)
        except ManifestError as error:
            problem = error.message
        return DatasetState(
            dataset=dataset,
            manifest=manifest,
            kept=await self._storage.vintages(dataset.name),
            progress=await Checkpoints(self._storage.documents).load(dataset.name),
            lock=_describe(lock),
            problem=problem,
        )


def _describe(lock: LockState | None) -> dict[str, Any] | None:
    if lock is None:
        return None
    facts: dict[str, Any] = {"is_stale": lock.is_stale, "reason": lock.reason}
    if lock.token is not None:
        facts |= lock.token.model_dump(mode="json", exclude={"dataset"})
    return facts
