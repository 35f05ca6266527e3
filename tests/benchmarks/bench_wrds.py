"""PostgreSQL to Parquet: our copy against the wire's bound and against other tools.

Baseline: `psql COPY … (FORMAT binary) > /dev/null` of the same view in the same round. Every method
runs in a process of its own, in a new order each round, and the best round of each is compared:
what disturbs a run only ever makes it longer. Client and server share this machine's cores and a
loopback without limits; over the internet all methods move towards the bound.

Beside the time, the processor time of both ends is told, which neighbours on the machine disturb
less. The other tools are named in `wrds_rivals.py`. Smaller, to try it: `BENCH_WRDS_ROWS=100000
BENCH_WRDS_ROUNDS=1`.
"""

import asyncio
import contextlib
import json
import os
import random
import resource
import shutil
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
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

BOUND, OWN, ENCODING = "psql", "ours", "encoding"
"""The last is a part of ours: what writing the Parquet file alone takes, with the rows in memory.
"""

RIVALS = ("wrds", "db2pq", "duckdb", "connectorx", "adbc")
_TIMEOUT_SECONDS = 600
_BACKEND_ENDS_SECONDS = 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class Took:
    """What one run of one method took."""

    seconds: float
    client: float
    """Processor seconds, as those of the server."""

    server: float = 0.0
    megabytes: float = 0.0

    @property
    def processor(self) -> float:
        """Both ends."""
        return self.client + self.server


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
            if method == OWN:
                runs[ENCODING].append(_run(ENCODING, url, table.name, folder))
    best = {
        method: Took(
            seconds=min(run.seconds for run in found),
            client=min(run.client for run in found),
            server=min(run.server for run in found),
            megabytes=max(run.megabytes for run in found),
        )
        for method, found in runs.items()
    }
    bound = best[BOUND]
    for method in (*methods, ENCODING):
        spread = max(run.seconds for run in runs[method]) / best[method].seconds
        took = best[method]
        sys.stdout.write(
            f"    {table.name:16} {method:11} {took.seconds / bound.seconds:5.2f} of the bound, "
            f"processor {took.client / bound.processor:.2f} + "
            f"{took.server / bound.processor:.2f} of the bound's, "
            f"+{took.megabytes:.0f} MB, spread {spread:.2f}\n"
        )
    sys.stdout.flush()
    return best


def _run(method: str, url: str, table: str, folder: Path) -> Took:
    before = _server_seconds(folder)
    took = _run_psql(url, table) if method == BOUND else _run_script(method, url, table, folder)
    # The server counts a backend's time when it has ended.
    time.sleep(_BACKEND_ENDS_SECONDS)
    return replace(took, server=_server_seconds(folder) - before)


def _server_seconds(folder: Path) -> float:
    """Return the processor time of all backends that have ended."""
    (pid_file,) = folder.rglob("postmaster.pid")
    pid = pid_file.read_text("ascii").split()[0]
    fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(") ")[2].split()
    return (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")


def _run_script(method: str, url: str, table: str, folder: Path) -> Took:
    out = folder / "out"
    if method != ENCODING:
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir()
    arguments = [method, url, *table.split("."), str(out)]
    if method in (OWN, ENCODING):
        command = [sys.executable, "-m", "tests.benchmarks.wrds_own", *arguments]
    else:
        # An environment of their own; uv makes it once and keeps it.
        script = str(PROJECT / "tests/benchmarks/wrds_rivals.py")
        command = ["uv", "run", "--quiet", "--script", script, *arguments]
    done = subprocess.run(
        command,
        cwd=PROJECT,
        check=True,
        capture_output=True,
        timeout=_TIMEOUT_SECONDS,
        text=True,
    )
    took = json.loads(done.stdout.splitlines()[-1])
    return Took(seconds=took["seconds"], client=took["cpu"], megabytes=took["megabytes"])


def _run_psql(url: str, table: str) -> Took:
    statement = f"copy (select * from {table}) to stdout (format binary)"
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.perf_counter()
    # The server keeps the time: waiting with a limit, Python looks every 50 ms whether it is over.
    limit = {"PGOPTIONS": f"-c statement_timeout={_TIMEOUT_SECONDS}s"}
    with Path(os.devnull).open("wb") as sink:
        subprocess.run(
            ["psql", "--no-psqlrc", url, "-c", statement],
            stdout=sink,
            check=True,
            env=os.environ | limit,  # noqa: TID251 - a script's own
        )
    seconds = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    client = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Took(seconds=seconds, client=client)


# --- results ---------------------------------------------------------------------------------
def _against_the_bound(table: Table, best: Mapping[str, Took], rows: int) -> Result:
    return Result(
        name=f"WRDS copy: {table.title}",
        baseline="the time of COPY binary to nowhere",
        ratio=best[OWN].seconds / best[BOUND].seconds,
        target=table.target,
        better="lower",
        detail=f"{rows:,} rows, load {os.getloadavg()[0]:.1f}; processor time "
        f"{best[OWN].processor / best[BOUND].processor:.2f}, of which encoding "
        f"{best[ENCODING].client / best[BOUND].processor:.2f}",
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
