"""The seven SMB2 requests that a share needs, as bytes, and what their answers say.

Both client libraries are used for what they are good at: negotiation, log-on, signing, encryption.
Their file operations give times as floats or shift them to local time, ask four times per
directory, block other clients' renames, and cannot replace a file by renaming; so these few
structures ([MS-SMB2] 2.2) are written out here, once for both.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from chassis.shares.port import Entry

HEADER_BYTES = 64
"""Offsets inside bodies count from the header, which is not part of them."""

RELATED = b"\xff" * 16
"""Stands for "the file that the first request of this chain opened"."""

TREE_CONNECT, CREATE, CLOSE, FLUSH = 0x03, 0x05, 0x06, 0x07
READ, WRITE, QUERY_DIRECTORY, SET_INFO = 0x08, 0x09, 0x0E, 0x11

READ_DATA, WRITE_DATA, READ_ATTRIBUTES, DELETE, SYNCHRONIZE = 0x1, 0x2, 0x80, 0x10000, 0x100000
SHARE_WITH_ALL = 0x7
OPEN_EXISTING, CREATE_NEW, OPEN_OR_CREATE = 1, 2, 3
MUST_BE_DIRECTORY, MUST_BE_FILE, ANYTHING = 0x1, 0x40, 0x0

ATTRIBUTE_HIDDEN, ATTRIBUTE_DIRECTORY = 0x2, 0x10

_IMPERSONATION = 2
_POST_QUERY_ATTRIBUTES = 1
_FILE_DIRECTORY_INFORMATION = 1
_INFO_FILE, _RENAME_INFORMATION, _DISPOSITION_INFORMATION = 1, 10, 13

_CREATE = struct.Struct("<HBBIQQIIIIIHHII")
_CREATED = struct.Struct("<HBBI4qQQII16s")
_CLOSE = struct.Struct("<HHI16s")
_CLOSED = struct.Struct("<HHI4qQQI")
_READ = struct.Struct("<HBBIQ16sIIIHH")
_READ_DONE = struct.Struct("<HBBIII")
_WRITE = struct.Struct("<HHIQ16sIIHHI")
_WRITTEN = struct.Struct("<HHI")
_QUERY = struct.Struct("<HBBI16sHHI")
_QUERIED = struct.Struct("<HHI")
_SET_INFO = struct.Struct("<HBBIHHI16s")
_TREE = struct.Struct("<HHHH")
_ENTRY = struct.Struct("<II4qQQII")

_EPOCH_FILETIME = 116_444_736_000_000_000
"""1970 in units of 100 ns since 1601."""


class MalformedReplyError(Exception):
    """The server's answer cannot be understood."""


@dataclass(frozen=True, slots=True)
class Request:
    """One SMB2 request without its header."""

    command: int
    body: bytes
    file_id_at: int | None = None
    """Where the body names the file; None where it names none."""

    payload_bytes: int = 1
    """The larger of what is sent and what may come back; credits are counted by it."""

    def on(self, file_id: bytes) -> "Request":
        """Return the same request for another open file."""
        if self.file_id_at is None:
            return self
        start, end = self.file_id_at, self.file_id_at + len(file_id)
        return replace(self, body=self.body[:start] + file_id + self.body[end:])


@dataclass(frozen=True, slots=True)
class Reply:
    """One SMB2 answer without its header."""

    status: int
    body: bytes


@dataclass(frozen=True, slots=True)
class OpenFile:
    """What a CREATE tells about the file that it opened."""

    file_id: bytes
    modified_us: int
    size_bytes: int
    attributes: int

    def entry(self, name: str) -> Entry:
        """Return it as a directory entry."""
        return _entry(name, self.modified_us, self.size_bytes, self.attributes)


def create(
    path: str,
    *,
    access: int,
    kind: int = ANYTHING,
    disposition: int = OPEN_EXISTING,
) -> Request:
    """Open a file or directory; `path` uses backslashes and is empty for the root.

    Sharing with all, deletion included, is why our reads do not get in anybody's way.
    """
    name = path.encode("utf-16-le")
    fixed = _CREATE.pack(
        57, 0, 0, _IMPERSONATION, 0, 0, access | SYNCHRONIZE, 0, SHARE_WITH_ALL, disposition, kind,
        HEADER_BYTES + _CREATE.size, len(name), 0, 0,
    )  # fmt: skip
    return Request(CREATE, fixed + (name or b"\0"))


def close(file_id: bytes = RELATED) -> Request:
    """Close a file, and ask for its times and size at that moment."""
    return Request(CLOSE, _CLOSE.pack(24, _POST_QUERY_ATTRIBUTES, 0, file_id), 8)


def query_directory(file_id: bytes = RELATED, *, pattern: str = "*", buffer_bytes: int) -> Request:
    """Ask for the next entries of an open directory."""
    name = pattern.encode("utf-16-le")
    fixed = _QUERY.pack(
        33, _FILE_DIRECTORY_INFORMATION, 0, 0, file_id,
        HEADER_BYTES + _QUERY.size, len(name), buffer_bytes,
    )  # fmt: skip
    return Request(QUERY_DIRECTORY, fixed + name, 8, buffer_bytes)


