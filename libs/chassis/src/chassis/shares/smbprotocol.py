"""SMB 2.0.2 to 3.1.1 through smbprotocol: encrypted or signed, and every answer verified.

smbprotocol negotiates, logs on, signs, verifies, encrypts and frames; requests are ours. Taken
where the server or the configuration demands what pysmb cannot do (see docs/decisions/0012-two-
smb-clients.md).
"""

import os
import socket
import struct
import uuid
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from smbprotocol.connection import Connection
from smbprotocol.exceptions import (
    SMBAuthenticationError,
    SMBConnectionClosed,
    SMBException,
    SMBResponseException,
)
from smbprotocol.header import Smb2Flags
from smbprotocol.session import Session
from smbprotocol.transport import Tcp
from smbprotocol.tree import TreeConnect

from chassis.settings import NasSettings
from chassis.shares.logon_gate import LogonGate
from chassis.shares.port import (
    ShareDescription,
    ShareLogonError,
    ShareUnavailableError,
    UnsupportedServerError,
)
from chassis.shares.smb_messages import Reply, Request
from chassis.shares.smb_pool import SmbShare
from chassis.shares.smb_status import logon_error, tree_error
from chassis.shares.smb_wire import GUEST, ConnectionLostError

_DIALECTS = {0x0202: "2.0.2", 0x0210: "2.1", 0x0300: "3.0", 0x0302: "3.0.2", 0x0311: "3.1.1"}
_STATUS_PENDING = 0x103
_SESSION_SETUP = 1
_CREDIT_BYTES = 64 * 1024
_IO_BYTES = 512 * 1024
"""Eight credits: larger pieces are not faster, and the window must hold several."""


class SmbprotocolShare(SmbShare):
    """A folder of an SMB share, read through smbprotocol."""

    def __init__(
        self,
        nas: NasSettings,
        *,
        root: str = "",
        connections: int = 8,
        timeout_seconds: float = 30.0,
        gate: LogonGate | None = None,
        require_encryption: bool = False,
    ) -> None:
        super().__init__(
            lambda: SmbprotocolWire(
                nas, timeout_seconds=timeout_seconds, require_encryption=require_encryption
            ),
            root=root,
            connections=connections,
            gate=gate or LogonGate(),
        )


class SmbprotocolWire:
    """One connection of smbprotocol; see `chassis.shares.smb_wire.Wire`."""

    listing_bytes = _CREDIT_BYTES

    def __init__(
        self, nas: NasSettings, *, timeout_seconds: float = 30.0, require_encryption: bool = False
    ) -> None:
        self._connection = _Connection(nas, timeout_seconds)
        try:
            self._session = self._log_on(
                nas, timeout_seconds, require_encryption=require_encryption
            )
            self._tree = self._connect_tree(rf"\\{nas.server_name}\{nas.share_name}")
        except BaseException:
            self.close()
            raise
        self.io_bytes = self._io_bytes()
        self.path_prefix = self._tree.share_name.lstrip("\\") if self._tree.is_dfs_share else ""
        self.description = self._describe()

    def chain(self, requests: Sequence[Request]) -> list[Reply]:
        """Send related requests in one frame, and return one answer to each."""
        connection = self._connection
        with _translated():
            sent = connection.send_compound(
                [_Message(request) for request in requests],
                self._session.session_id,
                self._tree.tree_connect_id,
                related=True,
            )
            return [_receive(connection, request) for request in sent]

    def close(self) -> None:
        """Cut the connection, also while another thread waits on it."""
        if self._connection.transport is not None:
            with suppress(OSError):
                self._connection.disconnect(close=False)

    def _log_on(
        self, nas: NasSettings, timeout_seconds: float, *, require_encryption: bool
    ) -> Session:
        # The library's NTLM part learns this machine's name nowhere else.
        os.environ["NETBIOS_COMPUTER_NAME"] = nas.client_machine_name  # noqa: TID251
        connection = self._connection
        session = Session(
            connection,
            f"{nas.domain}\\{nas.username}" if nas.domain else nas.username,
            nas.password.get_secret_value(),
            require_encryption=require_encryption,
            hostname_override=nas.server_name,
        )
        try:
            with _translated():
                connection.connect(timeout=timeout_seconds)
                if require_encryption and not connection.supports_encryption:
                    raise UnsupportedServerError(
                        "The server cannot encrypt, which the source requires."
                    )
                session.connect()
        except _StatusError as error:
            raise logon_error(error.status) from error
        except ShareUnavailableError as error:
            if session.session_id is None:
                # How the library leaves a session that it refuses because it is a guest's.
                raise ShareLogonError(GUEST) from error
            raise
        return session

    def _connect_tree(self, share: str) -> TreeConnect:
        tree = TreeConnect(self._session, share)
        try:
            with _translated():
                tree.connect()
        except _StatusError as error:
            raise tree_error(error.status) from error
        return tree

    def _io_bytes(self) -> int:
        connection = self._connection
        if not connection.supports_multi_credit:
            return _CREDIT_BYTES
        return int(min(_IO_BYTES, connection.max_read_size, connection.max_write_size))

    def _describe(self) -> ShareDescription:
        is_encrypted = bool(self._session.encrypt_data or self._tree.encrypt_data)
        is_signed = bool(self._session.signing_required)
        dialect = self._connection.dialect
        return ShareDescription(
            kind="smb",
            backend="smbprotocol",
            dialect=_DIALECTS.get(dialect, hex(dialect)),
            is_signed=is_signed,
            is_encrypted=is_encrypted,
            verifies_signatures=is_signed or is_encrypted,
        )


