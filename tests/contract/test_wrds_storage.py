"""One suite for every place where the mirror may lie: a folder and a bucket."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest

from chassis.settings import BlobSettings
from tests.support.addresses import S3Address
from tests.support.clocks import HandClock
from tests.support.wrds_archive import Archive, prices
from tests.support.wrds_mirror import CRSP, NOW, NotedLedger
from wrds_sync.adapters.authority import NoAuthority
from wrds_sync.adapters.local_storage import LocalStorage
from wrds_sync.adapters.s3_storage import S3Storage
from wrds_sync.adapters.version_inspector import VersionInspector
from wrds_sync.adapters.volume_locks import VolumeLocks
from wrds_sync.app.wiring import build_manager
from wrds_sync.domain.locks import LockToken
from wrds_sync.errors import LockLostError, SourceUnavailableError
from wrds_sync.handlers.sync import SyncManager
from wrds_sync.ports import Storage

TABLE = "crsp.dsf"


@dataclass
class Place:
    """A storage, and the means to open it again as another process would."""

    root: Path
    open: Callable[[], Storage]
    clock: HandClock

    def __post_init__(self) -> None:
        self.storage = self.open()
        self.locks = VolumeLocks(self.root / "locks", clock=self.clock)

    async def lock(self, above: int = 0) -> LockToken:
        return await self.locks.acquire("crsp", timeout_seconds=0, above=above, lease_token=None)

    def manager(self, archive: Archive) -> SyncManager:
        return build_manager(
            archive,
            self.open(),
            self.locks,
            authority=NoAuthority(),
            inspector=VersionInspector(),
            ledger=NotedLedger(),
            clock=self.clock,
            lock_timeout_seconds=0.2,
            keep_vintages=1,
        )

    async def read(self, vintage: str | None = None) -> pl.DataFrame:
        """Read what the manifest names, as a reader does."""
        manifest = await self.storage.read_manifest("crsp", vintage)
        assert manifest is not None
        files = [await self.storage.local_copy(entry.object) for entry in manifest.partitions]
        return pl.concat([pl.read_parquet(file) for file in files]).sort("date", "permno")


@pytest.fixture(params=["local", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path, blob_prefix: str) -> Place:
    clock = HandClock(NOW)
    root = tmp_path / "data"
    if request.param == "local":
        return Place(root, lambda: LocalStorage(root, clock=clock), clock)
    s3: S3Address = request.getfixturevalue("s3")
    settings = BlobSettings.model_validate(s3.env | {"S3_PREFIX": blob_prefix})
    return Place(root, lambda: S3Storage(settings, root, clock=clock), clock)


@pytest.fixture
def archive() -> Archive:
    archive = Archive()
    archive.put(TABLE, prices(2023), prices(2024), modified="first")
    return archive


async def test_a_stored_file_has_its_contents_name_and_sums(place: Place) -> None:
    token = await place.lock()
    staged = place.storage.staging_path(CRSP, 2024, token=token)
    staged.write_bytes(b"parquet")
    stored = await place.storage.store(staged, CRSP, 2024)
    digest = hashlib.sha256(b"parquet").hexdigest()
    assert stored.object == f"objects/crsp/daily/2024-{digest[:16]}.parquet"
    assert (stored.sha256, stored.size_bytes) == (digest, 7)
    assert stored.md5 == hashlib.md5(b"parquet").hexdigest()
    assert (await place.storage.local_copy(stored.object)).read_bytes() == b"parquet"


@pytest.mark.covers("C-38", "S5-15")
async def test_a_sync_and_its_increment(place: Place, archive: Archive) -> None:
    first = await place.manager(archive).full_sync(CRSP, 2023)
    assert len(await place.read()) == 8
    archive.put(TABLE, prices(2023), prices(2024, price=50), modified="second")
    place.clock.advance(hours=1)
    second = await place.manager(archive).incremental_sync(CRSP)
    assert second.report is not None
    assert (second.report.changed, second.report.added) == (4, 0)
    assert (await place.read())["prc"].max() == 53
    assert (await place.read(first.manifest.vintage))["prc"].max() == 13
    assert await place.storage.vintages("crsp") == [
        first.manifest.vintage,
        second.manifest.vintage,
    ]


@pytest.mark.covers("S5-17", "S5-85")
async def test_an_interrupted_sync_goes_on_and_verifies(place: Place, archive: Archive) -> None:
    def cut(year: int) -> None:
        if year == 2024:
            raise SourceUnavailableError

    archive.before_copy = cut
    with pytest.raises(SourceUnavailableError):
        await place.manager(archive).full_sync(CRSP, 2023)
    archive.before_copy = None
    outcome = await place.manager(archive).full_sync(CRSP, 2023)
    assert archive.copied == [2023, 2024]
    for entry in outcome.manifest.partitions:
        assert await place.storage.check(entry, deep=True) == []


@pytest.mark.covers("C-38", "S5-106")
async def test_the_publication_of_an_earlier_writer_fails(place: Place, archive: Archive) -> None:
    manifest = (await place.manager(archive).full_sync(CRSP, 2023)).manifest
    stale, other = place.open(), place.open()
    token = await place.lock(above=manifest.fencing)
    await stale.claim("crsp", token)
    await place.locks.force_unlock("crsp")
    newer = await place.lock(above=manifest.fencing)
    await other.claim("crsp", newer)
    with pytest.raises(LockLostError):
        await stale.publish(manifest.model_copy(update={"fencing": token.fencing}), token)
    fresh = manifest.model_copy(update={"fencing": newer.fencing, "source_modified": "other"})
    await other.publish(fresh, newer)
    with pytest.raises(LockLostError):
        await stale.publish(manifest.model_copy(update={"fencing": token.fencing}), token)
    assert await place.storage.read_manifest("crsp") == fresh


async def test_documents_are_replaced_and_listed(place: Place) -> None:
    documents = place.storage.documents
    assert await documents.read("schemas/crsp.json") is None
    await documents.write("schemas/crsp.json", "one")
    await documents.write("schemas/crsp.json", "two")
    await documents.write("schemas/crsp/v1.json", "old")
    assert await documents.read("schemas/crsp.json") == "two"
    assert await documents.list_keys("schemas/") == ["schemas/crsp.json", "schemas/crsp/v1.json"]
    assert await documents.list_keys("reports/") == []


async def test_a_missing_and_a_short_file_are_found(place: Place, archive: Archive) -> None:
    manifest = (await place.manager(archive).full_sync(CRSP, 2024)).manifest
    [entry] = manifest.partitions
    wrong = entry.model_copy(update={"size_bytes": entry.size_bytes + 1})
    [problem] = await place.storage.check(wrong, deep=False)
    assert "checksum mismatch" in problem
    gone = entry.model_copy(update={"object": "objects/crsp/daily/2024-none.parquet"})
    [problem] = await place.storage.check(gone, deep=True)
    assert "is missing" in problem
    other = entry.model_copy(update={"sha256": "0" * 64})
    assert "checksum mismatch" in (await place.storage.check(other, deep=True))[0]


async def test_old_vintages_and_their_files_are_purged(place: Place, archive: Archive) -> None:
    outcomes = []
    for price in range(10, 14):
        archive.put(TABLE, prices(2023), prices(2024, price=price), modified=str(price))
        outcomes.append((await place.manager(archive).incremental_sync(CRSP)).manifest)
        place.clock.advance(hours=1)
    assert await place.storage.vintages("crsp") == [item.vintage for item in outcomes[-2:]]
    [_, oldest] = outcomes[0].partitions
    assert await place.storage.check(oldest, deep=False) != []
    assert (await place.read(outcomes[-2].vintage))["prc"].max() == 15
