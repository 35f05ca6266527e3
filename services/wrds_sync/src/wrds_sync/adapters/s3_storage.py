"""The mirror in a bucket (C-38): objects never change, and one conditional write replaces the
manifest.

There is no rename to rely on. A new writer first claims the data set by replacing the manifest with
an equal one that carries its fencing token. From then on the version that an earlier writer knows
is gone, and its publication fails. Files are written to a local folder first and uploaded whole.
"""

import asyncio
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from chassis.clock import Clock, SystemClock
from chassis.settings import BlobSettings
from wrds_sync.adapters.durable import digests, with_room
from wrds_sync.adapters.local_storage import disk_usage, manifest_key, object_key
from wrds_sync.adapters.quarantine import Quarantine
from wrds_sync.adapters.s3_client import ConflictError, S3Client
from wrds_sync.domain.datasets import Dataset
from wrds_sync.domain.disk import DiskUsage
from wrds_sync.domain.locks import LockToken
from wrds_sync.domain.manifest import PartitionEntry, SyncManifest
from wrds_sync.errors import ChecksumError, LockLostError
from wrds_sync.ports import StoredFile

Result = TypeVar("Result")


class S3Storage:
    """A bucket, and a local folder for what is on its way."""

    def __init__(self, settings: BlobSettings, root: Path, *, clock: Clock | None = None) -> None:
        self._client = S3Client(settings)
        self._root = root
        self._quarantine = Quarantine(root / "quarantine", clock or SystemClock())
        self._executor = ThreadPoolExecutor(max_workers=2, thread_name_prefix="storage")
        self._versions: dict[str, str | None] = {}
        """Data set → version of the manifest that this writer wrote or claimed last."""
        self.documents = S3Documents(self._client)

    def staging_path(self, dataset: Dataset, year: int, *, token: LockToken) -> Path:
        """Return a `.parquet.tmp` of this writer alone, on the local disk."""
        folder = self._root / "tmp" / f"{dataset.name}-{token.fencing}"
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f"{year or 'all'}.parquet.tmp"

    async def discard(self, staged: Path) -> None:
        """Remove a temporary file."""
        await self._run(lambda: staged.unlink(missing_ok=True))

    async def store(self, staged: Path, dataset: Dataset, year: int) -> StoredFile:
        """Upload a finished file under its content's name, and compare what arrived."""
        sha256, md5 = await self._run(lambda: digests(staged))
        size = await self._run(lambda: staged.stat().st_size)
        key = object_key(dataset, year, sha256)
        await self._client.upload(key, staged, size_bytes=size)
        if await self._client.size(key) != size:
            raise ChecksumError(
                f"{dataset.name} {year}: the stored object's checksum is not the file's",
                dataset=dataset.name,
            )
        return StoredFile(object=key, size_bytes=size, sha256=sha256, md5=md5)

    async def read_manifest(self, dataset: str, vintage: str | None = None) -> SyncManifest | None:
        """Return the present manifest, or a kept vintage's."""
        found = await self._client.get(manifest_key(dataset, vintage))
        return None if found is None else SyncManifest.from_json(found.data)

    async def vintages(self, dataset: str) -> list[str]:
        """Return the kept vintages, oldest first."""
        keys = await self._client.keys(f"manifests/{dataset}/")
        return [key.rpartition("/")[2].removesuffix(".json") for key in keys]

    async def claim(self, dataset: str, token: LockToken) -> None:
        """Replace the manifest with an equal one that carries this writer's token."""
        found = await self._client.get(manifest_key(dataset))
        if found is None:
            self._versions[dataset] = None
            return
        manifest = SyncManifest.from_json(found.data)
        if manifest.fencing > token.fencing:
            raise LockLostError(dataset=dataset, fencing=token.fencing)
        self._versions[dataset] = found.e_tag
        await self._swap(manifest.model_copy(update={"fencing": token.fencing}))

    async def publish(self, manifest: SyncManifest, token: LockToken) -> None:
        """Replace the manifest if it is still the version that this writer left."""
        if manifest.fencing != token.fencing:
            raise LockLostError(dataset=manifest.dataset, fencing=token.fencing)
        if manifest.is_complete:
            text = manifest.to_json().encode()
            await self._client.put(manifest_key(manifest.dataset, manifest.vintage), text)
        await self._swap(manifest)

    async def _swap(self, manifest: SyncManifest) -> None:
        key, text = manifest_key(manifest.dataset), manifest.to_json().encode()
        try:
            self._versions[manifest.dataset] = await self._client.replace(
                key, text, e_tag=self._versions.get(manifest.dataset)
            )
        except ConflictError as error:
            present = await self._client.get(key)
            # A repeated request finds what its first attempt stored.
            if present is None or present.data != text:
                raise LockLostError(dataset=manifest.dataset) from error
            self._versions[manifest.dataset] = present.e_tag

    async def settle(self, dataset: Dataset, token: LockToken) -> None:
        """Remove what dead writers left on the local disk; the bucket has nothing to settle."""
        await self._run(lambda: self._sweep(dataset, token))

    def _sweep(self, dataset: Dataset, token: LockToken) -> None:
        for folder in (self._root / "tmp").glob(f"{dataset.name}-*"):
            if folder.name != f"{dataset.name}-{token.fencing}":
                shutil.rmtree(folder, ignore_errors=True)
        shutil.rmtree(self._cache(dataset.vendor, dataset.frequency), ignore_errors=True)

    async def check(self, entry: PartitionEntry, *, deep: bool) -> list[str]:
        """Return what is wrong with a partition's object."""
        size = await self._client.size(entry.object)
        if size is None:
            return [f"{entry.year}: `{entry.object}` is missing"]
        if size != entry.size_bytes:
            text = f"`{entry.object}` has {size} bytes and not {entry.size_bytes}"
            return [f"{entry.year}: {text}: checksum mismatch"]
        if not deep:
            return []
        copy = await self.local_copy(entry.object)
        try:
            sha256, _ = await self._run(lambda: digests(copy))
        finally:
            await self.discard(copy)
        is_equal = sha256 == entry.sha256
        return [] if is_equal else [f"{entry.year}: `{entry.object}`: checksum mismatch"]

    async def strangers(self, manifest: SyncManifest, dataset: Dataset) -> list[str]:
        """Nothing is visible in a bucket but what a manifest names."""
        del manifest, dataset
        return []

    async def local_copy(self, key: str) -> Path:
        """Download an object; copies are swept by the next writer."""
        _, vendor, frequency, name = key.split("/")
        folder = self._cache(vendor, frequency)
        await self._run(lambda: folder.mkdir(parents=True, exist_ok=True))
        await self._client.download(key, folder / name)
        return folder / name

    def _cache(self, vendor: str, frequency: str) -> Path:
        return self._root / "tmp" / "objects" / vendor / frequency

    async def quarantine(self, path: Path, *, operation: str, reason: str) -> Path | None:
        """Move a bad file out of the way, on the local disk."""
        return await self._run(lambda: self._quarantine.take(path, operation, reason))

    async def purge_quarantine(self, *, before: datetime) -> int:
        """Remove old quarantined files."""
        return await self._run(lambda: self._quarantine.purge(before))

    async def purge(self, token: LockToken, *, keep_vintages: int) -> int:
        """Remove superseded vintages and the objects that only they name."""
        present = await self.read_manifest(token.dataset)
        if present is None or present.fencing != token.fencing:
            raise LockLostError(dataset=token.dataset, fencing=token.fencing)
        names = await self.vintages(token.dataset)
        removed, kept = names[: -(keep_vintages + 1)], names[-(keep_vintages + 1) :]
        manifests = [present, *[await self.read_manifest(token.dataset, name) for name in kept]]
        named = {entry.object for item in manifests if item for entry in item.partitions}
        stale = {
            entry.object
            for name in removed
            if (old := await self.read_manifest(token.dataset, name))
            for entry in old.partitions
        } - named
        for key in sorted(stale):
            await self._client.delete(key)
        for name in removed:
            await self._client.delete(manifest_key(token.dataset, name))
        return len(stale)

    async def disk(self) -> DiskUsage:
        """Return how full the local disk is: the bucket has no end."""
        return await self._run(lambda: disk_usage(self._root))

    def reader_url(self, key: str) -> str:
        """Return an `s3://` address."""
        return self._client.url(key)

    async def _run(self, action: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(
            self._executor, lambda: with_room(action, "temporary files")
        )


class S3Documents:
    """Small texts in the same bucket."""

    def __init__(self, client: S3Client) -> None:
        self._client = client

    async def read(self, key: str) -> str | None:
        """Return a text; None if there is none."""
        found = await self._client.get(key)
        return None if found is None else found.data.decode()

    async def write(self, key: str, text: str, *, token: LockToken | None = None) -> None:
        """Replace a text; refused to a writer whose manifest another one has claimed.

        Between the look and the write another writer may come. What is written with a token names
        immutable objects that are checked before they are used, so that does no harm.
        """
        if token is not None:
            found = await self._client.get(manifest_key(token.dataset))
            if found and SyncManifest.from_json(found.data).fencing > token.fencing:
                raise LockLostError(dataset=token.dataset, fencing=token.fencing)
        await self._client.put(key, text.encode())

    async def list_keys(self, prefix: str) -> list[str]:
        """Return the names below a prefix, sorted."""
        return await self._client.keys(prefix)
