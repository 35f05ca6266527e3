"""The operations of the port, as exchanges on one connection; the same for both client libraries.

Paths are relative to the folder, safe (`chassis.shares.paths`) and `/`-separated.
"""

import secrets
from collections.abc import Generator
from contextlib import contextmanager, suppress

from chassis.errors import PenstockError
from chassis.shares import smb_messages as messages
from chassis.shares.paths import join
from chassis.shares.port import (
    Entry,
    FileChangedError,
    FileContent,
    FileTooLargeError,
    ShareNotFoundError,
    ShareUnavailableError,
    UnsafePathError,
)
from chassis.shares.smb_messages import OpenFile, Reply, Request
from chassis.shares.smb_status import (
    END_OF_FILE,
    NO_MORE_FILES,
    NO_SUCH_FILE,
    OBJECT_PATH_NOT_FOUND,
    operation_error,
)
from chassis.shares.smb_wire import SUCCESS, Folder
from contracts.errors import ErrorCategory

_FORBIDDEN = frozenset(':*?"<>|')
"""A colon opens a hidden stream, the rest are wildcards or illegal; no listing has them."""

_DIRECTORY_ACCESS = messages.READ_DATA | messages.READ_ATTRIBUTES
_FILE_ACCESS = messages.READ_DATA | messages.READ_ATTRIBUTES
_WRITE_ACCESS = messages.WRITE_DATA | messages.READ_ATTRIBUTES | messages.DELETE


def list_directory(folder: Folder, path: str) -> list[Entry]:
    """Return every entry of a directory: in one round trip, or in steps where it is large."""
    query = messages.query_directory(buffer_bytes=folder.wire.listing_bytes)
    replies = folder.wire.chain([_open_directory(folder, path), query, query, messages.close()])
    created, first, second, closed = replies
    _check(created, path, ErrorCategory.NAS_LIST_FILES)
    if closed.status != SUCCESS:
        # Some servers fail a whole chain with its first failure: "no more files" is one.
        folder.wire.chain([messages.close(messages.opened(created).file_id)])
    if first.status in (NO_SUCH_FILE, NO_MORE_FILES):
        return []
    if first.status == SUCCESS and second.status == NO_MORE_FILES:
        return list(messages.entries(first))
    return _list_in_steps(folder, path)


def stat(folder: Folder, path: str) -> Entry:
    """Return one entry, by opening it: what cannot be listed may still be there."""
    opening = messages.create(_spelled(folder, path), access=messages.READ_ATTRIBUTES)
    created, _ = folder.wire.chain([opening, messages.close()])
    _check(created, path, ErrorCategory.FILE_METADATA)
    parent, _, name = path.rpartition("/")
    if name and _only_in_other_case(folder, parent, name):
        raise ShareNotFoundError(
            "The path is not there: the name exists in another case only.",
            category=ErrorCategory.FILE_METADATA,
            path=path,
        )
    return messages.opened(created).entry(name)


def read_file(folder: Folder, path: str, max_bytes: int) -> FileContent:
    """Read a whole file and make sure that it stayed the same meanwhile."""
    try:
        return _read_file(folder, path, max_bytes)
    except ShareNotFoundError:
        # Servers look a name up and then open it: one that is replaced in between is not there.
        return _read_file(folder, path, max_bytes)


def _read_file(folder: Folder, path: str, max_bytes: int) -> FileContent:
    opening = messages.create(
        _spelled(folder, path), access=_FILE_ACCESS, kind=messages.MUST_BE_FILE
    )
    length = max(1, min(folder.wire.io_bytes, max_bytes))
    created, first = folder.wire.chain([opening, messages.read(offset=0, length=length)])
    _check(created, path, ErrorCategory.NAS_DOWNLOAD)
    file = messages.opened(created)
    with _closed_on_error(folder, file):
        if file.size_bytes > max_bytes:
            raise FileTooLargeError(path=path, size_bytes=file.size_bytes, max_bytes=max_bytes)
        data = _read_all(folder, path, file, first)
    if _close(folder, path, file) != (file.modified_us, file.size_bytes):
        raise FileChangedError(path=path)
    return FileContent(data=data, modified_us=file.modified_us)


def write_file(folder: Folder, path: str, data: bytes) -> None:
    """Write beside the file, put it on stable storage, and rename it over the old one."""
    file = _create_temporary(folder, path)
    with _closed_on_error(folder, file):
        try:
            _write_all(folder, path, file, data)
            rename = messages.rename_over(file.file_id, _spelled(folder, path, is_target=True))
            _ask(folder, rename, path, ErrorCategory.NAS_UPLOAD)
        except PenstockError:
            with suppress(ShareUnavailableError):
                folder.wire.chain([messages.delete_on_close(file.file_id)])
            raise
    _ask(folder, messages.close(file.file_id), path, ErrorCategory.NAS_UPLOAD)


def make_directories(folder: Folder, path: str) -> None:
    """Create a directory and its parents."""
    parts = path.split("/") if path else []
    for depth in range(1, len(parts) + 1):
        opening = messages.create(
            _spelled(folder, "/".join(parts[:depth])),
            access=messages.READ_ATTRIBUTES,
            kind=messages.MUST_BE_DIRECTORY,
            disposition=messages.OPEN_OR_CREATE,
        )
        created, _ = folder.wire.chain([opening, messages.close()])
        _check(created, path, ErrorCategory.DIRECTORY_CREATION)


