"""When a chain is sent, when single messages are, and what the library's errors mean."""

import struct

import pytest
from smb.base import NotConnectedError, SMBTimeout

from chassis.shares import smb_messages as messages
from chassis.shares.port import ShareUnavailableError, UnsupportedServerError
from chassis.shares.pysmb import PysmbWire, _translated
from chassis.shares.smb_messages import MalformedReplyError, Reply
from chassis.shares.smb_wire import ConnectionLostError

OPEN = Reply(0, bytes(64) + b"the file's id..." + bytes(8))
CHAIN = [
    messages.create("a", access=1),
    messages.query_directory(buffer_bytes=1000),
    messages.close(),
]


class HandWire(PysmbWire):
    """A wire without a connection: requests are kept, answers prepared."""

    def __init__(self, *, credit: int = 8) -> None:
        self._is_chaining = True
        self._credits = credit
        self.sent: list[list[int]] = []
        self.answers: list[list[Reply]] = []

    def _exchange(self, requests: object) -> list[Reply]:
        assert isinstance(requests, (list, tuple))
        self.sent.append([request.command for request in requests])
        return self.answers.pop(0)


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
        (MalformedReplyError(), ShareUnavailableError),
    ],
)
def test_errors_of_the_library_are_translated(raised: Exception, expected: type[Exception]) -> None:
    with pytest.raises(expected) as caught, _translated():
        raise raised
    assert type(caught.value) is expected
    assert not isinstance(caught.value, UnsupportedServerError)
