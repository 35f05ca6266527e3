"""smbprotocol's own structures are the oracle: what it reads from our bytes, we meant."""

from datetime import UTC, datetime
from typing import Any

import pytest
from smbprotocol.file_info import FileDirectoryInformation, FileRenameInformation
from smbprotocol.open import (
    SMB2CloseRequest,
    SMB2CloseResponse,
    SMB2CreateRequest,
    SMB2CreateResponse,
    SMB2FlushRequest,
    SMB2QueryDirectoryRequest,
    SMB2ReadRequest,
    SMB2SetInfoRequest,
    SMB2WriteRequest,
)
from smbprotocol.tree import SMB2TreeConnectRequest

from chassis.shares import smb_messages as messages
from chassis.shares.port import Entry
from chassis.shares.smb_messages import MalformedReplyError, Reply, Request

FILE_ID = bytes(range(16))
MOMENT = datetime(2026, 5, 1, 12, 30, 15, 123456, tzinfo=UTC)
MOMENT_US = 1_777_638_615_123_456
MOMENT_FILETIME = 116_444_736_000_000_000 + MOMENT_US * 10


def values(structure: Any, request: Request) -> dict[str, Any]:
    assert request.command == structure.COMMAND
    assert structure.unpack(request.body) == b""
    return {name: field.get_value() for name, field in structure.fields.items()}


def entry_bytes(
    name: str, *, step: int = 0, size: int = 0, attributes: int = 0x80, filetime: int | None = None
) -> bytes:
    entry = FileDirectoryInformation()
    entry["next_entry_offset"] = step
    for other in ("creation_time", "last_access_time", "change_time"):
        entry[other] = datetime(2001, 1, 1, tzinfo=UTC)
    entry["last_write_time"] = MOMENT
    entry["end_of_file"] = size
    entry["file_attributes"] = attributes
    entry["file_name"] = name.encode("utf-16-le", "surrogatepass")
    data = bytearray(entry.pack())
    if filetime is not None:
        data[24:32] = filetime.to_bytes(8, "little")
    return bytes(data)


def listing(data: bytes) -> Reply:
    header = (9).to_bytes(2, "little") + (72).to_bytes(2, "little")
    return Reply(0, header + len(data).to_bytes(4, "little") + data)


# --- requests --------------------------------------------------------------------------------
def test_create_opens_without_getting_in_anybodys_way() -> None:
    request = messages.create("a\\é.xml", access=messages.READ_DATA, kind=messages.MUST_BE_FILE)
    found = values(SMB2CreateRequest(), request)
    assert found["buffer_path"] == "a\\é.xml".encode("utf-16-le")
    assert found["desired_access"] == 0x100001
    assert found["share_access"] == 0x7
    assert found["create_disposition"] == 1
    assert found["create_options"] == 0x40
    assert found["impersonation_level"] == 2
    assert found["create_contexts_length"] == 0


def test_create_of_the_root_has_no_name_and_one_byte() -> None:
    request = messages.create("", access=messages.READ_DATA)
    assert len(request.body) == 57
    assert request.body[46:48] == b"\0\0"


def test_close_asks_for_the_attributes_at_the_end() -> None:
    found = values(SMB2CloseRequest(), messages.close(FILE_ID))
    assert (found["file_id"], found["flags"]) == (FILE_ID, 1)


def test_query_directory_asks_for_plain_entries() -> None:
    request = messages.query_directory(FILE_ID, pattern="é*", buffer_bytes=61_440)
    found = values(SMB2QueryDirectoryRequest(), request)
    assert found["file_id"] == FILE_ID
    assert found["file_information_class"] == 1
    assert found["output_buffer_length"] == 61_440
    assert found["buffer"] == "é*".encode("utf-16-le")
    assert request.payload_bytes == 61_440


def test_read_and_write_name_offset_and_length() -> None:
    found = values(SMB2ReadRequest(), messages.read(FILE_ID, offset=1 << 33, length=65_536))
    assert (found["offset"], found["length"], found["file_id"]) == (1 << 33, 65_536, FILE_ID)
    found = values(SMB2WriteRequest(), messages.write(FILE_ID, offset=7, data=b"data"))
    assert (found["offset"], found["buffer"], found["file_id"]) == (7, b"data", FILE_ID)
    assert found["data_offset"] == 112
    assert values(SMB2FlushRequest(), messages.flush(FILE_ID))["file_id"] == FILE_ID


def test_rename_replaces_what_is_there() -> None:
    found = values(SMB2SetInfoRequest(), messages.rename_over(FILE_ID, "a\\b.xml"))
    assert (found["info_type"], found["file_info_class"]) == (1, 10)
    assert found["file_id"] == FILE_ID
    rename = FileRenameInformation()
    assert rename.unpack(found["buffer"]) == b""
    assert rename["replace_if_exists"].get_value() is True
    assert rename["file_name"].get_value() == "a\\b.xml"


