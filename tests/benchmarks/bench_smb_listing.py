"""A full listing of a tree over SMB, one millisecond away: the share against sequential pysmb.

Baseline: one connection of pysmb, `listPath` folder by folder. Ours: `PysmbShare` with four
connections, folders listed as they are found; its log-ons are part of the time. Same server, same
tree, same proxy; rounds interleaved; both must see every entry. The round trip that came out is
measured and told. Server, proxies and client share this machine, which is why four connections do
better here than the eight that a source has by default.
"""

import asyncio
import time

import uvloop

from chassis.settings import NasSettings
from chassis.shares.port import Share
from chassis.shares.pysmb import PysmbShare
from tests.benchmarks.distant_share import (
    ENTRIES,
    FOLDERS,
    distant_share,
    list_sequentially,
    round_trip,
    span,
)
from tests.benchmarks.report import Result, median_ratio

ROUNDS = 5
CONNECTIONS = 4


def main() -> list[Result]:
    """Start the server, lay out the tree, measure, and return the ratio."""
    with distant_share() as nas:
        return [_measure(nas)]


def _measure(nas: NasSettings) -> Result:
    ours: list[float] = []
    sequential: list[float] = []
    for number in range(ROUNDS):
        measures = [(_ours, ours), (list_sequentially, sequential)]
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
            f"round trip {round_trip(nas) * 1000:.2f} ms, "
            f"ours {span(ours)}, sequential {span(sequential)}"
        ),
    )


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
