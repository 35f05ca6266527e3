import json
from pathlib import Path
from typing import Any

import pytest

from chassis.shares.port import ShareAccessDeniedError
from contracts.errors import ErrorCategory
from scanner import metrics
from scanner.adapters.log_files import LocalLogFiles
from scanner.settings.scan import LegacyExportConfig, LogsCopyConfig, ScanConfig
from tests.integration.scanner.harness import LONG_AGO_US, Harness

EXPORTING = ScanConfig(
    paths=("Data",),
    legacy_export=LegacyExportConfig(refresh_output_path="Refresh", path_prefix="Outputs"),
)
STAMP = "2020-09-13T12:26:40.000000+00:00"


def queue(harness: Harness, name: str) -> list[dict[str, Any]]:
    path = harness.tree.root / "Refresh" / f"stage_02_{name}_queue.json"
    records: list[dict[str, Any]] = json.loads(path.read_text("utf-8"))
    return records


@pytest.mark.covers("S1-15", "S1-21", "S1-22", "S1-23", "E-01")
async def test_the_queue_files_hold_what_the_original_wrote(harness: Harness) -> None:
    harness.scan_config = EXPORTING
    for name in ("a", "b", "c"):
        harness.tree.write(f"Data/{name}.xml", modified_us=LONG_AGO_US)
    await harness.scan()
    assert queue(harness, "process") == [
        {"file_path": f"Outputs/Data/{name}.xml", "date_last_modified": STAMP} for name in "abc"
    ]
    assert queue(harness, "removal") == []
    # The reader takes both files.
    for file in (harness.tree.root / "Refresh").iterdir():
        file.unlink()
    harness.tree.write("Data/a.xml", "new", modified_us=LONG_AGO_US + 1_000_000)
    harness.tree.delete("Data/b.xml")
    harness.clock.advance(60)
    await harness.scans(2)
    assert queue(harness, "process") == [
        {
            "file_path": "Outputs/Data/a.xml",
            "date_last_modified": "2020-09-13T12:26:41.000000+00:00",
        }
    ]
    assert queue(harness, "removal") == [
        {"file_path": f"Outputs/Data/{name}.xml", "date_last_modified": STAMP} for name in "ab"
    ]
    # Stage 2 creates no master database.
    assert sorted(path.name for path in harness.tree.root.iterdir()) == ["Data", "Refresh"]


async def test_a_queue_that_nobody_has_read_is_added_to(harness: Harness) -> None:
    harness.scan_config = EXPORTING
    harness.tree.write("Data/a.xml")
    await harness.scan()
    harness.tree.write("Data/b.xml")
    harness.clock.advance(60)
    await harness.scan()
    assert [item["file_path"] for item in queue(harness, "process")] == [
        "Outputs/Data/a.xml",
        "Outputs/Data/b.xml",
    ]


async def test_a_scan_without_changes_touches_no_queue_file(harness: Harness) -> None:
    harness.scan_config = EXPORTING
    (harness.tree.root / "Data").mkdir()
    await harness.scan()
    assert not (harness.tree.root / "Refresh").exists()


@pytest.mark.covers("S1-22", "S1-29")
async def test_a_queue_file_that_cannot_be_written_is_made_good_later(harness: Harness) -> None:
    harness.scan_config = EXPORTING

    def refuse(operation: str, path: str) -> None:
        if operation == "write":
            raise ShareAccessDeniedError(path=path)

    harness.fault = refuse
    harness.tree.write("Data/a.xml")
    before = metrics.ERRORS.labels("queue_save")._value.get()
    assert (await harness.scan()).changes == [("added", "Data/a.xml")]
    assert metrics.ERRORS.labels("queue_save")._value.get() == before + 1
    harness.fault = lambda *_: None
    harness.clock.advance(60)
    await harness.scan()
    assert [item["file_path"] for item in queue(harness, "process")] == ["Outputs/Data/a.xml"]


