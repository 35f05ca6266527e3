import hashlib
import hmac
import socket
import struct
import time
from typing import cast

import pytest

from chassis.shares import smb_frames
from chassis.shares import smb_messages as messages
from chassis.shares.smb_frames import FrameReader, Session
from chassis.shares.smb_messages import MalformedReplyError, Reply

CLEAR = Session(session_id=0x1122334455667788, tree_id=7, signing_key=None)
SIGNED = Session(session_id=0x1122334455667788, tree_id=7, signing_key=b"k" * 16)
CHAIN = [
    messages.create("a", access=1),
    messages.query_directory(buffer_bytes=1000),
    messages.close(),
]


def split(frame: bytes) -> list[bytes]:
    assert int.from_bytes(frame[:4], "big") == len(frame) - 4
    parts, rest = [], frame[4:]
    while rest:
        step = int.from_bytes(rest[20:24], "little")
        parts.append(rest[: step or len(rest)])
        rest = rest[step:] if step else b""
    return parts


def answer(
    message_id: int, body: bytes = b"", *, status: int = 0, flags: int = 1, key: bytes = b""
) -> bytes:
    header = struct.pack(
        "<4sHHIHHIIQIIQ16s", b"\xfeSMB", 64, 0, status, 5, 3, flags, 0, message_id, 0, 9, 1, b""
    )
    message = header + body
    if not key:
        return message
    signature = hmac.new(key, message, hashlib.sha256).digest()[:16]
    return message[:48] + signature + message[64:]


def joined(*answers: bytes) -> bytes:
    """Put answers into one frame, each but the last told where the next one starts."""
    parts = [
        part[:20] + len(part).to_bytes(4, "little") + part[24:] if at < len(answers) - 1 else part
        for at, part in enumerate(answers)
    ]
    return b"".join(parts)


# --- what is sent ----------------------------------------------------------------------------
def test_a_chain_is_one_frame_of_related_messages() -> None:
    parts = split(smb_frames.pack(CHAIN, 5, CLEAR))
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
    for part in split(smb_frames.pack(CHAIN, 5, SIGNED)):
        unsigned = part[:48] + bytes(16) + part[64:]
        expected = hmac.new(b"k" * 16, unsigned, hashlib.sha256).digest()[:16]
        assert part[48:64] == expected
        assert part[16] & 0x8


# --- what comes back -------------------------------------------------------------------------
def test_answers_are_taken_apart() -> None:
    frame = joined(answer(5, b"one" + bytes(5)), answer(6, b"two", status=0x80000006))
    first, second = smb_frames.unpack(frame, CLEAR)
    assert (first.message_id, first.tree_id, first.credit) == (5, 9, 3)
    assert first.reply == Reply(0, b"one" + bytes(5))
    assert (second.message_id, second.reply) == (6, Reply(0x80000006, b"two"))


def test_an_interim_answer_is_marked() -> None:
    interim = answer(5, status=0x103, flags=3)
    assert [found.is_interim for found in smb_frames.unpack(interim, SIGNED)] == [True]
    assert [found.is_interim for found in smb_frames.unpack(answer(5), CLEAR)] == [False]


@pytest.mark.parametrize(
    "frame",
    [b"HTTP/1.1 400", b"\xfeSMB", b"\xffSMB" + bytes(60), joined(answer(5), answer(6))[:80]],
    ids=["text", "short", "SMB 1", "cut"],
)
def test_what_is_no_smb2_is_refused(frame: bytes) -> None:
    with pytest.raises(MalformedReplyError):
        list(smb_frames.unpack(frame, CLEAR))


def test_a_step_that_leads_backwards_is_refused() -> None:
    frame = answer(5)
    with pytest.raises(MalformedReplyError):
        list(smb_frames.unpack(frame[:20] + b"\x08\0\0\0" + frame[24:], CLEAR))


def test_a_signed_session_takes_signed_answers_only() -> None:
    good = answer(5, b"data", key=b"k" * 16)
    assert [found.message_id for found in smb_frames.unpack(good, SIGNED)] == [5]
    for bad in (answer(5, b"data"), good[:-1] + b"A", answer(5, b"data", key=b"x" * 16)):
        with pytest.raises(MalformedReplyError, match="signed"):
            list(smb_frames.unpack(bad, SIGNED))


# --- how it is read --------------------------------------------------------------------------
class FakeSocket:
    def __init__(self, *chunks: bytes) -> None:
        self.chunks = list(chunks)
        self.waits: list[float] = []

    def settimeout(self, seconds: float) -> None:
        self.waits.append(seconds)

    def recv(self, _: int) -> bytes:
        return self.chunks.pop(0) if self.chunks else b""


def reader(*chunks: bytes) -> tuple[FrameReader, FakeSocket]:
    fake = FakeSocket(*chunks)
    return FrameReader(cast("socket.socket", fake)), fake


def test_frames_are_read_whole_however_they_arrive() -> None:
    long = bytes(200_000)
    stream = b"\0\0\0\3one" + b"\0" + len(long).to_bytes(3, "big") + long + b"\0\0\0\3two"
    for size in (1_000, 7_777, len(stream)):
        chunks = [stream[at : at + size] for at in range(0, len(stream), size)]
        found, sock = reader(*chunks)
        deadline = time.monotonic() + 5
        assert [len(found.read(deadline)) for _ in range(3)] == [3, 200_000, 3]
        assert all(0 < wait <= 5 for wait in sock.waits)


def test_keep_alives_are_passed_over() -> None:
    found, _ = reader(b"\x85\0\0\0\0\0\0\3one")
    assert found.read(time.monotonic() + 5) == b"one"


def test_a_connection_that_ends_within_a_frame_is_an_error() -> None:
    found, _ = reader(b"\0\0\0\x10half")
    with pytest.raises(ConnectionError):
        found.read(time.monotonic() + 5)


def test_a_deadline_that_has_passed_is_not_waited_for() -> None:
    found, sock = reader(b"\0\0\0\0")
    with pytest.raises(TimeoutError):
        found.read(time.monotonic())
    assert sock.waits == []
