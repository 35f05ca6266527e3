"""A full listing of a tree over SMB, one millisecond away: the share against sequential pysmb.

Baseline: one connection of pysmb, `listPath` folder by folder, as the synchronisation did that
Penstock replaces. Ours: `PysmbShare` with four connections, folders listed as they are found; its
log-ons are part of the time. Same server, same tree, same proxy; rounds interleaved; both must see
every entry. The proxy holds every chunk back for half a millisecond in each direction, in a process
of its own per connection, and the round trip that came out is measured and told. Server, proxies
and client share this machine, which is why four connections do better here than the eight that a
source has by default.
"""

import asyncio
import multiprocessing
import os
import signal
import socket
import statistics
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager

import uvloop
from smb.SMBConnection import SMBConnection

from chassis.settings import NasSettings
from chassis.shares.port import Share
from chassis.shares.pysmb import PysmbShare
from tests.benchmarks.report import Result, median_ratio
from tests.support.samba import Samba

ONE_WAY_SECONDS = 0.0005
ROUNDS = 5
CONNECTIONS = 4
YEARS, QUARTERS, TYPES, COMPANIES, FILES = 5, 4, 5, 10, 5
LEAVES = YEARS * QUARTERS * TYPES * COMPANIES
FOLDERS = LEAVES + YEARS * QUARTERS * TYPES + YEARS * QUARTERS + YEARS + 1
ENTRIES = LEAVES * FILES + FOLDERS - 1


def main() -> list[Result]:
    """Start the server, lay out the tree, measure, and return the ratio."""
    server = Samba()
    try:
        _lay_out(server)
        server.start()
        with _slow_line(server.port) as port:
            return [_measure(server.settings(port=port))]
    finally:
        server.remove()


def _lay_out(server: Samba) -> None:
    for number in range(LEAVES):
        rest, company = divmod(number, COMPANIES)
        rest, kind = divmod(rest, TYPES)
        year, quarter = divmod(rest, QUARTERS)
        leaf = server.folder / f"{2020 + year}/Q{quarter + 1}/Type{kind}/TICKER{company}-US"
        leaf.mkdir(parents=True)
        for file in range(FILES):
            (leaf / f"TICKER{company}-US_Q{quarter + 1}_{2020 + year}_E1_{file}.xml").touch()


def _measure(nas: NasSettings) -> Result:
    ours: list[float] = []
    sequential: list[float] = []
    for number in range(ROUNDS):
        measures = [(_ours, ours), (_sequential, sequential)]
        for measure, into in measures if number % 2 else reversed(measures):
            into.append(measure(nas))
    return Result(
        name="full SMB listing at 1 ms, time",
        baseline="sequential pysmb listPath",
        ratio=median_ratio(ours, sequential),
        target=0.20,
        better="lower",
        detail=(
            f"{FOLDERS} folders, {ENTRIES} entries, {ROUNDS} rounds, {CONNECTIONS} connections, "
            f"round trip {_round_trip(nas) * 1000:.2f} ms, "
            f"ours {_span(ours)} s, sequential {_span(sequential)} s"
        ),
    )


def _span(values: list[float]) -> str:
    return f"{min(values):.2f} to {max(values):.2f}"


# --- ours ------------------------------------------------------------------------------------
def _ours(nas: NasSettings) -> float:
    return uvloop.run(_list_in_parallel(nas))


async def _list_in_parallel(nas: NasSettings) -> float:
    share = PysmbShare(nas, connections=CONNECTIONS)
    started = time.perf_counter()
    found = await _count(share, "")
    seconds = time.perf_counter() - started
    await share.close()
    assert found == ENTRIES, f"{found} entries of {ENTRIES}"
    return seconds


async def _count(share: Share, path: str) -> int:
    entries = await share.list_directory(path)
    async with asyncio.TaskGroup() as below:
        tasks = [
            below.create_task(_count(share, f"{path}/{entry.name}" if path else entry.name))
            for entry in entries
            if entry.is_directory
        ]
    return len(entries) + sum(task.result() for task in tasks)


# --- the baseline ----------------------------------------------------------------------------
def _sequential(nas: NasSettings) -> float:
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


def _round_trip(nas: NasSettings) -> float:
    connection = _connected(nas)
    trips = []
    for _ in range(200):
        started = time.perf_counter()
        connection.echo(b"0")
        trips.append(time.perf_counter() - started)
    connection.close()
    return statistics.median(trips)


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
    return statistics.median(spans)


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