class _StatusError(Exception):
    """The server answered with an error status."""

    def __init__(self, status: int) -> None:
        super().__init__(hex(status))
        self.status = status


class _Message:
    """A request of ours in the shape that the library sends."""

    def __init__(self, request: Request) -> None:
        self.COMMAND = request.command
        self.payload_bytes = request.payload_bytes
        self._body = request.body

    def __len__(self) -> int:
        return len(self._body)

    def pack(self) -> bytes:
        """Return the bytes after the header."""
        return self._body


class _Transport(Tcp):  # type: ignore[misc]
    """Believes in no frame that SMB cannot have, and sends within the time-out.

    By itself the library sets aside as many bytes as the peer announces: 1.2 GB for a web server's
    `HTTP`; and a peer that stops reading would hold the thread for ever.
    """

    def connect(self) -> None:
        super().connect()
        seconds, fraction = divmod(self.timeout, 1)
        limit = struct.pack("ll", int(seconds), int(fraction * 1_000_000))
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)

    def _recv(self, length: int, timeout: float) -> Any:
        if length > self.MAX_SIZE:
            raise SMBException("The peer announces a frame that SMB cannot have.")
        return super()._recv(length, timeout)


class _Connection(Connection):  # type: ignore[misc]
    """Waits no longer than we say, and takes no answer that is not protected.

    By itself the library waits up to ten minutes, and verifies a signature only if the answer says
    that it has one.
    """

    def __init__(self, nas: NasSettings, timeout_seconds: float) -> None:
        super().__init__(uuid.uuid4(), nas.server_ip, nas.port, require_signing=True)
        self._timeout_seconds = timeout_seconds

    @property
    def transport(self) -> Tcp | None:
        """The library makes its own in `connect`; ours takes its place before it is used."""
        return self._transport

    @transport.setter
    def transport(self, made: Tcp | None) -> None:
        self._transport = None if made is None else _Transport(made.server, made.port, made.timeout)

    def receive(
        self,
        request: Any,
        wait: bool = True,  # noqa: FBT001, FBT002 - the library's signature
        timeout: float | None = None,
        resolve_symlinks: bool = True,  # noqa: FBT001, FBT002
    ) -> Any:
        return super().receive(request, wait, timeout or self._timeout_seconds, resolve_symlinks)

    def verify_signature(self, header: Any, session_id: int, force: bool = False) -> None:  # noqa: FBT001, FBT002
        # Called for every answer that was not encrypted.
        session = self.session_table.get(session_id)
        is_final = header["status"].get_value() != _STATUS_PENDING
        if session is not None and is_final and header["command"].get_value() != _SESSION_SETUP:
            if session.encrypt_data:
                raise SMBException("An answer came in clear on an encrypted session.")
            if session.signing_required and not header["flags"].has_flag(
                Smb2Flags.SMB2_FLAGS_SIGNED
            ):
                raise SMBException("An answer came without a signature on a signed session.")
        super().verify_signature(header, session_id, force)

    def _check_worker_running(self) -> None:
        # Whatever ended the receiving thread, to its callers the connection is lost.
        if self._t_exc is not None:
            self.disconnect(close=False)
            raise SMBConnectionClosed(str(self._t_exc)) from self._t_exc
        super()._check_worker_running()

    def _calculate_credit_charge(self, message: Any) -> int:
        if not isinstance(message, _Message):
            return int(super()._calculate_credit_charge(message))
        if not self.supports_multi_credit:
            return 0
        return (message.payload_bytes - 1) // _CREDIT_BYTES + 1


def _receive(connection: _Connection, request: Any) -> Reply:
    try:
        response = connection.receive(request, resolve_symlinks=False)
    except SMBResponseException as error:
        response = error.header
    return Reply(response["status"].get_value(), response["data"].get_value())


@contextmanager
def _translated() -> Generator[None]:
    try:
        yield
    except SMBResponseException as error:
        raise _StatusError(error.status) from error
    except SMBAuthenticationError as error:
        raise ShareLogonError from error
    except SMBConnectionClosed as error:
        raise ConnectionLostError from error
    except SMBException as error:
        raise ShareUnavailableError("The share did not answer in time, or wrongly.") from error
    except (BlockingIOError, TimeoutError) as error:
        raise ShareUnavailableError("The share did not answer in time.") from error
    except OSError as error:
        raise ConnectionLostError from error
    except ValueError as error:
        # The library wraps a failed connect, and names the address, which no log may show.
        raise ShareUnavailableError("The server cannot be reached.") from error.__cause__
    except (LookupError, struct.error) as error:
        raise ShareUnavailableError("The server's answer makes no sense.") from error
