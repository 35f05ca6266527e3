"""A large table is mirrored under readers, in memory that does not grow with it.

`--chaos-rows 10000000` for the size that is promised: four years of so many rows together.
"""

import asyncio
import time
from datetime import date
from pathlib import Path

import pytest

from tests.chaos.wrds_readers import Readers
from tests.chaos.wrds_worker import Mirror
from tests.support.wrds_server import WrdsServer

START, END = date(2021, 1, 1), date(2024, 12, 31)
DAYS = {2021: 261, 2022: 260, 2023: 260, 2024: 262}
"""Weekdays."""

MEMORY_MEGABYTES = 250.0

pytestmark = pytest.mark.timeout(3600)


@pytest.mark.covers("S5-106")
async def test_a_large_table_is_mirrored_and_restated_under_readers(
    empty_database_url: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    wanted = int(request.config.getoption("--chaos-rows"))
    securities = max(1, round(wanted / sum(DAYS.values())))
    server = await WrdsServer.create(empty_database_url)
    total = await server.fill_daily(START, END, securities=securities)
    await server.execute("update crsp_store.dsf set prc = 1")
    rows = {year: days * securities for year, days in DAYS.items()}
    assert sum(rows.values()) == total
    mirror = Mirror(server, tmp_path)
    assert await mirror.run("status", dataset="all") == 0
    idle = mirror.peak_megabytes

    readers = Readers(mirror, rows, pause_seconds=0.5)
    with readers.reading():
        started = time.monotonic()
        assert await mirror.run("full-sync") == 0
        full, full_megabytes = time.monotonic() - started, mirror.peak_megabytes
        await mirror.restate(2)
        started = time.monotonic()
        assert await mirror.run("incremental") == 0
        again, again_megabytes = time.monotonic() - started, mirror.peak_megabytes
        await asyncio.sleep(1)
    print(  # noqa: T201 - of a long run
        f"{total:,} rows: full {full:.0f} s, +{full_megabytes - idle:.0f} MB; every row restated "
        f"{again:.0f} s, +{again_megabytes - idle:.0f} MB over {idle:.0f} MB; {readers.reads} reads"
    )
    assert readers.problems == []
    assert readers.reads > 0
    assert await mirror.run("verify") == 0
    manifest = mirror.manifest()
    assert manifest is not None
    assert {item.year: item.rows for item in manifest.partitions} == rows
    assert max(full_megabytes, again_megabytes) - idle <= MEMORY_MEGABYTES
