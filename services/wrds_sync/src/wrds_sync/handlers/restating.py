"""Finds what a new vintage changes of what was published (C-40)."""

from chassis.clock import Clock
from chassis.logs import get_logger
from wrds_sync import metrics
from wrds_sync.domain.datasets import Dataset
from wrds_sync.domain.manifest import PartitionEntry, SyncManifest
from wrds_sync.domain.restatements import PartitionChange, RestatementReport
from wrds_sync.ports import Inspector, Storage


class Restatements:
    """Compares vintages and keeps the reports."""

    def __init__(self, storage: Storage, inspector: Inspector, clock: Clock) -> None:
        self._storage = storage
        self._inspector = inspector
        self._clock = clock

    async def find(
        self, dataset: Dataset, before: SyncManifest, after: SyncManifest
    ) -> RestatementReport | None:
        """Compare, write the report beside the data, and return it; None without a difference."""
        report = await self.compare(dataset, before, after)
        if not report.partitions:
            return None
        await self._storage.documents.write(
            _key(dataset.name, after.vintage), report.model_dump_json(indent=2)
        )
        if report.restated_years:
            metrics.RESTATED_ROWS.labels(dataset.name, "changed").inc(report.changed)
            metrics.RESTATED_ROWS.labels(dataset.name, "removed").inc(report.removed)
            get_logger().warning(
                "data_restated",
                outcome="warning",
                dataset=dataset.name,
                vintage=after.vintage,
                previous=before.vintage,
                added=report.added,
                removed=report.removed,
                changed=report.changed,
                years=report.restated_years,
            )
        return report

    async def load(self, dataset: str, vintage: str) -> RestatementReport | None:
        """Return the report that was written with a vintage; None where nothing changed."""
        text = await self._storage.documents.read(_key(dataset, vintage))
        return None if text is None else RestatementReport.model_validate_json(text)

    async def compare(
        self, dataset: Dataset, before: SyncManifest, after: SyncManifest
    ) -> RestatementReport:
        """Return how two vintages differ; equal files are not opened."""
        old, new = before.by_year(), after.by_year()
        changes = [
            await self._compare_one(dataset, year, old.get(year), new.get(year))
            for year in sorted(set(old) | set(new))
            if _digest(old.get(year)) != _digest(new.get(year))
        ]
        return RestatementReport(
            dataset=dataset.name,
            vintage=after.vintage,
            previous=before.vintage,
            found_at=self._clock.now(),
            partitions=tuple(item for item in changes if item),
        )

    async def _compare_one(
        self,
        dataset: Dataset,
        year: int,
        before: PartitionEntry | None,
        after: PartitionEntry | None,
    ) -> PartitionChange:
        return await self._inspector.compare(
            await self._storage.local_copy(before.object) if before else None,
            await self._storage.local_copy(after.object) if after else None,
            dataset=dataset,
            year=year,
        )


def _key(dataset: str, vintage: str) -> str:
    return f"reports/{dataset}/{vintage}.json"


def _digest(entry: PartitionEntry | None) -> str | None:
    return entry.sha256 if entry else None