def _list_in_steps(folder: Folder, path: str) -> list[Entry]:
    [created] = folder.wire.chain([_open_directory(folder, path)])
    _check(created, path, ErrorCategory.NAS_LIST_FILES)
    directory = messages.opened(created)
    query = messages.query_directory(directory.file_id, buffer_bytes=folder.wire.listing_bytes)
    # A folder that changes meanwhile may show an entry twice; the later one counts.
    found: dict[str, Entry] = {}
    with _closed_on_error(folder, directory):
        while True:
            [reply] = folder.wire.chain([query])
            if reply.status in (NO_MORE_FILES, NO_SUCH_FILE):
                break
            _check(reply, path, ErrorCategory.NAS_LIST_FILES)
            found.update((entry.name, entry) for entry in messages.entries(reply))
    folder.wire.chain([messages.close(directory.file_id)])
    return list(found.values())


def _only_in_other_case(folder: Folder, parent: str, name: str) -> bool:
    # Servers open `A.xml` when asked for `a.xml`; a rename in case only would hide a deletion.
    query = messages.query_directory(pattern=name, buffer_bytes=folder.wire.listing_bytes)
    created, listed, _ = folder.wire.chain(
        [_open_directory(folder, parent), query, messages.close()]
    )
    if created.status != SUCCESS or listed.status != SUCCESS:
        return False
    names = {entry.name for entry in messages.entries(listed)}
    return name not in names and name.casefold() in {found.casefold() for found in names}


def _open_directory(folder: Folder, path: str) -> Request:
    return messages.create(
        _spelled(folder, path), access=_DIRECTORY_ACCESS, kind=messages.MUST_BE_DIRECTORY
    )


def _read_all(folder: Folder, path: str, file: OpenFile, first: Reply) -> bytes:
    chunks: list[bytes] = []
    offset = 0
    reply = first
    while offset < file.size_bytes:
        if reply.status == END_OF_FILE:
            raise FileChangedError("The file became shorter while it was read.", path=path)
        _check(reply, path, ErrorCategory.NAS_DOWNLOAD)
        chunks.append(messages.data_read(reply))
        offset += len(chunks[-1])
        if offset < file.size_bytes:
            length = min(folder.wire.io_bytes, file.size_bytes - offset)
            [reply] = folder.wire.chain([messages.read(file.file_id, offset=offset, length=length)])
    return b"".join(chunks)


def _create_temporary(folder: Folder, path: str) -> OpenFile:
    parent, _, _ = path.rpartition("/")
    name = f".penstock-{secrets.token_hex(8)}.tmp"
    opening = messages.create(
        _spelled(folder, join(parent, name)),
        access=_WRITE_ACCESS,
        kind=messages.MUST_BE_FILE,
        disposition=messages.CREATE_NEW,
    )
    [created] = folder.wire.chain([opening])
    if created.status == OBJECT_PATH_NOT_FOUND:
        make_directories(folder, parent)
        [created] = folder.wire.chain([opening])
    _check(created, path, ErrorCategory.NAS_UPLOAD)
    return messages.opened(created)


def _write_all(folder: Folder, path: str, file: OpenFile, data: bytes) -> None:
    offset = 0
    while offset < len(data):
        chunk = data[offset : offset + folder.wire.io_bytes]
        request = messages.write(file.file_id, offset=offset, data=chunk)
        reply = _ask(folder, request, path, ErrorCategory.NAS_UPLOAD)
        offset += messages.bytes_written(reply)
    _ask(folder, messages.flush(file.file_id), path, ErrorCategory.NAS_UPLOAD)


def _close(folder: Folder, path: str, file: OpenFile) -> tuple[int, int]:
    reply = _ask(folder, messages.close(file.file_id), path, ErrorCategory.NAS_DOWNLOAD)
    seen = messages.closed(reply)
    if seen is None:
        entry = stat(folder, path)
        seen = entry.modified_us, entry.size_bytes
    return seen


@contextmanager
def _closed_on_error(folder: Folder, file: OpenFile) -> Generator[None]:
    try:
        yield
    except PenstockError:
        with suppress(ShareUnavailableError):
            folder.wire.chain([messages.close(file.file_id)])
        raise


def _ask(folder: Folder, request: Request, path: str, category: ErrorCategory) -> Reply:
    [reply] = folder.wire.chain([request])
    _check(reply, path, category)
    return reply


def _check(reply: Reply, path: str, category: ErrorCategory) -> None:
    if reply.status != SUCCESS:
        raise operation_error(reply.status, path, category)


def _spelled(folder: Folder, path: str, *, is_target: bool = False) -> str:
    if not _FORBIDDEN.isdisjoint(path):
        raise UnsafePathError(
            f"The path has a character with a meaning of its own on the server: {path!a}"
        )
    # The target of a rename is never a DFS path.
    prefix = "" if is_target else folder.wire.path_prefix
    return join(prefix, folder.root, path).replace("/", "\\")
