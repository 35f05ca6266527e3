import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Sequence

import pytest
from structlog.testing import capture_logs

from chassis.errors import PenstockError
from chassis.shares.logon_gate import LogonGate
from chassis.shares.port import (
    ShareBusyError,
    ShareDescription,
    ShareLogonError,
    ShareNotFoundError,
    ShareUnavailableError,
)
from chassis.shares.smb_messages import MalformedReplyError, Reply, Request
from chassis.shares.smb_pool import MAX_IDLE_SECONDS, SmbShare
from chassis.shares.smb_wire import ConnectionLostError
from tests.support.clocks import HandClock

OK, NOT_FOUND, NO_SUCH_FILE = 0, 0xC0000034, 0xC000000F
CREATED = Reply(OK, bytes(88))

Answer = Callable[[], list[Reply]]


class FakeWire:
    """Answers every chain with what the test says; remembers its threads and its end."""

    description = ShareDescription("smb", "fake", "3.1.1", True, False, True)
    io_bytes = 65_536
    listing_bytes = 65_536
    path_prefix = ""

    def __init__(self, server: "FakeServer") -> None:
        self.server = server
        self.most_at_once = 0
        self._at_once = 0
        self._cut = threading.Event()

    @property
    def is_closed(self) -> bool:
        return self._cut.is_set()

    def chain(self, requests: Sequence[Request]) -> list[Reply]:
        assert not self.is_closed, "a dropped connection was used again"
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        self.server.barrier.wait()
        self._at_once -= 1
        if self.server.is_silent:
            self._cut.wait()
            raise ConnectionLostError
        problem = self.server.problems.pop(0) if self.server.problems else None
        if isinstance(problem, Exception):
            raise problem
        if problem is not None:
            return [Reply(problem, b"")] * len(requests)
        return [CREATED, Reply(NO_SUCH_FILE, b""), Reply(NO_SUCH_FILE, b""), CREATED][
            : len(requests)
        ]

    def close(self) -> None:
        self._cut.set()


class FakeServer:
    def __init__(self) -> None:
        self.wires: list[FakeWire] = []
        self.problems: list[Exception | int | None] = []
        self.refusal: PenstockError | None = None
        self.barrier = threading.Barrier(1)
        self.is_silent = False

    def connect(self) -> FakeWire:
        if self.refusal is not None:
            raise self.refusal
        self.wires.append(FakeWire(self))
        return self.wires[-1]


@pytest.fixture
def server() -> FakeServer:
    return FakeServer()


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
async def share(server: FakeServer, clock: HandClock) -> AsyncGenerator[SmbShare]:
    share = SmbShare(
        server.connect, root="", connections=4, gate=LogonGate(clock=clock), clock=clock
    )
    yield share
    await share.close()


async def test_no_connection_is_ever_used_by_two_calls_at_a_time(
    share: SmbShare, server: FakeServer
) -> None:
    server.barrier = threading.Barrier(4)  # all four at once, or the test never ends
    await asyncio.gather(*(share.list_directory("d") for _ in range(40)))
    assert len(server.wires) == 4
    assert [wire.most_at_once for wire in server.wires] == [1, 1, 1, 1]


@pytest.mark.covers("S1-02")
async def test_a_connection_is_used_again(share: SmbShare, server: FakeServer) -> None:
    for _ in range(5):
        await share.list_directory("d")
    assert len(server.wires) == 1


async def test_a_connection_that_died_is_replaced_and_the_call_repeated(
    share: SmbShare, server: FakeServer
) -> None:
    await share.list_directory("d")
    server.problems = [ConnectionLostError()]
    assert await share.list_directory("d") == []
    assert [wire.is_closed for wire in server.wires] == [True, False]


async def test_a_call_is_repeated_once_and_only_on_a_used_connection(
    share: SmbShare, server: FakeServer
) -> None:
    server.problems = [ConnectionLostError()]
    with pytest.raises(ConnectionLostError):
        await share.list_directory("d")
    assert len(server.wires) == 1
    await share.list_directory("d")
    server.problems = [ConnectionLostError(), ConnectionLostError()]
    with pytest.raises(ConnectionLostError):
        await share.list_directory("d")
    assert len(server.wires) == 3


@pytest.mark.parametrize(
    "problem",
    [ShareUnavailableError(), MalformedReplyError(), ZeroDivisionError()],
    ids=["time-out", "nonsense", "bug"],
)
async def test_a_connection_in_doubt_is_dropped_and_the_call_not_repeated(
    share: SmbShare, server: FakeServer, problem: Exception
) -> None:
    await share.list_directory("d")
    server.problems = [problem]
    with pytest.raises((ShareUnavailableError, ZeroDivisionError)):
        await share.list_directory("d")
    assert [wire.is_closed for wire in server.wires] == [True]


async def test_a_refused_operation_keeps_the_connection(
    share: SmbShare, server: FakeServer
) -> None:
    server.problems = [NOT_FOUND, 0xC0000043]
    with pytest.raises(ShareNotFoundError):
        await share.list_directory("d")
    with pytest.raises(ShareBusyError):
        await share.list_directory("d")
    await share.list_directory("d")
    assert [wire.is_closed for wire in server.wires] == [False]


async def test_a_connection_that_rested_for_long_is_replaced_before_use(
    share: SmbShare, server: FakeServer, clock: HandClock
) -> None:
    await share.list_directory("d")
    clock.seconds += MAX_IDLE_SECONDS
    await share.list_directory("d")
    assert len(server.wires) == 1
    clock.seconds += MAX_IDLE_SECONDS + 1
    await share.list_directory("d")
    assert [wire.is_closed for wire in server.wires] == [True, False]


async def test_a_refused_logon_is_not_tried_again_by_the_other_threads(
    share: SmbShare, server: FakeServer
) -> None:
    server.refusal = ShareLogonError()
    results = await asyncio.gather(
        *(share.list_directory("d") for _ in range(20)), return_exceptions=True
    )
    assert [type(result) for result in results] == [ShareLogonError] * 20
    assert [result for result in results if result is server.refusal] == [server.refusal]


async def test_nothing_is_missing_where_the_base_folder_is_missing(
    server: FakeServer, clock: HandClock
) -> None:
    share = SmbShare(server.connect, root="base", connections=1, gate=LogonGate(), clock=clock)
    server.problems = [NOT_FOUND, NOT_FOUND]
    with pytest.raises(ShareUnavailableError, match="base folder"):
        await share.stat("d/a.xml")
    server.problems = [NOT_FOUND, None, None]
    with pytest.raises(ShareNotFoundError):
        await share.stat("d/a.xml")
    await share.close()


async def test_the_first_connection_is_announced_once_and_without_address(
    share: SmbShare, server: FakeServer
) -> None:
    with capture_logs() as lines:
        await share.describe()
        server.problems = [ConnectionLostError()]
        await share.list_directory("d")
    assert [line["event"] for line in lines] == ["share_connected"]
    assert lines[0]["dialect"] == "3.1.1"
    assert lines[0]["verifies_signatures"] is True


async def test_closing_cuts_every_connection_and_ends_waiting_calls(
    share: SmbShare, server: FakeServer
) -> None:
    server.is_silent = True
    calls = asyncio.gather(*(share.list_directory("d") for _ in range(20)), return_exceptions=True)
    await asyncio.sleep(0)
    await share.close()
    assert all(isinstance(found, ShareUnavailableError) for found in await calls)
    assert all(wire.is_closed for wire in server.wires)
