"""A folder of this machine behind the port: mounted shares, tests, and the demo without Samba.

Symbolic links are neither listed nor followed, wherever they lead: a loop or a way out of the root
is then impossible, whoever may write into the tree.
"""

import asyncio
import errno
import os
import secrets
import stat as modes
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from chassis.errors import PenstockError
from chassis.shares.paths import validate_directory_path, validate_file_path
from chassis.shares.port import (
    Entry,
    FileChangedError,
    FileContent,
    FileTooLargeError,
    ShareAccessDeniedError,
    ShareDescription,
    ShareNotFoundError,
    ShareUnavailableError,
    UnsafePathError,
)
from contracts.errors import ErrorCategory

T = TypeVar("T")

_OPEN_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# Opening a pipe for reading would wait for its writer.
_OPEN_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_CREATE_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC

_CHUNK_BYTES = 1024 * 1024

_MISSING = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EISDIR})
_DENIED = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})


class LocalShare:
    """A folder; `connections` bounds the calls that use the disk at a time."""

    def __init__(self, root: Path, *, connections: int = 8) -> None:
        self._root = root
        self._executor = ThreadPoolExecutor(connections, thread_name_prefix="share")
        self._is_closed = False

    async def list_directory(self, path: str) -> Sequence[Entry]:
        """Return every entry of a directory, without links, pipes and devices."""
        validate_directory_path(path)
        return await self._call(lambda: self._list(path))

    async def stat(self, path: str) -> Entry:
        """Return one entry; used to prove that a file is gone (`ShareNotFoundError`)."""
        validate_directory_path(path)
        return await self._call(lambda: self._stat(path))

    async def read_file(self, path: str, *, max_bytes: int) -> FileContent:
        """Read a whole file; see the port for what it raises."""
        validate_file_path(path)
        return await self._call(lambda: self._read(path, max_bytes))

    async def write_file(self, path: str, data: bytes) -> None:
        """Write a file so that readers see the old or the new one; parents are created."""
        validate_file_path(path)
        await self._call(lambda: self._write(path, data))

    async def make_directories(self, path: str) -> None:
        """Create a directory and its parents; existing ones are fine."""
        validate_directory_path(path)
        await self._call(lambda: self._make(path))

    async def describe(self) -> ShareDescription:
        """Tell that this is a folder."""
        return ShareDescription(
            kind="local",
            backend="filesystem",
            dialect="",
            is_signed=False,
            is_encrypted=False,
            verifies_signatures=False,
        )

    async def close(self) -> None:
        """End the threads, after the calls under way."""
        self._is_closed = True
        await asyncio.to_thread(self._executor.shutdown)

    async def _call(self, operation: Callable[[], T]) -> T:
        if self._is_closed:
            raise ShareUnavailableError("The share was closed.")
        return await asyncio.get_running_loop().run_in_executor(self._executor, operation)

    def _list(self, path: str) -> list[Entry]:
        with (
            _translated(path, ErrorCategory.NAS_LIST_FILES),
            self._directory(path) as folder,
            os.scandir(folder) as found,
        ):
            return [entry for item in found if (entry := _listed(item)) is not None]

    def _stat(self, path: str) -> Entry:
        folder, name = _split(path)
        with _translated(path, ErrorCategory.FILE_METADATA), self._directory(folder) as parent:
            status = os.stat(name or ".", dir_fd=parent, follow_symlinks=False)
            entry = _entry(name, status)
        if entry is None:
            raise ShareNotFoundError(
                "The path is a link, a pipe or a device.",
                category=ErrorCategory.FILE_METADATA,
                path=path,
            )
        return entry

    def _read(self, path: str, max_bytes: int) -> FileContent:
        folder, name = _split(path)
        with (
            _translated(path, ErrorCategory.NAS_DOWNLOAD),
            self._directory(folder) as parent,
            _opened(name, _OPEN_FILE, parent) as file,
        ):
            before = os.fstat(file)
            if not modes.S_ISREG(before.st_mode):
                raise ShareNotFoundError("The path is not a file.", path=path)
            if before.st_size > max_bytes:
                raise FileTooLargeError(path=path, size_bytes=before.st_size, max_bytes=max_bytes)
            data = _read_up_to(file, before.st_size)
            after = os.fstat(file)
        if len(data) != after.st_size or before.st_mtime_ns != after.st_mtime_ns:
            raise FileChangedError(path=path)
        return FileContent(data=data, modified_us=after.st_mtime_ns // 1000)

    def _write(self, path: str, data: bytes) -> None:
        folder, name = _split(path)
        temporary = f".penstock-{secrets.token_hex(8)}.tmp"
        self._make(folder)
        with _translated(path, ErrorCategory.NAS_UPLOAD), self._directory(folder) as parent:
            try:
                with _opened(temporary, _CREATE_FILE, parent) as file:
                    _write_all(file, data)
                    os.fsync(file)
                os.rename(temporary, name, src_dir_fd=parent, dst_dir_fd=parent)
            except OSError:
                with suppress(OSError):
                    os.unlink(temporary, dir_fd=parent)
                raise

    def _make(self, path: str) -> None:
        parts = path.split("/") if path else []
        for depth in range(len(parts)):
            with (
                _translated(path, ErrorCategory.DIRECTORY_CREATION),
                self._directory("/".join(parts[:depth])) as parent,
            ):
                with suppress(FileExistsError):
                    os.mkdir(parts[depth], dir_fd=parent)
                with _opened(parts[depth], _OPEN_DIRECTORY, parent):
                    pass  # it may be a file or a link that was there before

    @contextmanager
    def _directory(self, path: str) -> Generator[int]:
        """Open a directory part by part, so that no link on the way is followed."""
        try:
            folder = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            # A root that is missing is a volume that is not mounted, not an empty source.
            raise ShareUnavailableError("The root folder cannot be opened.") from error
        try:
            for part in path.split("/") if path else []:
                inner = os.open(part, _OPEN_DIRECTORY, dir_fd=folder)
                os.close(folder)
                folder = inner
            yield folder
        finally:
            os.close(folder)


def _split(path: str) -> tuple[str, str]:
    folder, _, name = path.rpartition("/")
    return folder, name


def _listed(item: os.DirEntry[str]) -> Entry | None:
    try:
        return _entry(item.name, item.stat(follow_symlinks=False))
    except FileNotFoundError:
        return None  # removed since the directory was read


def _entry(name: str, status: os.stat_result) -> Entry | None:
    is_directory = modes.S_ISDIR(status.st_mode)
    if not is_directory and not modes.S_ISREG(status.st_mode):
        return None
    return Entry(
        name=name,
        is_directory=is_directory,
        modified_us=status.st_mtime_ns // 1000,
        size_bytes=0 if is_directory else status.st_size,
        is_hidden=name.startswith("."),
    )


def _read_up_to(file: int, size: int) -> bytes:
    chunks: list[bytes] = []
    missing = size
    while missing and (chunk := os.read(file, min(missing, _CHUNK_BYTES))):
        chunks.append(chunk)
        missing -= len(chunk)
    return b"".join(chunks)


def _write_all(file: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(file, view) :]


@contextmanager
def _opened(name: str, flags: int, parent: int) -> Generator[int]:
    file = os.open(name, flags, 0o666, dir_fd=parent)
    try:
        yield file
    finally:
        os.close(file)


@contextmanager
def _translated(path: str, category: ErrorCategory) -> Generator[None]:
    try:
        yield
    except OSError as error:
        raise _error(error, path, category) from error


def _error(error: OSError, path: str, category: ErrorCategory) -> PenstockError:
    reason = os.strerror(error.errno or 0)
    if error.errno in _MISSING:
        return ShareNotFoundError(category=category, path=path, reason=reason)
    if error.errno in _DENIED:
        return ShareAccessDeniedError(category=category, path=path, reason=reason)
    if error.errno == errno.ENAMETOOLONG:
        return UnsafePathError(path=path, reason=reason)
    return ShareUnavailableError(
        f"The folder cannot do it now: {reason}.", category=category, path=path
    )
