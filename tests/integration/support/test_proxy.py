"""The fault proxy does what the chaos tests rely on, against a plain echo server."""

import contextlib
import socket
import threading
import time
from collections.abc import Generator

import pytest

from tests.support.eventually import wait_until
from tests.support.proxy import FaultProxy


@pytest.fixture
def echo_port() -> Generator[int]:
    listener = socket.create_server(("127.0.0.1", 0))

    def echo(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            while data := connection.recv(65_536):
                connection.sendall(data)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                threading.Thread(target=echo, args=(connection,), daemon=True).start()

    acceptor = threading.Thread(target=accept, daemon=True)
    acceptor.start()
    yield listener.getsockname()[1]
    with contextlib.suppress(OSError):
        listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    acceptor.join()


@pytest.fixture
def proxy(echo_port: int) -> Generator[FaultProxy]:
    with FaultProxy("127.0.0.1", echo_port) as proxy:
        yield proxy


def _connect(proxy: FaultProxy) -> socket.socket:
    return socket.create_connection((proxy.host, proxy.port), timeout=5)


def _ask(connection: socket.socket, question: bytes = b"ping") -> bytes:
    connection.sendall(question)
    answer = b""
    while len(answer) < len(question) and (data := connection.recv(65_536)):
        answer += data
    return answer


def test_it_forwards_when_nothing_is_wrong(proxy: FaultProxy) -> None:
    question = bytes(range(256)) * 4096
    with _connect(proxy) as connection:
        sender = threading.Thread(target=connection.sendall, args=(question,))
        sender.start()
        answer = b""
        while len(answer) < len(question):
            answer += connection.recv(65_536)
        sender.join()
        assert answer == question
        assert proxy.connections == 1
    wait_until(lambda: proxy.connections == 0)
    assert proxy.accepted == 1


def test_latency_is_added_in_both_directions(proxy: FaultProxy) -> None:
    with _connect(proxy) as connection:
        assert _ask(connection) == b"ping"
        proxy.slow_down(0.05)
        began = time.monotonic()
        assert _ask(connection) == b"ping"
        assert time.monotonic() - began >= 0.1


def test_latency_does_not_limit_throughput(proxy: FaultProxy) -> None:
    proxy.slow_down(0.05)
    with _connect(proxy) as connection:
        sender = threading.Thread(target=connection.sendall, args=(b"x" * 4_000_000,))
        began = time.monotonic()
        sender.start()
        received = 0
        while received < 4_000_000:
            received += len(connection.recv(65_536))
        sender.join()
    # One chunk of 64 KiB per delay would take 3 seconds in each direction.
    assert time.monotonic() - began < 2


def test_a_black_hole_delivers_nothing_until_restored(proxy: FaultProxy) -> None:
    with _connect(proxy) as connection:
        assert _ask(connection) == b"ping"
        proxy.black_hole()
        connection.sendall(b"lost?")
        connection.settimeout(0.2)
        with pytest.raises(TimeoutError):
            connection.recv(5)
        proxy.restore()
        connection.settimeout(5)
        assert connection.recv(5) == b"lost?"


def test_a_cut_passes_exactly_the_bytes_it_was_given(proxy: FaultProxy) -> None:
    with _connect(proxy) as connection:
        proxy.cut_after(10)
        assert _ask(connection, b"0123456789abcdef") == b"0123456789"
        assert connection.recv(1) == b""
    proxy.restore()
    with _connect(proxy) as connection:
        assert _ask(connection) == b"ping"


def test_a_reset_is_seen_as_a_reset(proxy: FaultProxy) -> None:
    with _connect(proxy) as connection:
        assert _ask(connection) == b"ping"
        proxy.reset()
        with pytest.raises(ConnectionResetError):
            connection.recv(1)
    with _connect(proxy) as connection:
        assert _ask(connection) == b"ping"


def test_refused_connections_come_back_on_the_same_port(proxy: FaultProxy) -> None:
    port = proxy.port
    proxy.refuse()
    with pytest.raises(ConnectionRefusedError):
        _connect(proxy)
    proxy.restore()
    assert proxy.port == port
    with _connect(proxy) as connection:
        assert _ask(connection) == b"ping"


def test_a_dead_server_ends_the_connection() -> None:
    with FaultProxy("127.0.0.1", 1) as proxy, _connect(proxy) as connection:
        answer = b""
        with contextlib.suppress(ConnectionResetError):
            answer = connection.recv(1)
        assert answer == b""
