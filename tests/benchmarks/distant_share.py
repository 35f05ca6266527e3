"""A share one millisecond away: the tree on it, the line to it, and how it used to be listed.

The proxy holds every chunk back for half a millisecond in each direction, in a process of its own
per connection. What the sequential walk does is what the synchronisation did that Penstock
replaces: the baseline of everything about listings.
"""

import multiprocessing
import os
import signal
import socket
import statistics
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager

from smb.SMBConnection import SMBConnection

from chassis.settings import NasSettings
from tests.support.samba import Samba

ONE_WAY_SECONDS = 0.0005
YEARS, QUARTERS, TYPES, COMPANIES, FILES = 5, 4, 5, 10, 5
LEAVES = YEARS * QUARTERS * TYPES * COMPANIES
INNER_FOLDERS = YEARS * QUARTERS * TYPES + YEARS * QUARTERS + YEARS + 1
FOLDERS = LEAVES + INNER_FOLDERS
ENTRIES = LEAVES * FILES + FOLDERS - 1


@contextmanager
def distant_share() -> Generator[NasSettings]:
    """Serve the tree at the end of a slow line; yields how to reach it."""
    server = Samba()
    try:
        _lay_out(server)
        server.start()
        with _slow_line(server.port) as port:
            yield server.settings(port=port)
    finally:
        server.remove()


def list_sequentially(nas: NasSettings) -> float:
    """List the tree folder by folder over one connection; return the seconds it took."""
    connection = _connected(nas)
    started = time.perf_counter()
    found, waiting = 0, [""]
    while waiting:
        path = waiting.pop()
        for entry in connection.listPath(nas.share_name, path):
            if entry.filename in (".", ".."):
                continue
            found += 1
            if entry.isDirectory:
                waiting.append(f"{path}/{entry.filename}")
    seconds = time.perf_counter() - started
    connection.close()
    assert found == ENTRIES, f"{found} entries of {ENTRIES}"
    return seconds


def round_trip(nas: NasSettings) -> float:
    """Measure the line; return seconds."""
    connection = _connected(nas)
    trips = []
    for _ in range(200):
        started = time.perf_counter()
        connection.echo(b"0")
        trips.append(time.perf_counter() - started)
    connection.close()
    return statistics.median(trips)


def span(seconds: list[float]) -> str:
    """Return the fastest and the slowest round."""
    return f"{min(seconds):.2f} to {max(seconds):.2f} s"


def _lay_out(server: Samba) -> None:
    for number in range(LEAVES):
        rest, company = divmod(number, COMPANIES)
        rest, kind = divmod(rest, TYPES)
        year, quarter = divmod(rest, QUARTERS)
        leaf = server.folder / f"{2020 + year}/Q{quarter + 1}/Type{kind}/TICKER{company}-US"
        leaf.mkdir(parents=True)
        for file in range(FILES):
            (leaf / f"TICKER{company}-US_Q{quarter + 1}_{2020 + year}_E1_{file}.xml").touch()


def _connected(nas: NasSettings) -> SMBConnection:
    connection = SMBConnection(
        nas.username,
        nas.password.get_secret_value(),
        nas.client_machine_name,
        nas.server_name,
        is_direct_tcp=True,
    )
    assert connection.connect(nas.server_ip, nas.port)
    return connection


# --- the line --------------------------------------------------------------------------------
@contextmanager
def _slow_line(port: int) -> Generator[int]:
    """Run a proxy that holds everything back for a while; the port to connect to."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        proxy = multiprocessing.Process(target=_accept, args=(listener, port), daemon=True)
        proxy.start()
        yield listener.getsockname()[1]
        proxy.terminate()
        proxy.join()


def _accept(listener: socket.socket, port: int) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    delay = max(0.0, ONE_WAY_SECONDS - _oversleeping())
    while True:
        client, _ = listener.accept()
        # Threads of one process would wait for each other: each connection has a process.
        if os.fork() == 0:
            listener.close()
            with client, socket.create_connection(("127.0.0.1", port)) as server:
                _forward_both_ways(client, server, delay)
            os._exit(0)
        client.close()


def _oversleeping() -> float:
    spans = []
    for _ in range(50):
        started = time.perf_counter()
        time.sleep(ONE_WAY_SECONDS)
        spans.append(time.perf_counter() - started - ONE_WAY_SECONDS)
    # The least: on a busy machine the line becomes slower than it says, never faster.
    return min(spans)


def _forward_both_ways(client: socket.socket, server: socket.socket, delay: float) -> None:
    answers = threading.Thread(target=_forward, args=(server, client, delay))
    answers.start()
    _forward(client, server, delay)
    answers.join()


def _forward(source: socket.socket, target: socket.socket, delay: float) -> None:
    target.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    while data := source.recv(1 << 18):
        time.sleep(delay)
        target.sendall(data)
    target.shutdown(socket.SHUT_RDWR)
