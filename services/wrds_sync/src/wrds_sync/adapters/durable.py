"""Writes that survive a power cut, and readers that never see half of one.

The order is the whole point: content, `fsync` of the file, `rename`, `fsync` of the folder.
"""

import contextlib
import errno
import hashlib
import os
import shutil
import uuid
from collections.abc import Callable, Generator
from pathlib import Path
from typing import TypeVar

from wrds_sync.errors import DiskFailedError, DiskFullError

_ROOM_SECONDS = 600.0
"""Between attempts while only a person can make room."""

_CHUNK = 1024 * 1024
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
_NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK, errno.EXDEV)

Result = TypeVar("Result")


@contextlib.contextmanager
def disk_errors(what: str) -> Generator[None]:
    """Tell a full disk, and a failing one, from mistakes of ours.

    After a failed sync nobody knows what the disk has: the caller drops the file and writes
    another, and never syncs the same one again.

    Raises:
        DiskFullError: there was no room.
        DiskFailedError: the disk does not work.
    """
    try:
        yield
    except FileNotFoundError:
        raise  # another writer swept it away
    except OSError as error:
        if error.errno in _NO_ROOM:
            raise DiskFullError(f"no room to write `{what}`", retry_after=_ROOM_SECONDS) from error
        raise DiskFailedError(
            f"`{what}` could not be written: {error.strerror or error}"
        ) from error


def with_room(action: Callable[[], Result], what: str) -> Result:
    """Run something that writes.

    Raises:
        As `disk_errors`.
    """
    with disk_errors(what):
        return action()


def sync_file(path: Path) -> None:
    """Bring a file's content to stable storage."""
    _sync(path, os.O_RDONLY)


def sync_directory(path: Path) -> None:
    """Bring a folder's names to stable storage."""
    _sync(path, os.O_RDONLY | os.O_DIRECTORY)


def _sync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folders(path: Path, root: Path) -> None:
    """Create a folder, durably, up to an existing root."""
    if path.is_dir():
        return
    make_folders(path.parent, root)
    path.mkdir(exist_ok=True)
    if path != root:
        sync_directory(path.parent)


def replace_text(path: Path, text: str) -> None:
    """Replace a small file in one step, durably."""
    spare = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        with spare.open("x", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        spare.rename(path)
    except BaseException:
        spare.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


def show_as(source: Path, visible: Path) -> None:
    """Make a file appear under a second name, in one step, in place of what is there.

    A hard link costs no space; where the file system has none, the bytes are copied first.
    """
    spare = visible.with_name(f".{visible.name}.{uuid.uuid4().hex}.tmp")
    try:
        try:
            os.link(source, spare)
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            shutil.copyfile(source, spare)
            sync_file(spare)
        spare.rename(visible)
    finally:
        # Renaming a link onto another link of the same file does nothing and leaves the first.
        spare.unlink(missing_ok=True)
    sync_directory(visible.parent)


def digests(path: Path) -> tuple[str, str]:
    """Return SHA-256 and MD5 of a file, read once."""
    sha256, md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            sha256.update(chunk)
            md5.update(chunk)
    return sha256.hexdigest(), md5.hexdigest()
