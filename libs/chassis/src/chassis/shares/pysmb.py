"""SMB 2.0.2 through pysmb: five to eight times less CPU than the alternative, and nothing newer.

pysmb negotiates, logs on and frames; requests are ours. It signs what it sends where the server
demands that, and never checks what it gets (see docs/decisions/0012-two-smb-clients.md).
"""

import hmac
import os
import socket
import struct
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from nmb.base import NMBError
from smb.base import NotConnectedError, NotReadyError, SMBTimeout, _PendingRequest
from smb.smb_structs import ProtocolError
from smb.SMBConnection import SMBConnection

from chassis.settings import NasSettings
from chassis.shares.logon_gate import LogonGate
from chassis.shares.port import (
    ShareDescription,
    ShareLogonError,
    ShareUnavailableError,
    UnsupportedServerError,
)
from chassis.shares.smb_messages import Reply, Request, tree_connect
from chassis.shares.smb_pool import SmbShare
from chassis.shares.smb_status import logon_error, tree_error
from chassis.shares.smb_wire import GUEST, SUCCESS, ConnectionLostError, one_by_one

_SESSION_SETUP = 1
_FLAG_RELATED, _FLAG_SIGNED = 0x4, 0x8
_SAME_SESSION, _SAME_TREE = 0xFFFFFFFFFFFFFFFF, 0xFFFFFFFF
_HEADER = struct.Struct("<4sHHIHHIIQIIQ16s")
_SIGNATURE_AT, _SIGNATURE_END = 48, 64

_CREDITS_ASKED = 32
"""Requests that may be under way at once; a chain needs four, pysmb by itself gets one."""

_LISTING_BYTES = 60 * 1024
_CHAINS_UNKNOWN = frozenset({0xC000000D, 0xC00000BB})
_LOGON_GOES_ON = frozenset({SUCCESS, 0xC0000016})
_UNKNOWN_DIALECTS = "does not support any of the pysmb dialects"
_NONSENSE = (NMBError, AssertionError, LookupError, ValueError, struct.error)
"""What pysmb raises when the bytes it gets are not SMB."""


class PysmbShare(SmbShare):
    """A folder of an SMB share, read through pysmb."""

    def __init__(
        self,
        nas: NasSettings,
        *,
        root: str = "",
        connections: int = 8,
        timeout_seconds: float = 30.0,
        gate: LogonGate | None = None,
        fast_listing: bool = True,
    ) -> None:
        super().__init__(
            lambda: PysmbWire(nas, timeout_seconds=timeout_seconds, fast_listing=fast_listing),
            root=root,
            connections=connections,
            gate=gate or LogonGate(),
        )


