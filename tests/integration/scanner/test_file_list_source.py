"""The real holdings export as the ticker universe."""

import csv
import io
from pathlib import Path
from typing import Any

import pytest

from chassis.shares.local import LocalShare
from scanner.adapters.file_list import FileListSource, ShareRecordList
from scanner.domain.records import Full, RecordPage, Since
from scanner.errors import SourceRefusedError, UniverseError
from scanner.settings.file_list import CleanList, FileListRecords
from tests.integration.scanner.record_harness import RecordHarness
from tests.support.paths import shared_data

EXPORT = "russel_2000_list.csv"
CLEAN = "russell_2000_tickers_clean.txt"


CONFIG: dict[str, Any] = {
    "kind": "file-list",
    "share": {"kind": "local", "root": "unused"},
    "path": EXPORT,
    "header": ["Ticker", "Name", "Asset Class", "Exchange"],
    "rows": [
        {"column": "Asset Class", "among": ["Equity"]},
        {"column": "Ticker", "pattern": "[A-Z][A-Z0-9.]{0,9}"},
        {"column": "Exchange", "not_among": ["NO MARKET (E.G. UNLISTED)"]},
    ],
    "clean_list": {"path": CLEAN},
}
SCAN: dict[str, Any] = {
    "entity_type": "company",
    "id": ["Ticker"],
    "volatile": ["Market Value", "Weight (%)", "Notional Value", "Price"],
    "band": {"max_change_share": 0.1, "min_records": 1000},
    "deletions": {"max_deleted_count": 200, "max_deleted_share": 0.1, "confirmations": 1},
}


def holdings() -> str:
    return shared_data("market", "IWM_holdings_2025-05-13.csv").read_text("utf-8")


def listed(text: str) -> list[str]:
    """Return the tickers by other means than the product's: the shares that are traded."""
    table = text[text.index("Ticker,Name") : text.rindex("\n\u00a0")]
    return sorted(
        row["Ticker"]
        for row in csv.DictReader(io.StringIO(table))
        if row["Asset Class"] == "Equity"
        and row["Ticker"] != "-"
        and not row["Exchange"].startswith("NO MARKET")
    )


def source(folder: Path, text: str) -> FileListSource:
    (folder / EXPORT).write_text(text, "utf-8")
    config = FileListRecords.model_validate(CONFIG)
    return FileListSource(config, LocalShare(folder, connections=1))


async def read(records: FileListSource) -> list[RecordPage]:
    try:
        return [page async for page in records.poll(Full())]
    finally:
        await records.close()


@pytest.fixture
def universe(records: RecordHarness, tmp_path: Path) -> RecordHarness:
    records.scan = SCAN
    records.source = source(tmp_path, holdings())
    records.written = ShareRecordList(CleanList(path=CLEAN), LocalShare(tmp_path, connections=1))
    return records


def update(universe: RecordHarness, folder: Path, text: str) -> None:
    universe.clock.advance(86400)
    universe.source = source(folder, text)
    universe.written = ShareRecordList(CleanList(path=CLEAN), LocalShare(folder, connections=1))


@pytest.mark.covers("S3-01")
async def test_the_export_becomes_records_and_a_clean_list(
    universe: RecordHarness, tmp_path: Path
) -> None:
    outcome = await universe.poll()
    expected = listed(holdings())
    assert [external_id for _, external_id in outcome.changes] == expected
    assert outcome.counts.failed == 0
    assert (tmp_path / CLEAN).read_text().splitlines() == expected
    record = next(event for event in outcome.events if event.data.external_id == "SFM").data.record
    assert record is not None
    assert record["Name"] == "SPROUTS FARMERS MARKET INC"
    assert record["Market Value"] == "409,233,878.82"


@pytest.mark.covers("S2-12")
async def test_the_next_days_prices_change_no_company(
    universe: RecordHarness, tmp_path: Path
) -> None:
    await universe.poll()
    update(universe, tmp_path, holdings().replace('"158.47"', '"161.00"'))
    assert (await universe.poll()).changes == []


@pytest.mark.covers("C-19")
async def test_a_universe_that_moves_beyond_its_band_is_not_believed(
    universe: RecordHarness, tmp_path: Path
) -> None:
    await universe.poll()
    lines = holdings().splitlines(keepends=True)
    half = "".join(lines[:1300] + lines[lines.index("\u00a0\n", 20) :])
    update(universe, tmp_path, half)
    with pytest.raises(UniverseError, match=r"the band is 10\.0%"):
        await universe.poll()
    assert await universe.take_events() == []
    assert (tmp_path / CLEAN).read_text().splitlines() == listed(holdings())
    update(universe, tmp_path, half)
    accepted = await universe.poll(releases=True)
    assert accepted.counts.quarantined > 0, "accepted as a universe, held as deletions"


@pytest.mark.covers("C-19")
async def test_a_universe_may_move_within_its_band(universe: RecordHarness, tmp_path: Path) -> None:
    await universe.poll()
    gone = next(line for line in holdings().splitlines() if line.startswith('"SFM"'))
    changed = holdings().replace(gone, gone.replace('"SFM"', '"NEWCO"'))
    update(universe, tmp_path, changed)
    outcome = await universe.poll()
    assert outcome.changes == [("deleted", "SFM"), ("upserted", "NEWCO")]
    assert (tmp_path / CLEAN).read_text().splitlines() == listed(changed)


async def test_an_export_that_went_through_excel_is_read_too(tmp_path: Path) -> None:
    lines = holdings().splitlines()
    width = 14
    padded = "\n".join(
        line + "," * (width - line.count(",")) if number < 9 else line
        for number, line in enumerate(lines)
    )
    pages = await read(source(tmp_path, padded.replace("\u00a0\n", "," * width + "\n")))
    found = sorted(record["Ticker"] for page in pages for record in page.records)
    assert found == listed(holdings())


async def test_an_export_that_is_cut_off_is_a_gap(tmp_path: Path) -> None:
    cut = holdings()[: len(holdings()) // 2]
    pages = await read(source(tmp_path, cut))
    assert pages[0].gap is not None
    assert "cells" in pages[0].gap


@pytest.mark.parametrize("text", ["", "<html>Sign in</html>", "Ticker,Price\nA,1\n"])
async def test_what_is_no_such_list_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(SourceRefusedError, match="no line has the columns"):
        await read(source(tmp_path, text))


async def test_a_list_can_only_be_read_whole(tmp_path: Path) -> None:
    records = source(tmp_path, holdings())
    with pytest.raises(SourceRefusedError):
        await anext(records.poll(Since("2026-01-01")))
    await records.close()
