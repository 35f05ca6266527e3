"""A mirror in a folder, wired as the service wires it, with parts of a test's choice."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from chassis.drift import Drift, Standing
from contracts.drifts import DriftStatus
from tests.support.clocks import HandClock
from wrds_sync.adapters.authority import NoAuthority
from wrds_sync.adapters.ledger import SilentLedger
from wrds_sync.adapters.local_storage import LocalStorage
from wrds_sync.adapters.version_inspector import VersionInspector
from wrds_sync.adapters.volume_locks import VolumeLocks
from wrds_sync.app.wiring import build_manager
from wrds_sync.domain.datasets import Dataset, Rules
from wrds_sync.domain.disk import DiskUsage
from wrds_sync.domain.manifest import SyncManifest
from wrds_sync.domain.restatements import RestatementReport
from wrds_sync.domain.tables import Selection, TableRef
from wrds_sync.handlers.registry import SchemaRegistry
from wrds_sync.handlers.sync import SyncManager
from wrds_sync.handlers.verify import Verifier
from wrds_sync.ports import Source

NOW = datetime(2024, 3, 1, 12, tzinfo=UTC)

CRSP = Dataset(
    name="crsp",
    vendor="crsp",
    frequency="daily",
    selection=Selection(table=TableRef("crsp", "dsf"), date_column="date"),
    rules=Rules(key=("permno", "date"), required=("permno", "date")),
    start_year=2000,
)


@dataclass
class NotedLedger(SilentLedger):
    """Keeps what it is told."""

    vintages: list[str] = field(default_factory=list)
    reports: list[RestatementReport] = field(default_factory=list)
    drifts: list[Drift] = field(default_factory=list)
    accepted: set[str] = field(default_factory=set)
    """Ids of drifts."""

    async def record(self, manifest: SyncManifest, report: RestatementReport | None) -> None:
        self.vintages.append(manifest.vintage)
        if report is not None:
            self.reports.append(report)

    async def drifted(self, drift: Drift) -> Standing:
        self.drifts.append(drift)
        if drift.drift_id in self.accepted:
            return Standing(status=DriftStatus.ACCEPTED)
        return await super().drifted(drift)


class RoomyStorage(LocalStorage):
    """A folder on a disk whose fullness a test chooses."""

    usage = DiskUsage(total_bytes=1_000_000_000_000, free_bytes=900_000_000_000)

    async def disk(self) -> DiskUsage:
        return self.usage


@dataclass
class TestMirror:
    """The parts, and short ways to look at the result."""

    __test__ = False

    root: Path
    storage: RoomyStorage
    locks: VolumeLocks
    manager: SyncManager
    verifier: Verifier
    registry: SchemaRegistry
    ledger: NotedLedger
    clock: HandClock

    def files(self, pattern: str = "wrds/**/*.parquet") -> list[str]:
        return sorted(path.relative_to(self.root).as_posix() for path in self.root.glob(pattern))

    def rows(self, dataset: Dataset = CRSP) -> pl.DataFrame:
        """Return what a reader with a glob sees."""
        return pl.read_parquet(self.root / dataset.folder / "*.parquet")


def open_mirror(root: Path, source: Source, *, clock: HandClock | None = None) -> TestMirror:
    clock = clock or HandClock(NOW)
    storage = RoomyStorage(root, clock=clock)
    locks = VolumeLocks(root / "locks", clock=clock)
    ledger = NotedLedger()
    registry = SchemaRegistry(storage.documents, ledger)
    manager = build_manager(
        source,
        storage,
        locks,
        authority=NoAuthority(),
        inspector=VersionInspector(),
        ledger=ledger,
        clock=clock,
        lock_timeout_seconds=0.2,
        keep_vintages=3,
    )
    return TestMirror(
        root=root,
        storage=storage,
        locks=locks,
        manager=manager,
        verifier=Verifier(storage, registry),
        registry=registry,
        ledger=ledger,
        clock=clock,
    )
