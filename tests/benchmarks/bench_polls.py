"""Polls of a source with many records: what it costs to find that few, or none, have changed.

Baseline: the first full poll of the same source, which announces every record, with hashes, rows
and events written. Ours, on the inventory that it leaves: a full poll in which one record in a
hundred has changed, and a poll by timestamp that is told these alone. Same database, same records,
told from memory, so that the source's own speed is not in it.
"""

import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import uvloop

from chassis.migrations import migrate
from chassis.process import calm_garbage_collection
from penstock.stack import PartName, Stack, read_settings
from tests.benchmarks.report import Result
from tests.integration.scanner.record_harness import RecordHarness
from tests.support.hub import open_database
from tests.support.record_sources import ScriptedSource

RECORDS = 100_000
CHANGED = RECORDS // 100
PAGE = 5000

FULL_TARGET = 0.50
SINCE_TARGET = 0.05
"""Of the first poll's time: the cost of an incremental poll follows what changed."""


def main() -> list[Result]:
    """Start a database, poll three ways, and return the ratios."""
    with TemporaryDirectory(prefix="penstock-bench-") as folder:
        stack = Stack(settings=read_settings().in_folder(Path(folder)), fast=True)
        running = stack.up([PartName.POSTGRES], tied=True)
        try:
            return uvloop.run(_measure(running.env["DATABASE_URL"]))
        finally:
            stack.down()


async def _measure(database_url: str) -> list[Result]:
    calm_garbage_collection()
    await migrate(database_url, owners=("chassis", "scanner"))
    database = await open_database(database_url, "scanner")
    try:
        harness = RecordHarness(database, scan={"detection": {"by": "timestamp"}})
        _fill(harness.scripted)
        first = await _timed(harness, "auto", announced=RECORDS)
        _change(harness.scripted, 1)
        since = await _timed(harness, "fast", announced=CHANGED)
        _change(harness.scripted, 2)
        full = await _timed(harness, "full", announced=CHANGED)
    finally:
        await database.close()
    detail = (
        f"{RECORDS} records, {CHANGED} changed; first {first:.1f} s, full {full:.2f} s, "
        f"since {since:.2f} s"
    )
    return [
        _result("a full poll that finds 1 % changed", full / first, FULL_TARGET, detail),
        _result("a poll by timestamp that is told 1 %", since / first, SINCE_TARGET, detail),
    ]


def _fill(source: ScriptedSource) -> None:
    source.since, source.page_size = True, PAGE
    source.high_water = "2026-03-01T12:00:00Z"
    source.rows = {f"p{number:07d}": _person(number) for number in range(RECORDS)}
    changed = [f"p{number:07d}" for number in range(0, RECORDS, RECORDS // CHANGED)]
    source.changed_since = lambda _: changed


def _person(number: int) -> dict[str, Any]:
    name = f"p{number:07d}"
    return {
        "id": name,
        "FirstName": f"First {number}",
        "LastName": f"Last {number % 997}",
        "PrimaryEmail": f"{name}@example.org",
        "DefaultAccountID": number % 300,
        "Title": "Research Area Specialist",
        "IsActive": True,
        "GroupIDs": [number % 7, number % 11],
    }


def _change(source: ScriptedSource, version: int) -> None:
    for number in range(0, RECORDS, RECORDS // CHANGED):
        source.rows[f"p{number:07d}"]["Title"] = f"Version {version}"


async def _timed(harness: RecordHarness, mode: str, *, announced: int) -> float:
    async with harness.claimed({"mode": mode}) as context:
        begin = time.perf_counter()
        counts = await harness.job()(context)
        seconds = time.perf_counter() - begin
    assert counts.new + counts.changed == announced, counts
    await harness.fetch("delete from meta.outbox")
    harness.clock.advance(60)
    return seconds


def _result(name: str, ratio: float, target: float, detail: str) -> Result:
    return Result(
        name=name,
        baseline="the first poll, which announces everything",
        ratio=ratio,
        target=target,
        better="lower",
        detail=detail,
    )
