"""What a share does when the network, the server or the password is bad: an error in time, never a
short answer, and never a second guess at a password.
"""

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import AsyncGenerator, Callable, Generator
from typing import Protocol

import pytest
import smbclient

from chassis.settings import NasSettings
from chassis.shares.logon_gate import LogonGate
from chassis.shares.port import (
    Share,
    ShareBusyError,
    ShareLogonError,
    ShareUnavailableError,
)
from chassis.shares.pysmb import PysmbShare
from chassis.shares.smbprotocol import SmbprotocolShare
from tests.support.eventually import eventually
from tests.support.proxy import FaultProxy
from tests.support.samba import PASSWORD, SHARE, USER, Samba

NAMES = [f"TICKER-US_Q1_2024_E1_{number:03}.xml" for number in range(300)]
TIMEOUT_SECONDS = 2.0


class OpenShare(Protocol):
    def __call__(
        self, *, port: int | None = None, password: str = PASSWORD, gate: LogonGate | None = None
    ) -> Share: ...


@pytest.fixture(scope="module")
def samba() -> Generator[Samba]:
    server = Samba()
    folder = server.folder / "d"
    folder.mkdir()
    server.own(folder)
    for name in NAMES:
        (folder / name).write_bytes(name.encode())
    (server.folder / "large.xml").write_bytes(b"x" * 3_000_000)
    server.start()
    yield server
    server.remove()


@pytest.fixture(params=["pysmb", "smbprotocol"])
async def open_share(request: pytest.FixtureRequest, samba: Samba) -> AsyncGenerator[OpenShare]:
    backends: dict[str, Callable[..., Share]] = {
        "pysmb": PysmbShare,
        "smbprotocol": SmbprotocolShare,
    }
    backend = backends[request.param]
    opened: list[Share] = []

    def connect(
        *, port: int | None = None, password: str = PASSWORD, gate: LogonGate | None = None
    ) -> Share:
        nas: NasSettings = samba.settings(port=port, password=password)
        share = backend(nas, timeout_seconds=TIMEOUT_SECONDS, gate=gate)
        opened.append(share)
        return share

    yield connect
    for share in opened:
        await share.close()


@pytest.fixture
def proxy(samba: Samba) -> Generator[FaultProxy]:
    with FaultProxy("127.0.0.1", samba.port) as proxy:
        yield proxy


async def names(share: Share, path: str = "d") -> list[str]:
    return sorted(entry.name for entry in await share.list_directory(path))


# --- passwords -------------------------------------------------------------------------------
@pytest.mark.covers("S1-01")
async def test_a_wrong_password_is_tried_once_by_all_connections_together(
    samba: Samba, open_share: OpenShare
) -> None:
    before = samba.refused_logons()
    share = open_share(password="wrong")
    results = await asyncio.gather(
        *(share.list_directory("d") for _ in range(16)), return_exceptions=True
    )
    assert [type(result) for result in results] == [ShareLogonError] * 16
    waits = [result.retry_after for result in results if isinstance(result, ShareLogonError)]
    assert all(wait is not None and 290 < wait <= 300 for wait in waits)
    await eventually(lambda: samba.refused_logons() > before)
    assert samba.refused_logons() == before + 1


async def test_a_wrong_password_is_tried_once_per_back_off_step(
    samba: Samba, open_share: OpenShare
) -> None:
    before = samba.refused_logons()
    share = open_share(password="wrong", gate=LogonGate(refused_seconds=0.5))
    started = time.monotonic()
    while time.monotonic() < started + 2.0:
        with pytest.raises(ShareLogonError):
            await share.list_directory("d")
        await asyncio.sleep(0.01)
    # Rests of 0.5, 1 and 2 seconds: attempts at 0, 0.5 and 1.5, or later on a slow machine.
    assert samba.refused_logons() - before in (2, 3)


async def test_sources_with_one_account_share_the_gate(samba: Samba, open_share: OpenShare) -> None:
    before = samba.refused_logons()
    gate = LogonGate()
    for share in (open_share(password="wrong", gate=gate), open_share(password="bad", gate=gate)):
        with pytest.raises(ShareLogonError):
            await share.describe()
    await eventually(lambda: samba.refused_logons() > before)
    assert samba.refused_logons() == before + 1


async def test_a_good_password_after_the_rest_is_let_in(open_share: OpenShare) -> None:
    gate = LogonGate(refused_seconds=1.0)
    with pytest.raises(ShareLogonError):
        await open_share(password="wrong", gate=gate).describe()
    share = open_share(gate=gate)
    with pytest.raises(ShareLogonError):
        await share.describe()
    await asyncio.sleep(1.05)
    assert await names(share) == NAMES


# --- networks --------------------------------------------------------------------------------
async def test_a_listing_that_is_cut_is_an_error_and_never_shorter(
    proxy: FaultProxy, open_share: OpenShare
) -> None:
    outcomes: set[str] = set()
    for answer_bytes in (*range(60, 1_600, 190), *range(1_600, 62_000, 2_900)):
        share = open_share(port=proxy.port)
        proxy.cut_after(answer_bytes)
        try:
            assert await names(share) == NAMES
            outcomes.add("complete")
        except ShareUnavailableError:
            outcomes.add("error")
        proxy.restore()
        await share.close()
    assert outcomes == {"complete", "error"}


