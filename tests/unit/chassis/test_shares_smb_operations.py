"""Servers that no test can start: strict with chains, short with answers, changing meanwhile."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from chassis.shares import smb_messages as messages
from chassis.shares import smb_operations as operations
from chassis.shares.port import (
    FileChangedError,
    FileTooLargeError,
    ShareAccessDeniedError,
    ShareDescription,
    ShareNotFoundError,
    ShareRefusedError,
    ShareUnavailableError,
    UnsafePathError,
)
from chassis.shares.smb_messages import Reply, Request
from chassis.shares.smb_wire import Folder
from contracts.errors import ErrorCategory

OK = 0
NO_MORE_FILES, NO_SUCH_FILE, END_OF_FILE = 0x80000006, 0xC000000F, 0xC0000011
DENIED, NOT_FOUND, PARENT_NOT_FOUND, DISK_FULL = 0xC0000022, 0xC0000034, 0xC000003A, 0xC000007F
INVALID_PARAMETER = 0xC000000D
FILE_ID = b"the file's id..."
EPOCH = 116_444_736_000_000_000


@dataclass
class ScriptedWire:
    """Answers with prepared replies, one list a chain, and keeps what it was asked."""

    script: list[list[Reply]]
    asked: list[list[Request]] = field(default_factory=list)
    description = ShareDescription("smb", "script", "", False, False, False)
    io_bytes: int = 4
    listing_bytes: int = 1000
    path_prefix: str = ""

    def chain(self, requests: Sequence[Request]) -> list[Reply]:
        self.asked.append(list(requests))
        replies = self.script.pop(0)
        assert len(replies) == len(requests)
        return replies

    def close(self) -> None:
        raise AssertionError("operations leave closing to the pool")

    @property
    def commands(self) -> list[list[int]]:
        return [[request.command for request in requests] for requests in self.asked]


def status(code: int) -> Reply:
    return Reply(code, b"")


def created(size: int = 0, *, modified_us: int = 5, attributes: int = 0x80) -> Reply:
    fixed = struct.pack("<HBBIqqqq", 89, 0, 0, 1, 0, 0, EPOCH + modified_us * 10, 0)
    return Reply(OK, fixed + struct.pack("<QQII16sII", 0, size, attributes, 0, FILE_ID, 0, 0))


def closed(size: int = 0, *, modified_us: int = 5, flags: int = 1) -> Reply:
    fixed = struct.pack("<HHIqqqq", 60, flags, 0, 0, 0, EPOCH + modified_us * 10, 0)
    return Reply(OK, fixed + struct.pack("<QQI", 0, size, 0x80))


def data(content: bytes) -> Reply:
    return Reply(OK, struct.pack("<HBBIII", 17, 80, 0, len(content), 0, 0) + content)


def written(count: int) -> Reply:
    return Reply(OK, struct.pack("<HHIIHH", 17, 0, count, 0, 0, 0))


def listing(*names: str) -> Reply:
    chunks = []
    for at, name in enumerate(names):
        encoded = name.encode("utf-16-le")
        size = -(-(64 + len(encoded)) // 8) * 8
        step = 0 if at == len(names) - 1 else size
        fixed = struct.pack("<IIqqqqQQII", step, 0, 0, 0, EPOCH, 0, 1, 1, 0x80, len(encoded))
        chunks.append((fixed + encoded).ljust(size if step else 0, b"\0"))
    body = b"".join(chunks)
    return Reply(OK, struct.pack("<HHI", 9, 72, len(body)) + body)


CREATE, CLOSE, FLUSH = messages.CREATE, messages.CLOSE, messages.FLUSH
READ, WRITE, QUERY, SET = (
    messages.READ,
    messages.WRITE,
    messages.QUERY_DIRECTORY,
    messages.SET_INFO,
)


def folder(*script: list[Reply]) -> tuple[Folder, ScriptedWire]:
    wire = ScriptedWire(list(script))
    return Folder(wire, "base"), wire


def names_of(found: Sequence[object]) -> list[str]:
    return [getattr(entry, "name", "") for entry in found]


# --- listing ---------------------------------------------------------------------------------
def test_a_small_directory_takes_one_exchange() -> None:
    place, wire = folder([created(), listing("a", "b"), status(NO_MORE_FILES), closed()])
    assert names_of(operations.list_directory(place, "d")) == ["a", "b"]
    assert wire.commands == [[CREATE, QUERY, QUERY, CLOSE]]
    assert "base\\d".encode("utf-16-le") in wire.asked[0][0].body


@pytest.mark.parametrize("first", [NO_SUCH_FILE, NO_MORE_FILES])
def test_a_root_without_any_entry_is_empty(first: int) -> None:
    place, _ = folder([created(), status(first), status(NO_MORE_FILES), closed()])
    assert operations.list_directory(place, "") == []


def test_a_large_directory_is_listed_in_steps() -> None:
    place, wire = folder(
        [created(), listing("a", "b"), listing("c"), closed()],
        [created()],
        [listing("a", "b")],
        [listing("c", "b")],
        [status(NO_MORE_FILES)],
        [closed()],
    )
    assert names_of(operations.list_directory(place, "d")) == ["a", "b", "c"]
    assert wire.commands[1:] == [[CREATE], [QUERY], [QUERY], [QUERY], [CLOSE]]
    assert FILE_ID in wire.asked[2][0].body


def test_a_listing_that_fails_half_way_is_an_error_and_closes_the_directory() -> None:
    place, wire = folder(
        [created(), listing("a"), listing("b"), closed()],
        [created()],
        [listing("a")],
        [status(DENIED)],
        [closed()],
    )
    with pytest.raises(ShareAccessDeniedError):
        operations.list_directory(place, "d")
    assert wire.commands[-1] == [CLOSE]


def test_a_chain_that_the_server_breaks_off_leaves_no_directory_open() -> None:
    place, wire = folder(
        [created(), listing("a"), status(NO_MORE_FILES), status(NO_MORE_FILES)], [closed()]
    )
    assert names_of(operations.list_directory(place, "d")) == ["a"]
    assert FILE_ID in wire.asked[1][0].body
    assert wire.commands[1] == [CLOSE]


def test_a_directory_that_cannot_be_opened_is_told_with_its_path_and_status() -> None:
    place, _ = folder([status(NOT_FOUND)] * 1 + [status(NOT_FOUND)] * 3)
    with pytest.raises(ShareNotFoundError) as missing:
        operations.list_directory(place, "d/e")
    assert missing.value.facts == {"path": "d/e", "status": "0xC0000034"}
    assert missing.value.category is ErrorCategory.NAS_LIST_FILES


# --- one entry -------------------------------------------------------------------------------
def test_a_stat_proves_the_exact_name() -> None:
    place, _ = folder(
        [created(7, modified_us=9), closed()], [created(), listing("a.xml"), closed()]
    )
    entry = operations.stat(place, "d/a.xml")
    assert (entry.name, entry.size_bytes, entry.modified_us) == ("a.xml", 7, 9)


def test_a_name_in_another_case_only_is_not_there() -> None:
    place, _ = folder([created(), closed()], [created(), listing("A.xml"), closed()])
    with pytest.raises(ShareNotFoundError):
        operations.stat(place, "d/a.xml")


@pytest.mark.parametrize(
    "parent",
    [
        [status(DENIED)] * 3,
        [created(), status(NO_SUCH_FILE), closed()],
        [created(), listing("long name.xml"), closed()],
    ],
    ids=["parent denied", "hidden from listings", "short name"],
)
def test_what_can_be_opened_is_there_whatever_a_listing_says(parent: list[Reply]) -> None:
    place, _ = folder([created(), closed()], parent)
    assert operations.stat(place, "d/a.xml").name == "a.xml"


@pytest.mark.parametrize("path", ["a:stream", "d/a*", "a?", 'a"b', "a<b", "a|b"])
def test_characters_with_a_meaning_on_the_server_are_never_sent(path: str) -> None:
    place, wire = folder()
    with pytest.raises(UnsafePathError):
        operations.stat(place, path)
    assert wire.asked == []


# --- reading ---------------------------------------------------------------------------------
def test_a_file_is_read_in_pieces_and_checked_at_the_end() -> None:
    place, wire = folder([created(10), data(b"0123")], [data(b"4567")], [data(b"89")], [closed(10)])
    content = operations.read_file(place, "f", 10)
    assert (content.data, content.modified_us) == (b"0123456789", 5)
    assert wire.commands == [[CREATE, READ], [READ], [READ], [CLOSE]]


def test_a_server_may_give_less_than_was_asked_for() -> None:
    place, _ = folder([created(4), data(b"0")], [data(b"1")], [data(b"23")], [closed(4)])
    assert operations.read_file(place, "f", 10).data == b"0123"


def test_an_empty_file_has_no_data_and_no_error() -> None:
    place, _ = folder([created(0), status(END_OF_FILE)], [closed(0)])
    assert operations.read_file(place, "f", 10).data == b""


@pytest.mark.parametrize(
    "at_end", [closed(5), closed(3), closed(4, modified_us=6)], ids=["grown", "shrunk", "touched"]
)
def test_a_file_that_is_another_at_the_end_is_refused(at_end: Reply) -> None:
    place, _ = folder([created(4), data(b"0123")], [at_end])
    with pytest.raises(FileChangedError):
        operations.read_file(place, "f", 10)


def test_a_file_that_ends_early_is_refused_and_closed() -> None:
    place, wire = folder([created(8), data(b"0123")], [status(END_OF_FILE)], [closed(4)])
    with pytest.raises(FileChangedError):
        operations.read_file(place, "f", 10)
    assert wire.commands[-1] == [CLOSE]


def test_a_close_without_attributes_is_followed_by_a_stat() -> None:
    place, _ = folder(
        [created(4), data(b"0123")],
        [closed(flags=0)],
        [created(4), closed()],
        [created(), listing("f"), closed()],
    )
    assert operations.read_file(place, "f", 10).data == b"0123"


def test_no_more_than_the_limit_is_ever_asked_for() -> None:
    place, wire = folder([created(9), data(b"012")], [closed(9)])
    with pytest.raises(FileTooLargeError):
        operations.read_file(place, "f", 3)
    assert wire.asked[0][1].payload_bytes == 3


# --- writing ---------------------------------------------------------------------------------
def test_a_write_ends_with_a_rename_over_the_old_file() -> None:
    place, wire = folder(
        [created()], [written(4)], [written(1)], [status(OK)], [status(OK)], [closed()]
    )
    operations.write_file(place, "d/f", b"01234")
    assert wire.commands == [[CREATE], [WRITE], [WRITE], [FLUSH], [SET], [CLOSE]]
    assert "base\\d\\.penstock-".encode("utf-16-le") in wire.asked[0][0].body
    assert wire.asked[4][0].body.endswith("base\\d\\f".encode("utf-16-le"))


def test_missing_parents_are_made() -> None:
    place, wire = folder(
        [status(PARENT_NOT_FOUND)],
        [created(), closed()],
        [created(), closed()],
        [created()],
        [status(OK)],
        [status(OK)],
        [closed()],
    )
    operations.write_file(place, "d/e/f", b"")
    assert wire.commands[:4] == [[CREATE], [CREATE, CLOSE], [CREATE, CLOSE], [CREATE]]


def test_a_disk_that_is_full_leaves_the_old_file_and_no_other() -> None:
    place, wire = folder([created()], [status(DISK_FULL)], [status(OK)], [closed()])
    with pytest.raises(ShareUnavailableError, match="disk is full"):
        operations.write_file(place, "f", b"0123")
    assert wire.commands == [[CREATE], [WRITE], [SET], [CLOSE]]
    assert wire.asked[2][0].body[3] == 13


def test_a_status_we_do_not_know_is_permanent() -> None:
    place, _ = folder([status(0xC0001234)])
    with pytest.raises(ShareRefusedError) as refused:
        operations.write_file(place, "f", b"")
    assert refused.value.facts["status"] == "0xC0001234"
    assert refused.value.category is ErrorCategory.NAS_UPLOAD


def test_a_dfs_path_has_the_share_in_front_except_in_a_rename() -> None:
    wire = ScriptedWire(
        [[created()], [status(OK)], [status(OK)], [closed()]], path_prefix="nas/data"
    )
    operations.write_file(Folder(wire, "base"), "f", b"")
    assert "nas\\data\\base\\.penstock-".encode("utf-16-le") in wire.asked[0][0].body
    assert "nas".encode("utf-16-le") not in wire.asked[2][0].body
