"""The two S3 clients behind the blob port, against the same real server, in interleaved rounds.

Baseline: aioboto3, which the user named. Two ratios per operation: elapsed time, and processor time
of this process. On a small machine the server takes most of the elapsed time, the same for both;
the processor time is what a client costs the service that uses it.
"""

import asyncio
import itertools
import statistics
import time
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import uvloop

from chassis.blobs.aioboto3 import Aioboto3Blobs
from chassis.blobs.obstore import ObstoreBlobs
from chassis.blobs.port import BlobStore
from chassis.settings import BlobSettings
from penstock.stack import PartName, Stack, read_settings
from tests.benchmarks.report import Result, median_ratio
from tests.support.addresses import S3Address

ROUNDS = 5
SMALL = b"s" * (64 * 1024)
LARGE = b"l" * (16 * 1024 * 1024)
SMALL_CALLS, SMALL_AT_ONCE = 320, 16
LARGE_CALLS, LARGE_AT_ONCE = 6, 2

Call = Callable[[BlobStore, str], Awaitable[object]]


@dataclass(slots=True)
class Times:
    """Seconds per round."""

    elapsed: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """What is measured, and what the default client must reach."""

    name: str
    call: Call
    calls: int
    at_once: int
    elapsed_target: float
    processor_target: float


async def _put_small(store: BlobStore, key: str) -> object:
    return await store.put_if_absent(key, SMALL)


async def _put_large(store: BlobStore, key: str) -> object:
    return await store.put_if_absent(key, LARGE)


async def _get(store: BlobStore, key: str) -> object:
    return await store.get(key)


OPERATIONS = (
    Operation(
        name="64 KiB put, 16 at once",
        call=_put_small,
        calls=SMALL_CALLS,
        at_once=SMALL_AT_ONCE,
        elapsed_target=1.0,
        processor_target=0.5,
    ),
    Operation(
        name="64 KiB get, 16 at once",
        call=_get,
        calls=SMALL_CALLS,
        at_once=SMALL_AT_ONCE,
        elapsed_target=0.9,
        processor_target=0.5,
    ),
    Operation(
        name="16 MiB put, 2 at once",
        call=_put_large,
        calls=LARGE_CALLS,
        at_once=LARGE_AT_ONCE,
        elapsed_target=1.05,
        processor_target=1.0,
    ),
)


def main() -> list[Result]:
    """Start the server, measure, and return the ratios."""
    with ExitStack() as until:
        folder = until.enter_context(TemporaryDirectory(prefix="penstock-bench-"))
        stack = Stack(settings=read_settings().in_folder(Path(folder)), fast=True)
        until.callback(stack.down)
        running = stack.up([PartName.S3], tied=True)
        address = S3Address.from_env(dict(running.env))
        return uvloop.run(_measure(BlobSettings.model_validate(address.env)))


async def _measure(settings: BlobSettings) -> list[Result]:
    stores: dict[str, BlobStore] = {
        "aioboto3": Aioboto3Blobs(settings),
        "obstore": ObstoreBlobs(settings),
    }
    await stores["obstore"].put("read", SMALL)
    names = itertools.count()
    results: list[Result] = []
    for operation in OPERATIONS:
        times = {client: Times() for client in stores}
        for number in range(ROUNDS + 1):
            # Each goes first every other time; round 0 warms up server, connections and caches.
            for client in sorted(stores, reverse=bool(number % 2)):
                key = "read" if operation.call is _get else f"put/{next(names)}"
                spent = await _round(stores[client], operation, key)
                if number:
                    times[client].elapsed.append(spent[0])
                    times[client].processor.append(spent[1])
        results += _results(operation, times)
    for store in stores.values():
        await store.close()
    return results


async def _round(store: BlobStore, operation: Operation, key: str) -> tuple[float, float]:
    """Make the calls of a round; return elapsed and processor seconds."""
    numbers = iter(range(operation.calls))

    async def work() -> None:
        for number in numbers:
            await operation.call(store, key if operation.call is _get else f"{key}/{number}")

    started, used = time.perf_counter(), time.process_time()
    async with asyncio.TaskGroup() as group:
        for _ in range(operation.at_once):
            group.create_task(work())
    return time.perf_counter() - started, time.process_time() - used


def _results(operation: Operation, times: dict[str, Times]) -> list[Result]:
    ours, theirs = times["obstore"], times["aioboto3"]
    rates = ", ".join(
        f"{client} {operation.calls / statistics.median(item.elapsed):.0f}/s, "
        f"{1000 * statistics.median(item.processor) / operation.calls:.2f} ms of processor a call"
        for client, item in times.items()
    )
    return [
        Result(
            name=f"blobs: {operation.name}, elapsed",
            baseline="aioboto3",
            ratio=median_ratio(ours.elapsed, theirs.elapsed),
            target=operation.elapsed_target,
            better="lower",
            detail=rates,
        ),
        Result(
            name=f"blobs: {operation.name}, processor",
            baseline="aioboto3",
            ratio=median_ratio(ours.processor, theirs.processor),
            target=operation.processor_target,
            better="lower",
        ),
    ]
