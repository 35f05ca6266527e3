"""PostgreSQL to Parquet: our copy against the wire's bound and against other tools.

Baseline: `psql COPY … (FORMAT binary) > /dev/null` of the same view in the same round. Every method
runs in a process of its own, in a new order each round, and the best round of each is compared:
what disturbs a run only ever makes it longer. Client and server share this machine's cores and a
loopback without limits; over the internet all methods move towards the bound.

The other tools are named in `wrds_rivals.py`. Smaller, to try it: `BENCH_WRDS_ROWS=100000
BENCH_WRDS_ROUNDS=1`.
"""

import asyncio
import contextlib
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import asyncpg

from penstock.stack import PartName, Stack, read_settings
from tests.benchmarks.report import Result
from tests.support.paths import PROJECT
from tests.support.wrds_server import WrdsServer

ROWS = 1_000_000
ROUNDS = 5
FLAT_TIMES = 4
MEMORY_MEGABYTES = 250.0

BOUND, OWN = "psql", "ours"
RIVALS = ("wrds", "db2pq", "duckdb", "connectorx", "adbc")
_TIMEOUT_SECONDS = 600


@dataclass(frozen=True, slots=True, kw_only=True)
class Took:
    """What one run of one method took."""

    seconds: float
    megabytes: float = 0.0


@dataclass(frozen=True, slots=True)
class Table:
    """A table to copy, and how near to the bound we want to be."""

    title: str
    name: str
    target: float
    rivals: tuple[str, ...] = ()


DAILY = Table("CRSP daily, 20 columns", "crsp.dsf", 1.35, RIVALS)
WIDE = Table("Compustat annual, 202 columns, 3 of 4 null", "comp.funda", 2.0, ("adbc",))
TEXTS = Table("long texts and JSON", "ciq.transcripts", 1.4, ("adbc",))


def main() -> list[Result]:
    """Fill a server, run all methods, and return the ratios."""
    with TemporaryDirectory(prefix="penstock-bench-") as name, _server(Path(name)) as url:
        rows = asyncio.run(_fill(url, _option("BENCH_WRDS_ROWS", ROWS)))
        results: list[Result] = []
        best: dict[Table, Mapping[str, Took]] = {}
        for table in (DAILY, WIDE, TEXTS):
            best[table] = _rounds(url, table, Path(name))
            results.append(_against_the_bound(table, best[table], rows[table.name]))
        results += _against_the_others(best[DAILY])
        results += [_memory(table, best[table]) for table in best]
        results.append(_flatness(url, Path(name), best[DAILY]))
    return results


def _option(name: str, default: int) -> int:
    return int(os.environ.get(name, default))  # noqa: TID251 - a script's option


@contextlib.contextmanager
def _server(folder: Path) -> Iterator[str]:
    stack = Stack(settings=read_settings().in_folder(folder / "stack"), fast=True)
    running = stack.up((PartName.POSTGRES,), tied=True)
    try:
        yield running.env["DATABASE_URL"]
    finally:
        running.stop()


