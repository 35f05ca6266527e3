"""Scans of a share that has not changed, one millisecond away: the scanner against sequential
pysmb.

Baseline: one connection of pysmb, `listPath` folder by folder, logged on before, and nothing done
with what it lists. Ours: the scan job from taking up the share to the record of the finished scan,
on a real database that knows the tree and with connections that earlier scans left open, as in the
service; as a full pass, and as the fast pass that leaves out leaves whose time has not moved. Same
server, same tree, same proxy; rounds interleaved, of the short fast passes several a round. Nothing
may be announced, and what each pass lists is counted.
"""

import asyncio
import contextlib
import statistics
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import uvloop

from chassis.clock import SystemClock
from chassis.migrations import migrate
from chassis.process import calm_garbage_collection
from chassis.settings import NasSettings
from chassis.shares.open import open_share
from chassis.sources import ShareConfig
from penstock.stack import PartName, Stack, read_settings
from scanner.adapters.kept_shares import KeptShares
from scanner.domain.institutions import InstitutionDirectory
from scanner.settings.scan import ScanConfig
from tests.benchmarks.distant_share import (
    FILES,
    FOLDERS,
    INNER_FOLDERS,
    LEAVES,
    distant_share,
    list_sequentially,
    round_trip,
    span,
)
from tests.benchmarks.report import Result, median_ratio
from tests.integration.scanner.harness import Harness, Tree
from tests.support.clocks import HandClock
from tests.support.hub import open_database

ROUNDS = 5
SCHEDULE_SECONDS = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Pass:
    """One kind of scan, and what is expected of it."""

    mode: str
    listings: int
    target: float
    repeats: int
    """Per round; the median counts."""


PASSES = (
    Pass(mode="full", listings=FOLDERS, target=0.20, repeats=1),
    Pass(mode="fast", listings=INNER_FOLDERS, target=0.03, repeats=5),
)


def main() -> list[Result]:
    """Start the servers, lay out the tree, scan it once, measure, and return the ratios."""
    with TemporaryDirectory(prefix="penstock-bench-") as folder, distant_share() as nas:
        stack = Stack(settings=read_settings().in_folder(Path(folder)), fast=True)
        running = stack.up([PartName.POSTGRES], tied=True)
        try:
            return uvloop.run(_measure(nas, running.env["DATABASE_URL"]))
        finally:
            stack.down()


async def _measure(nas: NasSettings, database_url: str) -> list[Result]:
    calm_garbage_collection()
    await migrate(database_url, owners=("chassis", "scanner"))
    async with _scanner(nas, database_url) as scanner:
        first = await scanner.scan("full")
        assert first.counts.new == LEAVES * FILES, f"{first.counts.new} files were announced"
        for kind in PASSES:
            await _scan(scanner, kind)
        ours: dict[str, list[float]] = {kind.mode: [] for kind in PASSES}
        sequential: list[float] = []
        for _ in range(ROUNDS):
            for kind in PASSES:
                times = [await _scan(scanner, kind) for _ in range(kind.repeats)]
                ours[kind.mode].append(statistics.median(times))
            sequential.append(await asyncio.to_thread(list_sequentially, nas))
    trip = await asyncio.to_thread(round_trip, nas)
    return [_result(kind, ours[kind.mode], sequential, trip=trip) for kind in PASSES]


@contextlib.asynccontextmanager
async def _scanner(nas: NasSettings, database_url: str) -> AsyncGenerator[Harness]:
    """Open a scanner of the share; its clock starts when the tree has come to rest."""
    clock = HandClock(SystemClock().now())
    clock.advance(SCHEDULE_SECONDS)
    config = ShareConfig(kind="smb")
    shares = KeptShares(lambda config: open_share(config, nas))
    database = await open_database(database_url, "scanner")
    try:
        yield Harness(
            database=database,
            tree=Tree(Path("unset")),
            clock=clock,
            scan_config=ScanConfig(),
            institutions=InstitutionDirectory(),
            workers=config.connections,
            connect=lambda: shares.open(config),
        )
    finally:
        await shares.close()
        await database.close()


async def _scan(scanner: Harness, kind: Pass) -> float:
    """Scan as the schedule does; return the seconds that the job took."""
    scanner.clock.advance(SCHEDULE_SECONDS)
    async with scanner.claimed({"mode": kind.mode}) as context:
        job = scanner.job()
        started = time.perf_counter()
        counts = await job(context)
        seconds = time.perf_counter() - started
    listed = len(scanner.shares.pop().listed)
    assert listed == kind.listings, f"{listed} listings instead of {kind.listings}"
    assert not await scanner.take_events(), counts
    return seconds


def _result(kind: Pass, ours: list[float], sequential: list[float], *, trip: float) -> Result:
    return Result(
        name=f"{kind.mode} scan of an unchanged tree at 1 ms, time",
        baseline="sequential pysmb listPath",
        ratio=median_ratio(ours, sequential),
        target=kind.target,
        better="lower",
        detail=(
            f"{kind.listings} of {FOLDERS} folders listed, {LEAVES * FILES} files known, "
            f"{ROUNDS} rounds, round trip {trip * 1000:.2f} ms, "
            f"ours {span(ours)}, sequential {span(sequential)}"
        ),
    )