class PysmbWire:
    """One connection of pysmb; see `chassis.shares.smb_wire.Wire`."""

    io_bytes = 64 * 1024
    listing_bytes = _LISTING_BYTES
    path_prefix = ""

    def __init__(
        self, nas: NasSettings, *, timeout_seconds: float = 30.0, fast_listing: bool = True
    ) -> None:
        self._timeout = timeout_seconds
        self._is_chaining = fast_listing
        self._credits = 1
        self._tree_id = 0
        self._connection = _Connection(
            nas.username,
            nas.password.get_secret_value(),
            nas.client_machine_name,
            nas.server_name,
            domain=nas.domain,
            use_ntlm_v2=True,
            sign_options=SMBConnection.SIGN_WHEN_REQUIRED,
            is_direct_tcp=True,
        )
        try:
            self._log_on(nas)
            self._connect_tree(rf"\\{nas.server_name}\{nas.share_name}")
        except BaseException:
            self.close()
            raise
        self.description = ShareDescription(
            kind="smb",
            backend="pysmb",
            dialect="2.0.2",
            is_signed=bool(self._connection.is_signing_active),
            is_encrypted=False,
            verifies_signatures=False,
        )

    def chain(self, requests: Sequence[Request]) -> list[Reply]:
        """Send related requests, in one frame if possible, and return one answer to each."""
        if len(requests) > 1 and self._is_chaining and self._credits >= len(requests):
            replies = self._exchange(requests)
            if replies[0].status not in _CHAINS_UNKNOWN:
                return replies
            self._is_chaining = False
        return one_by_one(lambda request: self._exchange([request])[0], requests)

    def close(self) -> None:
        """Cut the connection, also while another thread waits on it."""
        sock = self._connection.sock
        if sock is not None:
            with suppress(OSError):
                # Closing alone would not wake a thread that waits for an answer.
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()

    def _log_on(self, nas: NasSettings) -> None:
        connection = self._connection
        try:
            with _translated():
                is_accepted = connection.connect(nas.server_ip, nas.port, timeout=self._timeout)
        except ShareUnavailableError as error:
            if connection.logon_status not in _LOGON_GOES_ON:
                raise logon_error(connection.logon_status) from error
            raise
        if not is_accepted:
            raise logon_error(connection.logon_status)
        if not connection.isUsingSMB2:
            raise UnsupportedServerError("The server speaks SMB 1 only, which nobody should.")
        if connection.is_guest:
            raise ShareLogonError(GUEST)

    def _connect_tree(self, share: str) -> None:
        [message] = self._send([tree_connect(share)])
        if message.status != SUCCESS:
            raise tree_error(message.status)
        self._tree_id = message.tid

    def _exchange(self, requests: Sequence[Request]) -> list[Reply]:
        return [
            Reply(message.status, message.raw_data[_HEADER.size :])
            for message in self._send(requests)
        ]

    def _send(self, requests: Sequence[Request]) -> list[Any]:
        connection = self._connection
        deadline = time.monotonic() + self._timeout
        received: dict[int, Any] = {}
        ids = [connection._getNextMID_SMB2() for _ in requests]  # noqa: SLF001
        for message_id in ids:
            connection.pending_requests[message_id] = _pending(message_id, received)
        with _translated():
            connection.sock.settimeout(self._timeout)
            connection.sendNMBMessage(self._frame(requests, ids))
            while len(received) < len(ids):
                connection._pollForNetBIOSPacket(deadline - time.monotonic())  # noqa: SLF001
        answers = [received[message_id] for message_id in ids]
        self._credits += sum(answer.credit_re for answer in answers) - len(ids)
        return answers

    def _frame(self, requests: Sequence[Request], ids: Sequence[int]) -> bytes:
        last = len(requests) - 1
        return b"".join(
            self._message(request, message_id, is_first=at == 0, is_last=at == last)
            for at, (request, message_id) in enumerate(zip(requests, ids, strict=True))
        )

    def _message(
        self, request: Request, message_id: int, *, is_first: bool, is_last: bool
    ) -> bytes:
        connection = self._connection
        size = _HEADER.size + len(request.body)
        padding = b"" if is_last else b"\0" * (-size % 8)
        flags = 0 if is_first else _FLAG_RELATED
        if connection.is_signing_active:
            flags |= _FLAG_SIGNED
        header = _HEADER.pack(
            b"\xfeSMB", _HEADER.size, 0, 0, request.command, _CREDITS_ASKED, flags,
            0 if is_last else size + len(padding), message_id, os.getpid(),
            self._tree_id if is_first else _SAME_TREE,
            connection.session_id if is_first else _SAME_SESSION,
            b"",
        )  # fmt: skip
        message = header + request.body + padding
        if not connection.is_signing_active:
            return message
        signature = hmac.digest(connection.signing_session_key, message, "sha256")[:16]
        return message[:_SIGNATURE_AT] + signature + message[_SIGNATURE_END:]


class _Connection(SMBConnection):  # type: ignore[misc]
    """Remembers how the log-on ended, and reads frames against a deadline.

    pysmb's own reader takes 17 bits of a frame's length for all of it, and waits by the wall
    clock.
    """

    logon_status = SUCCESS
    is_guest = False

    def _updateState_SMB2(self, message: Any) -> Any:  # noqa: N802 - pysmb's name
        if message.command == _SESSION_SETUP:
            self.logon_status = message.status
            if message.status == SUCCESS:
                session = message.payload
                self.is_guest = session.isGuestSession or session.isAnonymousSession
        return super()._updateState_SMB2(message)

    def _pollForNetBIOSPacket(self, timeout: float) -> None:  # noqa: N802 - pysmb's name
        deadline = time.monotonic() + timeout
        header = self._receive(4, deadline)
        self.feedData(header + self._receive(int.from_bytes(header[1:], "big"), deadline))

    def _receive(self, count: int, deadline: float) -> bytes:
        buffer = bytearray(count)
        view = memoryview(buffer)
        while view:
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                raise SMBTimeout
            self.sock.settimeout(remaining)
            received = self.sock.recv_into(view)
            if received == 0:
                raise NotConnectedError("The server closed the connection.")
            view = view[received:]
        return bytes(buffer)


def _pending(message_id: int, received: dict[int, Any]) -> Any:
    def keep(message: Any) -> None:
        received[message_id] = message

    return _PendingRequest(message_id, 0, keep, None)


@contextmanager
def _translated() -> Generator[None]:
    try:
        yield
    except (SMBTimeout, TimeoutError) as error:
        raise ShareUnavailableError("The share did not answer in time.") from error
    except (NotConnectedError, NotReadyError, OSError) as error:
        raise ConnectionLostError from error
    except ProtocolError as error:
        if _UNKNOWN_DIALECTS in error.message:
            raise UnsupportedServerError(
                "The server speaks no dialect that pysmb knows: it demands SMB 2.1 or later."
            ) from error
        raise ShareUnavailableError("The server's answer makes no sense.") from error
    except _NONSENSE as error:
        raise ShareUnavailableError("The server does not speak SMB.") from error
