"""What we put on the wire in pysmb's place, and how its frames are read."""

import hashlib
import hmac
import struct
from types import SimpleNamespace
from typing import Any

import pytest
from smb.base import NotConnectedError, SMBTimeout

from chassis.shares import smb_messages as messages
from chassis.shares.port import ShareUnavailableError, UnsupportedServerError
from chassis.shares.pysmb import PysmbWire, _Connection, _translated
from chassis.shares.smb_messages import Reply, Request
from chassis.shares.smb_wire import ConnectionLostError

OPEN = Reply(0, bytes(64) + b"the file's id..." + bytes(8))
CHAIN = [
    messages.create("a", access=1),
    messages.query_directory(buffer_bytes=1000),
    messages.close(),
]


class HandWire(PysmbWire):
    """A wire without a connection: frames are kept, answers prepared."""

    def __init__(self, *, is_signed: bool = False, credit: int = 8) -> None:
        self._connection: Any = SimpleNamespace(
            session_id=0x1122334455667788,
            is_signing_active=is_signed,
            signing_session_key=b"k" * 16,
        )
        self._tree_id = 7
        self._is_chaining = True
        self._credits = credit
        self.sent: list[list[int]] = []
        self.answers: list[list[Reply]] = []

    def frame(self, requests: list[Request], ids: list[int]) -> bytes:
        return self._frame(requests, ids)

    def _exchange(self, requests: object) -> list[Reply]:
        assert isinstance(requests, (list, tuple))
        self.sent.append([request.command for request in requests])
        return self.answers.pop(0)


def split(frame: bytes) -> list[bytes]:
    parts = []
    while frame:
        step = int.from_bytes(frame[20:24], "little")
        parts.append(frame[: step or len(frame)])
        frame = frame[step:] if step else b""
    return parts


def test_a_chain_is_one_frame_of_related_messages() -> None:
    parts = split(HandWire().frame(CHAIN, [5, 6, 7]))
    headers = [struct.unpack_from("<4sHHIHHIIQIIQ", part) for part in parts]
    assert [header[0] for header in headers] == [b"\xfeSMB"] * 3
    assert [header[4] for header in headers] == [5, 14, 6]
    assert [header[6] for header in headers] == [0, 4, 4]
    assert [header[8] for header in headers] == [5, 6, 7]
    assert [header[10] for header in headers] == [7, 0xFFFFFFFF, 0xFFFFFFFF]
    assert [header[11] for header in headers] == [0x1122334455667788] + [0xFFFFFFFFFFFFFFFF] * 2
    assert all(len(part) % 8 == 0 for part in parts[:-1])
    assert parts[-1][64:] == CHAIN[-1].body


def test_every_message_of_a_signed_chain_is_signed_with_its_padding() -> None:
    for part in split(HandWire(is_signed=True).frame(CHAIN, [5, 6, 7])):
        unsigned = part[:48] + bytes(16) + part[64:]
        expected = hmac.new(b"k" * 16, unsigned, hashlib.sha256).digest()[:16]
        assert part[48:64] == expected
        assert part[16] & 0x8


def test_a_chain_waits_for_enough_credits() -> None:
    wire = HandWire(credit=2)
    wire.answers = [[OPEN], [Reply(0, b"q")], [Reply(0, b"c")]]
    assert [reply.body for reply in wire.chain(CHAIN)] == [OPEN.body, b"q", b"c"]
    assert wire.sent == [[5], [14], [6]]


def test_a_server_that_knows_no_chains_gets_single_messages_from_then_on() -> None:
    wire = HandWire()
    refused = Reply(0xC000000D, b"")
    wire.answers = [[refused] * 3, *([OPEN], [OPEN], [OPEN]) * 2]
    wire.chain(CHAIN)
    wire.chain(CHAIN)
    assert wire.sent == [[5, 14, 6], [5], [14], [6], [5], [14], [6]]


# --- reading frames --------------------------------------------------------------------------
class FakeSocket:
    def __init__(self, *chunks: bytes) -> None:
        self.chunks = list(chunks)
        self.waits: list[float] = []

    def settimeout(self, seconds: float) -> None:
        self.waits.append(seconds)

    def recv_into(self, buffer: memoryview) -> int:
        if not self.chunks:
            return 0
        chunk = self.chunks.pop(0)
        buffer[: len(chunk)] = chunk
        return len(chunk)


class KeepingConnection(_Connection):
    def __init__(self, sock: FakeSocket) -> None:
        super().__init__("user", "password", "me", "nas", is_direct_tcp=True)
        self.sock = sock
        self.frames: list[bytes] = []

    def onNMBSessionMessage(self, _flags: int, data: bytes) -> None:  # noqa: N802 - pysmb's name
        self.frames.append(data)


def test_a_frame_longer_than_seventeen_bits_is_read_whole() -> None:
    data = bytes(200_000)
    sock = FakeSocket(b"\0", len(data).to_bytes(3, "big"), data[:150_000], data[150_000:])
    connection = KeepingConnection(sock)
    connection._pollForNetBIOSPacket(5)
    assert [len(frame) for frame in connection.frames] == [200_000]
    assert all(0 < wait <= 5 for wait in sock.waits)


def test_a_connection_that_ends_within_a_frame_is_lost() -> None:
    connection = KeepingConnection(FakeSocket(b"\0\0\0\x10", b"half"))
    with pytest.raises(NotConnectedError):
        connection._pollForNetBIOSPacket(5)


def test_a_deadline_that_has_passed_is_not_waited_for() -> None:
    connection = KeepingConnection(FakeSocket(b"\0\0\0\0"))
    with pytest.raises(SMBTimeout):
        connection._pollForNetBIOSPacket(0)


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (TimeoutError(), ShareUnavailableError),
        (SMBTimeout(), ShareUnavailableError),
        (ConnectionResetError(), ConnectionLostError),
        (BrokenPipeError(), ConnectionLostError),
        (NotConnectedError(), ConnectionLostError),
        (struct.error(), ShareUnavailableError),
        (KeyError(), ShareUnavailableError),
    ],
)
def test_errors_of_the_library_are_translated(raised: Exception, expected: type[Exception]) -> None:
    with pytest.raises(expected) as caught, _translated():
        raise raised
    assert type(caught.value) is expected
    assert not isinstance(caught.value, UnsupportedServerError)
