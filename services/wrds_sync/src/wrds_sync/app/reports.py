"""Manifests, locks and progress as plain facts for `status` and its kin."""

from typing import Any

from wrds_sync.app.wiring import Mirror
from wrds_sync.domain.datasets import Dataset
from wrds_sync.domain.manifest import SyncManifest
from wrds_sync.errors import ManifestError
from wrds_sync.handlers.checkpoints import Checkpoints
from wrds_sync.ports import LockState


def describe_manifest(manifest: SyncManifest) -> dict[str, Any]:
    """Return the facts of a vintage."""
    years = [item.year for item in manifest.partitions]
    return {
        "dataset": manifest.dataset,
        "vintage": manifest.vintage,
        "synced_at": manifest.synced_at.isoformat(),
        "rows": manifest.rows,
        "size_bytes": manifest.size_bytes,
        "partitions": len(years),
        "first_year": min(years, default=None),
        "last_year": max(years, default=None),
        "is_complete": manifest.is_complete,
        "source_modified": manifest.source_modified,
    }


def describe_lock(state: LockState) -> dict[str, Any]:
    """Return the facts of a lock."""
    facts: dict[str, Any] = {
        "dataset": state.dataset,
        "is_stale": state.is_stale,
        "reason": state.reason,
    }
    if state.token is not None:
        facts |= state.token.model_dump(mode="json", exclude={"dataset"})
    return facts


async def describe_status(mirror: Mirror, dataset: Dataset) -> dict[str, Any]:
    """Return where a data set stands: vintage, progress, lock."""
    facts: dict[str, Any] = {"dataset": dataset.name}
    try:
        manifest = await mirror.storage.read_manifest(dataset.name)
    except ManifestError as error:
        facts["error"] = error.message
    else:
        facts |= describe_manifest(manifest) if manifest else {"vintage": None}
    progress = await Checkpoints(mirror.storage.documents).load(dataset.name)
    if progress is not None:
        facts["progress"] = progress.model_dump(mode="json", exclude={"staged", "dataset"})
    locks = [item for item in await mirror.locks.states() if item.dataset == dataset.name]
    facts["lock"] = describe_lock(locks[0]) if locks else None
    return facts
