"""Checks the mirror against its manifests; downloads nothing (S5-17, S5-91)."""

from chassis.logs import get_logger
from wrds_sync import metrics
from wrds_sync.domain.alerts import Alert
from wrds_sync.domain.datasets import Dataset
from wrds_sync.errors import ManifestError
from wrds_sync.handlers.alerts import alert
from wrds_sync.handlers.registry import SchemaRegistry
from wrds_sync.ports import Storage

_KINDS = ("checksum", "manifest")


class Verifier:
    """Reads every file that a manifest names."""

    def __init__(self, storage: Storage, registry: SchemaRegistry) -> None:
        self._storage = storage
        self._registry = registry

    async def verify_integrity(self, dataset: Dataset) -> list[str]:
        """Return what is wrong, in words; nothing is changed, nothing is downloaded."""
        try:
            manifest = await self._storage.read_manifest(dataset.name)
        except ManifestError as error:
            return self._tell(dataset, checksum=[], manifest=[error.message])
        if manifest is None:
            return self._tell(dataset, checksum=[], manifest=["there is no manifest: never synced"])
        checksum: list[str] = []
        other: list[str] = []
        for entry in manifest.partitions:
            for problem in await self._storage.check(entry, deep=True):
                (checksum if "checksum" in problem else other).append(problem)
        if not manifest.is_complete:
            other.append("the first sync has not ended; years are missing")
        other += await self._storage.strangers(manifest, dataset)
        registered = await self._registry.get_schema(dataset.name)
        if registered is None:
            other.append("no schema is registered")
        else:
            try:
                manifest.check_against(registered)
            except ManifestError as error:
                other.append(error.message)
        return self._tell(dataset, checksum=checksum, manifest=other)

    @staticmethod
    def _tell(dataset: Dataset, *, checksum: list[str], manifest: list[str]) -> list[str]:
        for kind, found in zip(_KINDS, (checksum, manifest), strict=True):
            metrics.INTEGRITY_PROBLEMS.labels(dataset.name, kind).set(len(found))
        if checksum:
            alert(Alert.CHECKSUM_MISMATCH, dataset=dataset.name, problems=checksum)
        if manifest:
            alert(Alert.MANIFEST_MISMATCH, dataset=dataset.name, problems=manifest)
        if not checksum and not manifest:
            get_logger().info("mirror_verified", dataset=dataset.name)
        return [*checksum, *manifest]
