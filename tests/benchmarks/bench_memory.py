"""Peak memory of the services: ten times as many files must not need more of it.

Baseline: the same service with the smaller number of files. For each number a fresh stack, fresh
service processes as an operator starts them, and a folder of small transcripts that are all new;
when every file is a silver row, the kernel says how large each process ever was (`VmHWM`). The
share is a local folder, because the share's server would take most of the time.

Smaller, to try it: `BENCH_MEMORY_FILES=500,5000`.
"""

import asyncio
import os
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import asyncpg

from chassis.migrations import migrate
from penstock.processes import SERVICES, ServiceProcesses
from penstock.stack import PartName, Stack, read_settings
from tests.benchmarks.report import Result
from tests.support.estate import Estate, write_config
from tests.support.paths import PROJECT

PARTS = (PartName.KAFKA, PartName.POSTGRES, PartName.S3)
FULL_INTERVAL_SECONDS = 300.0
LEAST_FILES_PER_SECOND = 50
POLL_SECONDS = 1.0

_PEAK = re.compile(r"^VmHWM:\s+(\d+) kB$", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One number of files, and what it took."""

    files: int
    seconds: float
    peaks: Mapping[str, int]
    """Bytes by service."""


def main() -> list[Result]:
    """Run both numbers of files and return the ratio of each service."""
    small, large = _numbers()
    less, more = asyncio.run(_run(small)), asyncio.run(_run(large))
    return [_result(service, less, more) for service in SERVICES]


def _numbers() -> tuple[int, int]:
    given = os.environ.get("BENCH_MEMORY_FILES", "10000,100000")  # noqa: TID251 - a script's option
    small, large = (int(number) for number in given.split(","))
    return small, large


def _result(service: str, less: Run, more: Run) -> Result:
    return Result(
        name=f"peak memory of the {service} with {more.files:,} files",
        baseline=f"the same with {less.files:,}",
        ratio=more.peaks[service] / less.peaks[service],
        target=1.10,
        better="lower",
        detail=(
            f"{_megabytes(more, service)} against {_megabytes(less, service)}, "
            f"{more.files / more.seconds:.0f} files/s from the share to silver"
        ),
    )


def _megabytes(run: Run, service: str) -> str:
    return f"{run.peaks[service] / 1_000_000:.0f} MB"


async def _run(files: int) -> Run:
    with TemporaryDirectory(prefix="penstock-bench-") as name:
        folder = Path(name)
        _lay_out(folder / "share", files)
        stack = Stack(settings=read_settings().in_folder(folder / "stack"), fast=True)
        running = stack.up(PARTS, tied=True)
        try:
            return await _measure(folder, dict(running.env), files)
        finally:
            running.stop()


def _lay_out(share: Path, files: int) -> None:
    estate = Estate(share)
    for number in range(files):
        estate.write(number)


async def _measure(folder: Path, env: Mapping[str, str], files: int) -> Run:
    await migrate(env["DATABASE_URL"])
    config = write_config(
        folder / "config",
        PROJECT / "config/entities",
        kind="local",
        root=str(folder / "share"),
        full_interval=FULL_INTERVAL_SECONDS,
    )
    settings = {**env, "PENSTOCK_CONFIG_DIRECTORY": str(config)}
    async with ServiceProcesses(settings, folder / "logs") as services:
        started = time.monotonic()
        await services.start()
        pids = {service: services[service].pid for service in SERVICES}
        await _until_silver(env["DATABASE_URL"], files)
        seconds = time.monotonic() - started
        # A process that ended would have no peak left, or another one's.
        assert sorted(services.running) == sorted(SERVICES)
        peaks = {service: _peak_bytes(pid) for service, pid in pids.items()}
    return Run(files=files, seconds=seconds, peaks=peaks)


async def _until_silver(database_url: str, files: int) -> None:
    connection = await asyncpg.connect(database_url)
    try:
        async with asyncio.timeout(60 + files / LEAST_FILES_PER_SECOND):
            while True:
                if await connection.fetchval("select count(*) from silver.transcripts") >= files:
                    return
                await asyncio.sleep(POLL_SECONDS)
    finally:
        await connection.close()


def _peak_bytes(pid: int) -> int:
    found = _PEAK.search(Path(f"/proc/{pid}/status").read_text("ascii"))
    assert found is not None
    return int(found.group(1)) * 1024
