"""The true vintages of the Fama-French factors: what the mirror reports equals what a reader of the
two files counts.
"""

import csv
from collections import Counter
from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from tests.support.paths import shared_data
from tests.support.wrds_mirror import TestMirror, open_mirror
from tests.support.wrds_server import WrdsServer
from tests.support.wrds_server_client import opened
from tests.support.wrds_server_tables import FACTORS_DAILY
from wrds_sync.domain.datasets import Dataset, Rules
from wrds_sync.domain.tables import Selection, TableRef

FACTORS = Dataset(
    name="fama_french_daily",
    vendor="fama_french",
    frequency="daily",
    selection=Selection(table=TableRef("ff", "factors_daily"), date_column="date"),
    rules=Rules(key=("date",), required=("date",)),
    start_year=1926,
)
EARLIER = ("wrds", "F-F_Research_Data_Factors_daily.202102.CSV")
LATER = ("wrds", "F-F_Research_Data_Factors_daily.202311.CSV")


def read(*parts: str) -> dict[str, tuple[float, ...]]:
    """Read a file of factors without any code of ours: day → values."""
    with shared_data(*parts).open(encoding="ascii", newline="") as file:
        return {
            row[0].strip(): tuple(float(value) for value in row[1:5])
            for row in csv.reader(file)
            if row and len(row[0].strip()) == 8 and row[0].strip().isdigit()
        }


@pytest.fixture
async def server(empty_database_url: str) -> WrdsServer:
    return await WrdsServer.create(empty_database_url)


@pytest.fixture
async def mirror(tmp_path: Path, server: WrdsServer) -> AsyncGenerator[TestMirror]:
    async with opened(server) as client:
        yield open_mirror(tmp_path, client)


@pytest.mark.covers("C-40", "S5-16", "S5-25")
async def test_the_reported_changes_are_those_of_the_files(
    mirror: TestMirror, server: WrdsServer
) -> None:
    await server.load_factors(shared_data(*EARLIER))
    await server.say_modified(FACTORS_DAILY, datetime(2021, 3, 1, tzinfo=UTC))
    first = await mirror.manager.full_sync(FACTORS, 1926)
    assert first.manifest.rows == 24_934
    await server.load_factors(shared_data(*LATER))
    await server.say_modified(FACTORS_DAILY, datetime(2023, 12, 1, tzinfo=UTC))
    mirror.clock.advance(hours=1)
    second = await mirror.manager.incremental_sync(FACTORS)

    before, after = read(*EARLIER), read(*LATER)
    changed = Counter(day[:4] for day in before if before[day] != after[day])
    added = Counter(day[:4] for day in after.keys() - before.keys())
    report = second.report
    assert report is not None
    assert (report.added, report.removed, report.changed) == (695, 0, 20_377)
    assert {str(item.year): item.changed for item in report.partitions if item.changed} == changed
    assert {str(item.year): item.added for item in report.partitions if item.added} == added
    assert mirror.ledger.reports == [report]
    [path] = mirror.root.glob("reports/fama_french_daily/*.json")
    assert path.stem == second.manifest.vintage

    market = [item.changed_columns.get("mktrf", 0) for item in report.partitions]
    assert sum(market) == sum(1 for day in before if before[day][0] != after[day][0])
    # Both vintages can be read, and each is what its file says.
    for manifest, file in ((first.manifest, before), (second.manifest, after)):
        rows = pl.read_parquet([mirror.root / entry.object for entry in manifest.partitions])
        found = {
            f"{day:%Y%m%d}": float(value) for day, value in rows.select("date", "mktrf").iter_rows()
        }
        assert found == {day: pytest.approx(values[0] / 100) for day, values in file.items()}


async def test_years_that_did_not_change_are_not_copied_again(
    mirror: TestMirror, server: WrdsServer
) -> None:
    await server.load_factors(shared_data(*EARLIER))
    await mirror.manager.full_sync(FACTORS, 2015)
    await server.execute(
        "update ff_store.factors_daily set smb = smb + 0.01 where date = '2017-03-01'"
    )
    mirror.clock.advance(hours=1)
    outcome = await mirror.manager.incremental_sync(FACTORS)
    assert [entry.year for entry in outcome.copied] == [2017]
    assert outcome.report is not None
    [change] = outcome.report.partitions
    assert (change.added, change.removed, change.changed) == (0, 0, 1)
    assert change.changed_columns == {"smb": 1}
    assert change.examples == ("date=2017-03-01",)
