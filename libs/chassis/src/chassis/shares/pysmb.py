"""SMB 2.0.2 through pysmb: five to eight times less CPU than the alternative, and nothing newer.

pysmb negotiates and logs on; from there on, requests and frames are ours. Signed where the server
demands that, never encrypted (see docs/decisions/0012-two-smb-clients.md).
"""

import socket
import struct
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

from nmb.base import NMBError
from smb.base import NotConnectedError, NotReadyError, SMBTimeout
from smb.smb_structs import ProtocolError
from smb.SMBConnection import SMBConnection

from chassis.errors import PenstockError
from chassis.settings import NasSettings
from chassis.shares import smb_frames
from chassis.shares.logon_gate import LogonGate
from chassis.shares.port import (
    ShareDescription,
    ShareLogonError,
    ShareUnavailableError,
    UnsupportedServerError,
)
from chassis.shares.smb_frames import Answer, FrameReader, Session
from chassis.shares.smb_messages import MalformedReplyError, Reply, Request, tree_connect
from chassis.shares.smb_pool import SmbShare
from chassis.shares.smb_status import logon_error, tree_error
from chassis.shares.smb_wire import GUEST, SUCCESS, ConnectionLostError, one_by_one

_SESSION_SETUP = 1
_MOST_BYTES = 64 * 1024
"""What one request may carry in SMB 2.0.2."""

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

    path_prefix = ""

    def __init__(
        self, nas: NasSettings, *, timeout_seconds: float = 30.0, fast_listing: bool = True
    ) -> None:
        connection = _log_on(nas, timeout_seconds)
        self._sock: socket.socket = connection.sock
        self._reader = FrameReader(self._sock)
        self._timeout = timeout_seconds
        self._is_chaining = fast_listing
        self._credits = 1
        self._next_id: int = connection.mid + 1
        self.io_bytes = min(_MOST_BYTES, connection.max_read_size, connection.max_write_size)
        self.listing_bytes = min(_MOST_BYTES, connection.max_transact_size)
        is_signed = bool(connection.is_signing_active)
        self._session = Session(
            session_id=connection.session_id,
            tree_id=0,
            signing_key=connection.signing_session_key if is_signed else None,
        )
        try:
            self._connect_tree(rf"\\{nas.server_name}\{nas.share_name}")
        except BaseException:
            self.close()
            raise
        self.description = ShareDescription(
            kind="smb",
            backend="pysmb",
            dialect="2.0.2",
            is_signed=is_signed,
            is_encrypted=False,
            verifies_signatures=is_signed,
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
        _cut(self._sock)

    def _connect_tree(self, share: str) -> None:
        [answer] = self._send([tree_connect(share)])
        if answer.reply.status != SUCCESS:
            raise tree_error(answer.reply.status)
        self._session = replace(self._session, tree_id=answer.tree_id)

    def _exchange(self, requests: Sequence[Request]) -> list[Reply]:
        return [answer.reply for answer in self._send(requests)]

    def _send(self, requests: Sequence[Request]) -> list[Answer]:
        deadline = time.monotonic() + self._timeout
        first_id, self._next_id = self._next_id, self._next_id + len(requests)
        expected = range(first_id, self._next_id)
        found: dict[int, Answer] = {}
        self._credits -= len(requests)
        with _translated():
            self._sock.settimeout(self._timeout)
            self._sock.sendall(smb_frames.pack(requests, first_id, self._session))
            while len(found) < len(expected):
                for answer in smb_frames.unpack(self._reader.read(deadline), self._session):
                    self._credits += answer.credit
                    if answer.message_id in expected and not answer.is_interim:
                        found[answer.message_id] = answer
        return [found[message_id] for message_id in expected]


class _Connection(SMBConnection):  # type: ignore[misc]
    """Remembers how the log-on ended, which the library forgets."""

    logon_status = SUCCESS
    is_guest = False

    def _updateState_SMB2(self, message: Any) -> Any:  # noqa: N802 - pysmb's name
        if message.command == _SESSION_SETUP:
            self.logon_status = message.status
            if message.status == SUCCESS:
                session = message.payload
                self.is_guest = session.isGuestSession or session.isAnonymousSession
        return super()._updateState_SMB2(message)


def _log_on(nas: NasSettings, timeout_seconds: float) -> _Connection:
    connection = _Connection(
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
        with _translated():
            is_accepted = connection.connect(nas.server_ip, nas.port, timeout=timeout_seconds)
        _check_logon(connection, is_accepted=is_accepted)
    except ShareUnavailableError as error:
        _cut(connection.sock)
        if connection.logon_status not in _LOGON_GOES_ON:
            raise logon_error(connection.logon_status) from error
        raise
    except PenstockError:
        _cut(connection.sock)
        raise
    return connection


def _check_logon(connection: _Connection, *, is_accepted: bool) -> None:
    if not is_accepted:
        raise logon_error(connection.logon_status)
    if not connection.isUsingSMB2:
        raise UnsupportedServerError("The server speaks SMB 1 only, which nobody should.")
    if connection.is_guest:
        raise ShareLogonError(GUEST)


def _cut(sock: socket.socket | None) -> None:
    if sock is not None:
        with suppress(OSError):
            # Closing alone would not wake a thread that waits for an answer.
            sock.shutdown(socket.SHUT_RDWR)
        sock.close()


@contextmanager
def _translated() -> Generator[None]:
    try:
        yield
    except (SMBTimeout, TimeoutError) as error:
        raise ShareUnavailableError("The share did not answer in time.") from error
    except (NotConnectedError, NotReadyError, OSError) as error:
        raise ConnectionLostError from error
    except MalformedReplyError as error:
        raise ShareUnavailableError("The server's answer makes no sense.") from error
    except ProtocolError as error:
        if _UNKNOWN_DIALECTS in error.message:
            raise UnsupportedServerError(
                "The server speaks no dialect that pysmb knows: it demands SMB 2.1 or later."
            ) from error
        raise ShareUnavailableError("The server's answer makes no sense.") from error
    except _NONSENSE as error:
        raise ShareUnavailableError("The server does not speak SMB.") from error