def read(file_id: bytes = RELATED, *, offset: int, length: int) -> Request:
    """Ask for up to `length` bytes of an open file."""
    fixed = _READ.pack(49, 0, 0, length, offset, file_id, 0, 0, 0, 0, 0)
    return Request(READ, fixed + b"\0", 16, length)


def write(file_id: bytes, *, offset: int, data: bytes) -> Request:
    """Write into an open file."""
    fixed = _WRITE.pack(49, HEADER_BYTES + _WRITE.size, len(data), offset, file_id, 0, 0, 0, 0, 0)
    return Request(WRITE, fixed + data, 16, len(data))


def flush(file_id: bytes) -> Request:
    """Have what was written put on stable storage."""
    return Request(FLUSH, _CLOSE.pack(24, 0, 0, file_id), 8)


def rename_over(file_id: bytes, path: str) -> Request:
    """Give an open file another path, replacing what is there in one step."""
    name = path.encode("utf-16-le")
    return _set_info(file_id, _RENAME_INFORMATION, struct.pack("<B7xQI", 1, 0, len(name)) + name)


def delete_on_close(file_id: bytes) -> Request:
    """Have an open file deleted when it is closed."""
    return _set_info(file_id, _DISPOSITION_INFORMATION, b"\1")


def tree_connect(share: str) -> Request:
    r"""Connect to a share, `\\SERVER\share`."""
    name = share.encode("utf-16-le")
    return Request(TREE_CONNECT, _TREE.pack(9, 0, HEADER_BYTES + _TREE.size, len(name)) + name)


def opened(reply: Reply) -> OpenFile:
    """Read the answer to a CREATE."""
    fields = _unpack(_CREATED, reply)
    return OpenFile(
        file_id=fields[12],
        modified_us=_microseconds(fields[6]),
        size_bytes=fields[9],
        attributes=fields[10],
    )


def closed(reply: Reply) -> tuple[int, int] | None:
    """Read the answer to a CLOSE: last write and size, or None if the server does not tell."""
    fields = _unpack(_CLOSED, reply)
    if not fields[1] & _POST_QUERY_ATTRIBUTES:
        return None
    return _microseconds(fields[5]), fields[8]


def data_read(reply: Reply) -> bytes:
    """Read the answer to a READ."""
    fields = _unpack(_READ_DONE, reply)
    return _slice(reply, fields[1], fields[3])


def bytes_written(reply: Reply) -> int:
    """Read the answer to a WRITE."""
    count: int = _unpack(_WRITTEN, reply)[2]
    return count


def entries(reply: Reply) -> Iterator[Entry]:
    """Read the answer to a QUERY_DIRECTORY, without `.` and `..`.

    Raises:
        MalformedReplyError: it ends in the middle of an entry; a shorter list is never returned.
    """
    _, offset, length = _unpack(_QUERIED, reply)
    data = _slice(reply, offset, length)
    at = 0
    while True:
        if at + _ENTRY.size > len(data):
            raise MalformedReplyError("A listing ends within an entry.")
        step, _, _, _, written, _, size, _, attributes, name_bytes = _ENTRY.unpack_from(data, at)
        start = at + _ENTRY.size
        if start + name_bytes > len(data) or (step and step < _ENTRY.size):
            raise MalformedReplyError("A listing ends within a name.")
        name = _name(data[start : start + name_bytes])
        if name not in (".", ".."):
            yield _entry(name, _microseconds(written), size, attributes)
        if not step:
            return
        at += step


def _set_info(file_id: bytes, information: int, data: bytes) -> Request:
    fixed = _SET_INFO.pack(
        33, _INFO_FILE, information, len(data), HEADER_BYTES + _SET_INFO.size, 0, 0, file_id
    )
    return Request(SET_INFO, fixed + data, 16)


def _name(data: bytes) -> str:
    try:
        # Half characters are kept, as names that nobody can open, rather than made into others.
        return data.decode("utf-16-le", "surrogatepass")
    except UnicodeDecodeError as error:
        raise MalformedReplyError("A listing has half a character.") from error


def _entry(name: str, modified_us: int, size_bytes: int, attributes: int) -> Entry:
    is_directory = bool(attributes & ATTRIBUTE_DIRECTORY)
    return Entry(
        name=name,
        is_directory=is_directory,
        modified_us=modified_us,
        size_bytes=0 if is_directory else size_bytes,
        is_hidden=bool(attributes & ATTRIBUTE_HIDDEN),
    )


def _microseconds(filetime: int) -> int:
    # Floor, as `st_mtime_ns // 1000` does: the same instant is the same number from every client.
    return (filetime - _EPOCH_FILETIME) // 10


def _unpack(layout: struct.Struct, reply: Reply) -> tuple[Any, ...]:
    try:
        return layout.unpack_from(reply.body)
    except struct.error as error:
        raise MalformedReplyError("An answer is shorter than its structure.") from error


def _slice(reply: Reply, offset: int, length: int) -> bytes:
    start = offset - HEADER_BYTES
    data = reply.body[start : start + length] if start >= 0 else b""
    if len(data) != length:
        raise MalformedReplyError("An answer announces more data than it has.")
    return data
