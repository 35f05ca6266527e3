"""Frames of SMB 2.0.2 ([MS-SMB2] 2.1 and 2.2.1): headers, chains, credits and signatures.

For the connection that pysmb has logged on. Its own framing allows one request under way, takes
17 bits of a frame's length for all of it, and never looks at the signature of an answer.
"""

import hmac
import os
import socket
import struct
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from chassis.shares.smb_messages import HEADER_BYTES, MalformedReplyError, Reply, Request

CREDITS_ASKED = 32
"""Requests that may be under way at once; a chain needs four, pysmb by itself gets one."""

_FLAG_ASYNC, _FLAG_RELATED, _FLAG_SIGNED = 0x2, 0x4, 0x8
_SAME_SESSION, _SAME_TREE = 0xFFFFFFFFFFFFFFFF, 0xFFFFFFFF
_STATUS_PENDING = 0x103
_HEADER = struct.Struct("<4sHHIHHIIQIIQ16s")
_SIGNATURE_AT, _SIGNATURE_END = 48, 64
_PROTOCOL = b"\xfeSMB"
_RECEIVE_BYTES = 1 << 17


@dataclass(frozen=True, slots=True)
class Session:
    """What every header repeats."""

    session_id: int
    tree_id: int
    signing_key: bytes | None
    """None on a session that is not signed."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer with what its header says."""

    message_id: int
    tree_id: int
    credit: int
    is_interim: bool
    """The server is still at it; the real answer follows."""

    reply: Reply


def pack(requests: Sequence[Request], first_id: int, session: Session) -> bytes:
    """Return one frame with these requests, related to the first one, as it goes over TCP."""
    last = len(requests) - 1
    messages = [
        _message(request, first_id + at, session, is_first=at == 0, is_last=at == last)
        for at, request in enumerate(requests)
    ]
    data = b"".join(messages)
    return len(data).to_bytes(4, "big") + data


def unpack(frame: bytes, session: Session) -> Iterator[Answer]:
    """Yield the answers in a frame.

    Raises:
        MalformedReplyError: it is not SMB2, or is not signed as the session demands.
    """
    while frame:
        if len(frame) < HEADER_BYTES or frame[:4] != _PROTOCOL:
            raise MalformedReplyError("A frame is not SMB2.")
        header = _HEADER.unpack_from(frame)
        status, credit, flags, step, message_id = header[3], header[5], *header[6:9]
        if step and not HEADER_BYTES <= step <= len(frame):
            raise MalformedReplyError("A frame is shorter than it says.")
        message = frame[:step] if step else frame
        is_interim = status == _STATUS_PENDING and bool(flags & _FLAG_ASYNC)
        if session.signing_key is not None and not is_interim:
            _verify(message, session.signing_key)
        yield Answer(message_id, header[10], credit, is_interim, Reply(status, message[64:]))
        frame = frame[step:] if step else b""


class FrameReader:
    """Reads frames from a socket, each before a deadline."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._buffer = bytearray()

    def read(self, deadline: float) -> bytes:
        """Return the next frame that is not a keep-alive; `deadline` is of `time.monotonic`.

        Raises:
            TimeoutError: it did not come in time.
            ConnectionError: the server closed the connection.
        """
        while True:
            size = 4 + int.from_bytes(self._buffer[1:4], "big")
            if len(self._buffer) >= max(size, 4):
                frame = bytes(self._buffer[4:size])
                del self._buffer[:size]
                if frame:
                    return frame
            else:
                self._receive(deadline)

    def _receive(self, deadline: float) -> None:
        remaining = deadline - time.monotonic()
        if remaining <= 0:
            raise TimeoutError
        self._sock.settimeout(remaining)
        data = self._sock.recv(_RECEIVE_BYTES)
        if not data:
            raise ConnectionError("The server closed the connection.")
        self._buffer += data


def _message(
    request: Request, message_id: int, session: Session, *, is_first: bool, is_last: bool
) -> bytes:
    size = HEADER_BYTES + len(request.body)
    padding = b"" if is_last else bytes(-size % 8)
    flags = 0 if is_first else _FLAG_RELATED
    if session.signing_key is not None:
        flags |= _FLAG_SIGNED
    header = _HEADER.pack(
        _PROTOCOL, HEADER_BYTES, 0, 0, request.command, CREDITS_ASKED, flags,
        0 if is_last else size + len(padding), message_id, os.getpid(),
        session.tree_id if is_first else _SAME_TREE,
        session.session_id if is_first else _SAME_SESSION,
        b"",
    )  # fmt: skip
    message = header + request.body + padding
    if session.signing_key is None:
        return message
    signature = _signature(message, session.signing_key)
    return message[:_SIGNATURE_AT] + signature + message[_SIGNATURE_END:]


def _verify(message: bytes, key: bytes) -> None:
    blank = message[:_SIGNATURE_AT] + bytes(16) + message[_SIGNATURE_END:]
    if not hmac.compare_digest(message[_SIGNATURE_AT:_SIGNATURE_END], _signature(blank, key)):
        raise MalformedReplyError("An answer is not signed as the session demands.")


def _signature(message: bytes, key: bytes) -> bytes:
    return hmac.digest(key, message, "sha256")[:16]