async def test_a_connection_that_died_in_between_is_replaced(
    proxy: FaultProxy, open_share: OpenShare
) -> None:
    share = open_share(port=proxy.port)
    assert await names(share) == NAMES
    proxy.reset()
    assert await names(share) == NAMES
    assert proxy.accepted == 2


async def test_a_silent_server_ends_every_call_in_time(
    proxy: FaultProxy, open_share: OpenShare
) -> None:
    share = open_share(port=proxy.port)
    assert await names(share) == NAMES
    proxy.black_hole()
    started = time.monotonic()
    results = await asyncio.gather(
        share.list_directory("d"),
        share.read_file("large.xml", max_bytes=1 << 30),
        share.write_file("new.xml", b"x" * 1_000_000),
        share.stat("large.xml"),
        return_exceptions=True,
    )
    assert [type(result) for result in results] == [ShareUnavailableError] * 4
    assert time.monotonic() - started < 3 * TIMEOUT_SECONDS
    proxy.restore()
    assert await eventually(lambda: _listed(share)) == NAMES


async def test_a_read_that_is_cut_is_an_error(proxy: FaultProxy, open_share: OpenShare) -> None:
    share = open_share(port=proxy.port)
    await share.describe()
    proxy.cut_after(1_000_000)
    with pytest.raises(ShareUnavailableError):
        await share.read_file("large.xml", max_bytes=1 << 30)


async def test_an_unreachable_server_is_tried_with_back_off(
    proxy: FaultProxy, open_share: OpenShare
) -> None:
    share = open_share(port=proxy.port)
    proxy.refuse()
    started = time.monotonic()
    waits: list[float] = []
    for _ in range(200):
        with pytest.raises(ShareUnavailableError) as refused:
            await share.list_directory("d")
        waits.append(refused.value.retry_after or 0.0)
    assert time.monotonic() - started < 2 * TIMEOUT_SECONDS
    assert min(waits) > 0.0
    proxy.restore()
    assert await eventually(lambda: _listed(share)) == NAMES


async def test_closing_ends_the_calls_under_way(proxy: FaultProxy, open_share: OpenShare) -> None:
    share = open_share(port=proxy.port)
    await share.describe()
    proxy.black_hole()
    calls = [
        asyncio.ensure_future(share.list_directory("d"))  # noqa: TID251
        for _ in range(20)
    ]
    await asyncio.sleep(0.1)
    await share.close()
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert {type(result) for result in results} <= {ShareUnavailableError} | set(
        ShareUnavailableError.__subclasses__()
    )
    assert len(results) == 20


async def test_what_answers_but_is_no_file_server_is_unavailable(open_share: OpenShare) -> None:
    with _banner_server(b"HTTP/1.1 400 Bad Request\r\n\r\n") as port:
        with pytest.raises(ShareUnavailableError) as refused:
            await open_share(port=port).describe()
        assert "127.0.0.1" not in str(refused.value)


# --- servers ---------------------------------------------------------------------------------
async def test_a_server_that_was_killed_is_used_again_when_it_is_back(
    open_share: OpenShare, samba: Samba
) -> None:
    share = open_share()
    assert await names(share) == NAMES
    samba.kill()
    try:
        with pytest.raises(ShareUnavailableError):
            await share.list_directory("d")
    finally:
        samba.start()
    assert await eventually(lambda: _listed(share)) == NAMES


async def test_a_file_that_a_writer_holds_is_busy(samba: Samba, open_share: OpenShare) -> None:
    share = open_share()
    with _held_open(samba, "held.xml"), pytest.raises(ShareBusyError):
        await share.read_file("held.xml", max_bytes=10)
    assert (await share.read_file("held.xml", max_bytes=10)).data == b"theirs"


@pytest.mark.covers("S1-01")
async def test_the_client_machine_name_reaches_the_server(
    samba: Samba, open_share: OpenShare
) -> None:
    await open_share().describe()
    await eventually(lambda: "workstation [TESTCLIENT]" in samba.log())


async def _listed(share: Share) -> list[str] | None:
    with contextlib.suppress(ShareUnavailableError):
        return await names(share)
    return None


@contextlib.contextmanager
def _held_open(samba: Samba, name: str) -> Generator[None]:
    connections: dict[str, object] = {}
    with smbclient.open_file(
        rf"\\127.0.0.1\{SHARE}\{name}",
        mode="wb",
        share_access=None,
        port=samba.port,
        username=USER,
        password=PASSWORD,
        connection_cache=connections,
    ) as file:
        file.write(b"theirs")
        file.flush()
        yield
    smbclient.reset_connection_cache(connection_cache=connections)


@contextlib.contextmanager
def _banner_server(banner: bytes) -> Generator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        stop = threading.Event()
        listener.settimeout(0.05)

        def serve() -> None:
            while not stop.is_set():
                with contextlib.suppress(TimeoutError):
                    connection, _ = listener.accept()
                    connection.sendall(banner)
                    connection.close()

        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        stop.set()
        thread.join()