def test_delete_on_close_sets_the_disposition() -> None:
    found = values(SMB2SetInfoRequest(), messages.delete_on_close(FILE_ID))
    assert (found["file_info_class"], found["buffer"]) == (13, b"\1")


def test_tree_connect_names_the_share() -> None:
    found = values(SMB2TreeConnectRequest(), messages.tree_connect("\\\\NAS\\data"))
    assert found["buffer"] == "\\\\NAS\\data".encode("utf-16-le")


@pytest.mark.parametrize(
    "request_",
    [
        messages.close(),
        messages.read(offset=0, length=1),
        messages.query_directory(buffer_bytes=1),
    ],
    ids=["close", "read", "query"],
)
def test_a_related_request_can_be_put_on_a_file(request_: Request) -> None:
    assert messages.RELATED in request_.body
    moved = request_.on(FILE_ID)
    assert FILE_ID in moved.body
    assert len(moved.body) == len(request_.body)
    assert moved.payload_bytes == request_.payload_bytes


def test_a_request_without_a_file_stays_as_it_is() -> None:
    request = messages.create("a", access=1)
    assert request.on(FILE_ID) is request


# --- replies ---------------------------------------------------------------------------------
def test_an_open_file_has_its_time_to_the_microsecond() -> None:
    response = SMB2CreateResponse()
    for name in ("creation_time", "last_access_time", "change_time"):
        response[name] = datetime(2001, 1, 1, tzinfo=UTC)
    response["last_write_time"] = MOMENT
    response["end_of_file"] = 5_000_000_000
    response["allocation_size"] = 1
    response["file_attributes"] = 0x22
    response["file_id"] = FILE_ID
    opened = messages.opened(Reply(0, response.pack()))
    assert opened.file_id == FILE_ID
    assert opened.entry("a.xml") == Entry(
        name="a.xml",
        is_directory=False,
        modified_us=MOMENT_US,
        size_bytes=5_000_000_000,
        is_hidden=True,
    )


@pytest.mark.parametrize(("flags", "expected"), [(1, (MOMENT_US, 77)), (0, None)])
def test_a_close_tells_time_and_size_or_nothing(
    flags: int, expected: tuple[int, int] | None
) -> None:
    response = SMB2CloseResponse()
    response["flags"] = flags
    for name in ("creation_time", "last_access_time", "change_time"):
        response[name] = datetime(2001, 1, 1, tzinfo=UTC)
    response["last_write_time"] = MOMENT
    response["end_of_file"] = 77
    assert messages.closed(Reply(0, response.pack())) == expected


@pytest.mark.parametrize("hundreds", [0, 1, 5, 9])
def test_times_are_cut_to_the_microsecond_and_never_rounded_up(hundreds: int) -> None:
    data = entry_bytes("a", filetime=MOMENT_FILETIME + hundreds)
    [entry] = messages.entries(listing(data))
    assert entry.modified_us == MOMENT_US


def test_a_listing_leaves_out_itself_and_its_parent() -> None:
    first = entry_bytes(".", step=72, attributes=0x10).ljust(72, b"\0")
    second = entry_bytes("..", step=72, attributes=0x10).ljust(72, b"\0")
    third = entry_bytes("sub", attributes=0x12, size=4096)
    assert list(messages.entries(listing(first + second + third))) == [
        Entry(name="sub", is_directory=True, modified_us=MOMENT_US, size_bytes=0, is_hidden=True)
    ]


def test_a_name_with_half_a_character_is_kept_as_it_is() -> None:
    [entry] = messages.entries(listing(entry_bytes("a\ud83d.xml")))
    assert entry.name == "a\ud83d.xml"


@pytest.mark.parametrize("missing", range(1, 40, 3))
def test_a_listing_that_ends_early_is_refused(missing: int) -> None:
    data = entry_bytes("a.xml", step=80).ljust(80, b"\0") + entry_bytes("b.xml")
    with pytest.raises(MalformedReplyError):
        list(messages.entries(listing(data[:-missing])))


@pytest.mark.parametrize(
    "reply",
    [
        listing(b""),
        Reply(0, b""),
        Reply(0, listing(entry_bytes("a.xml")).body[:-1]),
        listing(entry_bytes("a.xml", step=4)),
        listing(entry_bytes("a.xml", step=9999)),
        Reply(0, b"\x09\0\x10\0" + listing(entry_bytes("a.xml")).body[4:]),
    ],
    ids=["no entry", "empty", "cut", "overlapping", "beyond", "offset in the header"],
)
def test_a_listing_that_makes_no_sense_is_refused(reply: Reply) -> None:
    with pytest.raises(MalformedReplyError):
        list(messages.entries(reply))


def test_a_read_returns_what_it_announces() -> None:
    body = b"\x11\0" + b"\x50" + b"\0" + (4).to_bytes(4, "little") + bytes(8) + b"data"
    assert messages.data_read(Reply(0, body)) == b"data"
    with pytest.raises(MalformedReplyError):
        messages.data_read(Reply(0, body[:-1]))
    with pytest.raises(MalformedReplyError):
        messages.opened(Reply(0, body))