async def test_a_queue_file_that_is_none_is_never_overwritten(harness: Harness) -> None:
    harness.scan_config = EXPORTING
    target = harness.tree.root / "Refresh" / "stage_02_process_queue.json"
    target.parent.mkdir()
    target.write_text("not a queue")
    harness.tree.write("Data/a.xml")
    await harness.scan()
    assert target.read_text() == "not a queue"


@pytest.mark.covers("S1-33", "S1-30")
async def test_what_was_logged_is_copied_to_the_share_once(
    harness: Harness, tmp_path: Path
) -> None:
    logs = tmp_path / "logs"
    (logs / "Errors").mkdir(parents=True)
    (logs / "scanner_execution.log").write_text("of an earlier process\n")
    harness.scan_config = ScanConfig(
        paths=("Data",), logs_copy=LogsCopyConfig(output_logs_path="Logs")
    )
    harness.log_files = LocalLogFiles(logs, "scanner")
    with (logs / "scanner_execution.log").open("a") as file:
        file.write('{"event": "one"}\n{"event": "unfinished')
    (logs / "Errors" / "scanner_nas_list_files.log").write_text('{"event": "error"}\n')
    harness.tree.write("Data/a.xml")
    await harness.scan()
    copies = {
        str(path.relative_to(harness.tree.root / "Logs")): path.read_text()
        for path in (harness.tree.root / "Logs").rglob("*.log")
    }
    assert sorted(copies.values()) == ['{"event": "error"}\n', '{"event": "one"}\n']
    assert any(name.startswith("Errors/scanner_nas_list_files_2026") for name in copies)
    harness.clock.advance(60)
    await harness.scan()
    assert len(list((harness.tree.root / "Logs").rglob("*.log"))) == 2


@pytest.mark.covers("S1-29", "S1-33")
async def test_logs_that_cannot_be_copied_wait_for_the_next_scan(
    harness: Harness, tmp_path: Path
) -> None:
    def refuse(operation: str, path: str) -> None:
        if operation == "write":
            raise ShareAccessDeniedError(path=path, category=ErrorCategory.NAS_UPLOAD)

    harness.scan_config = ScanConfig(
        paths=("Data",), logs_copy=LogsCopyConfig(output_logs_path="Logs")
    )
    harness.log_files = LocalLogFiles(tmp_path, "scanner")
    (tmp_path / "scanner_execution.log").write_text("line\n")
    harness.tree.write("Data/a.xml")
    harness.fault = refuse
    await harness.scan()
    harness.fault = lambda *_: None
    harness.tree.write("Data/b.xml")
    harness.clock.advance(60)
    await harness.scan()
    copies = list((harness.tree.root / "Logs").rglob("*.log"))
    assert [path.read_text() for path in copies] == ["line\n"]


@pytest.mark.covers("S1-38")
async def test_the_metrics_say_what_the_last_scan_saw(harness: Harness) -> None:
    for name in ("a", "b", "c"):
        harness.tree.write(f"Data/{name}.xml")
    harness.tree.write("Data/bad\\name.xml")
    refused = metrics.ENTRIES_REFUSED.labels("transcripts", "unsafe_path")._value.get()
    errors = metrics.ERRORS.labels("path_validation")._value.get()
    result = await harness.scan()
    assert result.counts.failed == 1
    labels = {"source": "transcripts"}
    assert metrics.SHARE_FILES.labels(**labels)._value.get() == 3
    assert metrics.FILES_TO_PROCESS.labels(**labels)._value.get() == 3
    assert metrics.FILES_TO_REMOVE.labels(**labels)._value.get() == 0
    assert metrics.SHARE_UP.labels(**labels)._value.get() == 1
    assert metrics.SCAN_RATE.labels(**labels)._value.get() > 0
    assert metrics.ENTRIES_REFUSED.labels("transcripts", "unsafe_path")._value.get() > refused
    assert metrics.ERRORS.labels("path_validation")._value.get() > errors