async def _fill(url: str, rows: int) -> dict[str, int]:
    server = await WrdsServer.create(url)
    start = date(2020, 1, 1)
    securities = max(10, rows // 262)
    counts = {
        "crsp.dsf": await server.fill_daily(start, date(2020, 12, 31), securities=securities),
        "comp.funda": await server.fill_annual(
            date(2000, 12, 31), date(2019, 12, 31), companies=max(10, rows // 250)
        ),
        "ciq.transcripts": await server.fill_texts(
            start, start + timedelta(days=364), companies=max(10, rows // 1250)
        ),
    }
    await server.execute("vacuum analyze")
    await server.execute("checkpoint")
    return counts


# --- runs ------------------------------------------------------------------------------------
def _rounds(url: str, table: Table, folder: Path) -> dict[str, Took]:
    """Run every method once a round, in a new order; return the best time and the worst memory."""
    runs: defaultdict[str, list[Took]] = defaultdict(list)
    methods = [BOUND, OWN, *table.rivals]
    for _ in range(_option("BENCH_WRDS_ROUNDS", ROUNDS)):
        for method in random.sample(methods, len(methods)):
            runs[method].append(_run(method, url, table.name, folder))
    best = {
        method: Took(
            seconds=min(run.seconds for run in found),
            megabytes=max(run.megabytes for run in found),
        )
        for method, found in runs.items()
    }
    for method in methods:
        spread = max(run.seconds for run in runs[method]) / best[method].seconds
        ratio = best[method].seconds / best[BOUND].seconds
        sys.stdout.write(
            f"    {table.name:16} {method:11} {ratio:5.2f} of the bound, "
            f"+{best[method].megabytes:.0f} MB, spread {spread:.2f}\n"
        )
    sys.stdout.flush()
    return best


def _run(method: str, url: str, table: str, folder: Path) -> Took:
    if method == BOUND:
        return _run_psql(url, table)
    out = folder / "out"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    arguments = [url, *table.split("."), str(out)]
    if method == OWN:
        command = [sys.executable, "-m", "tests.benchmarks.wrds_own", *arguments]
    else:
        # An environment of their own; uv makes it once and keeps it.
        script = str(PROJECT / "tests/benchmarks/wrds_rivals.py")
        command = ["uv", "run", "--quiet", "--script", script, method, *arguments]
    done = subprocess.run(
        command,
        cwd=PROJECT,
        check=True,
        capture_output=True,
        timeout=_TIMEOUT_SECONDS,
        text=True,
    )
    took = json.loads(done.stdout.splitlines()[-1])
    return Took(seconds=took["seconds"], megabytes=took["megabytes"])


def _run_psql(url: str, table: str) -> Took:
    started = time.perf_counter()
    statement = f"copy (select * from {table}) to stdout (format binary)"
    with Path(os.devnull).open("wb") as sink:
        subprocess.run(
            ["psql", "--no-psqlrc", url, "-c", statement],
            stdout=sink,
            check=True,
            timeout=_TIMEOUT_SECONDS,
        )
    return Took(seconds=time.perf_counter() - started)


# --- results ---------------------------------------------------------------------------------
def _against_the_bound(table: Table, best: Mapping[str, Took], rows: int) -> Result:
    return Result(
        name=f"WRDS copy: {table.title}",
        baseline="the time of COPY binary to nowhere",
        ratio=best[OWN].seconds / best[BOUND].seconds,
        target=table.target,
        better="lower",
        detail=f"{rows:,} rows, load {os.getloadavg()[0]:.1f}",
    )


def _against_the_others(best: Mapping[str, Took]) -> list[Result]:
    targets = {"db2pq": 1.3, "wrds": 7.0}
    return [
        Result(
            name=f"WRDS copy: rows per second, {DAILY.title}",
            baseline=f"{rival}'s",
            ratio=best[rival].seconds / best[OWN].seconds,
            # The others keep fewer types exact, and are beaten all the same.
            target=targets.get(rival, 1.0),
            better="higher",
        )
        for rival in RIVALS
    ]


def _memory(table: Table, best: Mapping[str, Took]) -> Result:
    return Result(
        name=f"WRDS copy: peak memory over the imports, {table.title}",
        baseline=f"{MEMORY_MEGABYTES:.0f} MB",
        ratio=best[OWN].megabytes / MEMORY_MEGABYTES,
        target=1.0,
        better="lower",
        detail=f"{best[OWN].megabytes:.0f} MB",
    )


def _flatness(url: str, folder: Path, best: Mapping[str, Took]) -> Result:
    """Copy the table again when it is several times larger."""
    repeat = (
        f"insert into crsp_store.dsf select d.* from crsp_store.dsf d, "
        f"generate_series(2, {FLAT_TIMES})"
    )
    asyncio.run(_execute(url, repeat))
    runs = [_run(OWN, url, DAILY.name, folder).megabytes for _ in range(2)]
    return Result(
        name=f"WRDS copy: peak memory with {FLAT_TIMES} times the rows",
        baseline="the same with the rows once",
        ratio=statistics.mean(runs) / best[OWN].megabytes,
        target=1.10,
        better="lower",
        detail=f"{statistics.mean(runs):.0f} MB",
    )


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
