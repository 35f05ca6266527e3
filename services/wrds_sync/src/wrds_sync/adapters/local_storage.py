"""The mirror in a folder (S5-26): immutable files, names that readers know, a manifest that counts.

    wrds/<vendor>/<frequency>/<year>.parquet      the newest version, for readers that glob
    objects/<vendor>/<frequency>/<year>-<sha>.parquet   every kept version; what manifests name
    manifests/<data set>.json                     the present vintage; replacing it is the commit
    manifests/<data set>/<vintage>.json           kept vintages
    tmp/<data set>-<token>/<year>.parquet.tmp     a writer's own temporary files

The visible file is a second name of the object. When a crash comes between the manifest and the
visible names, the next writer settles them.
"""

import asyncio
import os
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TypeVar

from chassis.clock import Clock, SystemClock
from wrds_sync.adapters.durable import (
    digests,
    make_folders,
    replace_text,
    show_as,
    sync_directory,
    sync_file,
    with_room,
)
from wrds_sync.adapters.file_lock import AtomicFileLock
from wrds_sync.adapters.local_documents import LocalDocuments
from wrds_sync.adapters.quarantine import Quarantine
from wrds_sync.domain.datasets import Dataset
from wrds_sync.domain.disk import DiskUsage
from wrds_sync.domain.locks import LockToken
from wrds_sync.domain.manifest import PartitionEntry, SyncManifest
from wrds_sync.errors import ChecksumError, LockLostError
from wrds_sync.ports import StoredFile

Result = TypeVar("Result")


