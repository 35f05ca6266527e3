"""Where we are stricter than smbprotocol: what it may take, and how long it may wait."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import SecretStr
from smbprotocol.connection import Connection
from smbprotocol.exceptions import (
    SMBAuthenticationError,
    SMBConnectionClosed,
    SMBException,
)
from smbprotocol.header import SMB2HeaderResponse
from smbprotocol.transport import Tcp

from chassis.settings import NasSettings
from chassis.shares import smb_messages as messages
from chassis.shares.port import ShareLogonError, ShareUnavailableError
from chassis.shares.smb_wire import ConnectionLostError
from chassis.shares.smbprotocol import _Connection, _Message, _translated, _Transport

READ, SESSION_SETUP = 8, 1
SIGNED = 0x8
PENDING = 0x103


@pytest.fixture
def connection() -> _Connection:
    nas = NasSettings.model_validate(
        {
            "NAS_USERNAME": "user",
            "NAS_PASSWORD": SecretStr("secret"),
            "NAS_SERVER_IP": "192.0.2.1",
            "NAS_SERVER_NAME": "NAS",
            "NAS_SHARE_NAME": "data",
            "CLIENT_MACHINE_NAME": "client",
        }
    )
    return _Connection(nas, 7.0)


def header(*, flags: int = 0, status: int = 0, command: int = READ) -> Any:
    response = SMB2HeaderResponse()
    response["flags"] = flags
    response["status"] = status
    response["command"] = command
    return response


@pytest.fixture
def verified(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The answers that the library itself was given to verify."""
    seen: list[Any] = []

    def verify(_: Any, answer: Any, session_id: int, force: bool) -> None:  # noqa: FBT001
        seen.append((answer, session_id, force))

    monkeypatch.setattr(Connection, "verify_signature", verify)
    return seen


def test_an_unsigned_answer_is_refused_on_a_signed_session(
    connection: _Connection, verified: list[Any]
) -> None:
    connection.session_table[1] = SimpleNamespace(encrypt_data=False, signing_required=True)
    with pytest.raises(SMBException, match="without a signature"):
        connection.verify_signature(header(), 1)
    connection.verify_signature(header(flags=SIGNED), 1)
    assert len(verified) == 1


def test_an_answer_in_clear_is_refused_on_an_encrypted_session(
    connection: _Connection, verified: list[Any]
) -> None:
    connection.session_table[1] = SimpleNamespace(encrypt_data=True, signing_required=False)
    with pytest.raises(SMBException, match="in clear"):
        connection.verify_signature(header(flags=SIGNED), 1)
    assert verified == []


@pytest.mark.parametrize("answer", [header(status=PENDING), header(command=SESSION_SETUP)])
def test_interim_answers_and_the_log_on_are_the_librarys_business(
    connection: _Connection, verified: list[Any], answer: Any
) -> None:
    connection.session_table[1] = SimpleNamespace(encrypt_data=False, signing_required=True)
    connection.verify_signature(answer, 1)
    assert len(verified) == 1


@pytest.mark.parametrize(
    ("size", "charge"), [(1, 1), (65_536, 1), (65_537, 2), (524_288, 8), (524_289, 9)]
)
def test_credits_are_counted_by_the_larger_payload(
    connection: _Connection, size: int, charge: int
) -> None:
    message = _Message(messages.read(offset=0, length=size))
    connection.supports_multi_credit = True
    assert connection._calculate_credit_charge(message) == charge
    connection.supports_multi_credit = False
    assert connection._calculate_credit_charge(message) == 0


def test_every_wait_has_our_limit(connection: _Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    limits: list[float | None] = []

    def receive(_: Any, __: Any, ___: bool, limit: float, ____: bool) -> None:  # noqa: FBT001
        limits.append(limit)

    monkeypatch.setattr(Connection, "receive", receive)
    connection.receive(object())
    connection.receive(object(), timeout=1.0)
    assert limits == [7.0, 1.0]


def test_no_memory_is_set_aside_for_a_frame_that_cannot_be(connection: _Connection) -> None:
    connection.transport = Tcp("192.0.2.1", 445, 7.0)
    assert isinstance(connection.transport, _Transport)
    assert (connection.transport.port, connection.transport.timeout) == (445, 7.0)
    with pytest.raises(SMBException):
        connection.transport._recv(int.from_bytes(b"HTTP", "big"), 1.0)


def test_whatever_ended_the_receiving_thread_is_a_lost_connection(
    connection: _Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[bool] = []
    monkeypatch.setattr(Connection, "disconnect", lambda _, close: closed.append(close))
    connection._t_exc = KeyError("message id")
    with pytest.raises(ConnectionLostError), _translated():
        connection._check_worker_running()
    assert closed == [False]


def _failed_connect() -> None:
    cause = ConnectionRefusedError()
    raise ValueError("Failed to connect to '192.0.2.1:445'") from cause


def _raises(error: Exception) -> Callable[[], None]:
    def act() -> None:
        raise error

    return act


@pytest.mark.parametrize(
    ("act", "expected"),
    [
        (_failed_connect, ShareUnavailableError),
        (_raises(SMBConnectionClosed()), ConnectionLostError),
        (_raises(SMBAuthenticationError()), ShareLogonError),
        (_raises(SMBException()), ShareUnavailableError),
        (_raises(BlockingIOError()), ShareUnavailableError),
        (_raises(BrokenPipeError()), ConnectionLostError),
        (_raises(IndexError()), ShareUnavailableError),
    ],
)
def test_errors_of_the_library_are_translated(
    act: Callable[[], None], expected: type[Exception]
) -> None:
    with pytest.raises(expected) as caught, _translated():
        act()
    assert type(caught.value) is expected
    error: BaseException | None = caught.value
    while error is not None:
        assert "192.0.2.1" not in str(error)
        error = error.__cause__