class LocalStorage:
    """A folder; its documents are files of it."""

    def __init__(self, root: Path, *, clock: Clock | None = None) -> None:
        self._root = root
        self._clock = clock or SystemClock()
        self._quarantine = Quarantine(root / "quarantine", self._clock)
        # Disks and hashing block; two at a time are as many as one disk serves well.
        self._executor = ThreadPoolExecutor(max_workers=2, thread_name_prefix="storage")
        self.documents = LocalDocuments(root, self._executor, self._clock)

    @property
    def lock_dir(self) -> Path:
        """Where the locks of this folder's writers lie."""
        return self._root / "locks"

    def staging_path(self, dataset: Dataset, year: int, *, token: LockToken) -> Path:
        """Return a `.parquet.tmp` of this writer alone."""
        folder = self._root / "tmp" / f"{dataset.name}-{token.fencing}"
        folder.mkdir(parents=True, exist_ok=True)
        return (folder / f"{year or 'all'}.parquet").with_suffix(".parquet.tmp")

    async def discard(self, staged: Path) -> None:
        """Remove a temporary file."""
        await self._run(partial(staged.unlink, missing_ok=True))

    async def store(self, staged: Path, dataset: Dataset, year: int) -> StoredFile:
        """Checksum, sync and rename a finished file."""
        return await self._run(
            lambda: with_room(lambda: self._store(staged, dataset, year), staged.name)
        )

    def _store(self, staged: Path, dataset: Dataset, year: int) -> StoredFile:
        sha256, md5 = digests(staged)
        sync_file(staged)
        key = object_key(dataset, year, sha256)
        target = self._root / key
        make_folders(target.parent, self._root)
        staged.rename(target)
        sync_directory(target.parent)
        if digests(target) != (sha256, md5):
            target.rename(staged)  # so that the caller quarantines it
            raise ChecksumError(
                f"{dataset.name} {year}: the stored file's checksum is not that of the written one",
                dataset=dataset.name,
            )
        size = target.stat().st_size
        return StoredFile(object=key, size_bytes=size, sha256=sha256, md5=md5)

    async def read_manifest(self, dataset: str, vintage: str | None = None) -> SyncManifest | None:
        """Return the present manifest, or a kept vintage's."""
        text = await self.documents.read(manifest_key(dataset, vintage))
        return None if text is None else SyncManifest.from_json(text)

    async def vintages(self, dataset: str) -> list[str]:
        """Return the kept vintages, oldest first."""
        keys = await self.documents.list_keys(f"manifests/{dataset}/")
        return [key.rpartition("/")[2].removesuffix(".json") for key in keys]

    async def claim(self, dataset: str, token: LockToken) -> None:
        """Nothing to announce: the lock file itself is looked at when a manifest is replaced."""

    async def publish(self, manifest: SyncManifest, token: LockToken) -> None:
        """Replace the manifest while the lock is proven."""
        await self._run(lambda: with_room(lambda: self._publish(manifest, token), "manifest"))

    def _publish(self, manifest: SyncManifest, token: LockToken) -> None:
        text = manifest.to_json()
        head = self._root / manifest_key(manifest.dataset)
        vintage = self._root / manifest_key(manifest.dataset, manifest.vintage)
        make_folders(vintage.parent, self._root)
        with self._lock(token).guarding(token):
            if head.exists():
                present = SyncManifest.from_json(head.read_bytes())
                if present.fencing > token.fencing:
                    raise LockLostError(dataset=manifest.dataset, fencing=token.fencing)
            if manifest.is_complete:
                replace_text(vintage, text)
            replace_text(head, text)

    async def settle(self, dataset: Dataset, token: LockToken) -> None:
        """Make visible names agree with the manifest; remove what dead writers left."""
        await self._run(lambda: with_room(lambda: self._settle(dataset, token), dataset.folder))

    def _settle(self, dataset: Dataset, token: LockToken) -> None:
        with self._lock(token).guarding(token):
            for folder in (self._root / "tmp").glob(f"{dataset.name}-*"):
                if folder.name != f"{dataset.name}-{token.fencing}":
                    shutil.rmtree(folder, ignore_errors=True)
            head = self._root / manifest_key(dataset.name)
            if not head.exists():
                return
            manifest = SyncManifest.from_json(head.read_bytes())
            for entry in manifest.partitions:
                self._show(entry)
            self._hide_removed(manifest)

    def _hide_removed(self, manifest: SyncManifest) -> None:
        """Take away the visible names of partitions that the vintage before had."""
        before = self._root / manifest_key(manifest.dataset, manifest.previous or "none")
        if manifest.previous is None or not before.exists():
            return
        named = {entry.path for entry in manifest.partitions}
        for entry in SyncManifest.from_json(before.read_bytes()).partitions:
            if entry.path not in named:
                (self._root / entry.path).unlink(missing_ok=True)

    def _show(self, entry: PartitionEntry) -> None:
        source, visible = self._root / entry.object, self._root / entry.path
        if not source.exists() or (visible.exists() and _is_same_file(source, visible)):
            return
        make_folders(visible.parent, self._root)
        show_as(source, visible)

    async def check(self, entry: PartitionEntry, *, deep: bool) -> list[str]:
        """Return what is wrong with a partition's files."""
        return await self._run(lambda: self._check(entry, deep=deep))

    def _check(self, entry: PartitionEntry, *, deep: bool) -> list[str]:
        source, visible = self._root / entry.object, self._root / entry.path
        problems = [
            f"{entry.year}: `{key}` is missing"
            for key, path in ((entry.object, source), (entry.path, visible))
            if not path.exists()
        ]
        if not source.exists():
            return problems
        size = source.stat().st_size
        if size != entry.size_bytes:
            problems.append(
                f"{entry.year}: `{entry.object}` has {size} bytes and not {entry.size_bytes}: "
                "checksum mismatch"
            )
        elif deep and digests(source)[0] != entry.sha256:
            problems.append(f"{entry.year}: `{entry.object}`: checksum mismatch")
        is_copy = deep and visible.exists() and not _is_same_file(source, visible)
        if is_copy and digests(visible)[0] != entry.sha256:
            problems.append(f"{entry.year}: `{entry.path}`: checksum mismatch")
        return problems

    async def strangers(self, manifest: SyncManifest, dataset: Dataset) -> list[str]:
        """Return visible files that the manifest does not name."""
        return await self._run(
            lambda: [f"`{name}` is in no manifest" for name in self._strangers(manifest, dataset)]
        )

    def _strangers(self, manifest: SyncManifest, dataset: Dataset) -> list[str]:
        named = {entry.path for entry in manifest.partitions}
        found = (self._root / dataset.folder).glob("*.parquet")
        keys = sorted(path.relative_to(self._root).as_posix() for path in found)
        return [key for key in keys if key not in named]

    async def local_copy(self, key: str) -> Path:
        """Return the object's own file."""
        return self._root / key

    async def quarantine(self, path: Path, *, operation: str, reason: str) -> Path | None:
        """Move a bad file out of the way."""
        return await self._run(lambda: self._quarantine.take(path, operation, reason))

    async def purge_quarantine(self, *, before: datetime) -> int:
        """Remove old quarantined files."""
        return await self._run(lambda: self._quarantine.purge(before))

    async def purge(self, token: LockToken, *, keep_vintages: int) -> int:
        """Remove superseded vintages and the files that only they name."""
        return await self._run(lambda: self._purge_guarded(token, keep_vintages))

    def _purge_guarded(self, token: LockToken, keep_vintages: int) -> int:
        with self._lock(token).guarding(token):
            return self._purge(token.dataset, keep_vintages)

    def _purge(self, dataset: str, keep_vintages: int) -> int:
        folder = self._root / "manifests" / dataset
        kept = sorted(folder.glob("*.json"))
        head = self._root / manifest_key(dataset)
        if not head.exists():
            return 0
        for path in kept[: -(keep_vintages + 1)]:
            path.unlink()
        manifests = [head, *sorted(folder.glob("*.json"))]
        named = {
            entry.object
            for path in manifests
            for entry in SyncManifest.from_json(path.read_bytes()).partitions
        }
        places = {(self._root / key).parent for key in named}
        stale = [
            path
            for place in sorted(places)
            for path in place.glob("*.parquet")
            if path.relative_to(self._root).as_posix() not in named
        ]
        for path in stale:
            path.unlink()
        return len(stale)

    async def disk(self) -> DiskUsage:
        """Return how full the folder's disk is for us: the reserve of root counts as used."""
        return await self._run(lambda: disk_usage(self._root))

    def reader_url(self, key: str) -> str:
        """Return a path."""
        return str(self._root / key)

    def _lock(self, token: LockToken) -> AtomicFileLock:
        return AtomicFileLock(self.lock_dir, token.dataset, clock=self._clock)

    async def _run(self, action: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._executor, action)


def object_key(dataset: Dataset, year: int, sha256: str) -> str:
    """Return the immutable name of a partition's version."""
    return f"objects/{dataset.vendor}/{dataset.frequency}/{year or 'all'}-{sha256[:16]}.parquet"


def manifest_key(dataset: str, vintage: str | None = None) -> str:
    """Return where a manifest lies."""
    return f"manifests/{dataset}/{vintage}.json" if vintage else f"manifests/{dataset}.json"


def disk_usage(path: Path) -> DiskUsage:
    """Return how full a file system is for an ordinary user."""
    while not path.exists():
        path = path.parent
    state = os.statvfs(path)
    return DiskUsage(
        total_bytes=(state.f_blocks - state.f_bfree + state.f_bavail) * state.f_frsize,
        free_bytes=state.f_bavail * state.f_frsize,
    )


def _is_same_file(one: Path, other: Path) -> bool:
    return one.samefile(other)
