import io
import json
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest
from rich.console import Console

from penstock.commands.wrds_view import Live, Plain, example


@pytest.fixture
def screen() -> tuple[Console, Callable[[], str]]:
    text = io.StringIO()
    return Console(file=text, force_terminal=True, width=160, color_system=None), text.getvalue


def line(**facts: object) -> bytes:
    return json.dumps(facts).encode() + b"\n"


def show(screen: tuple[Console, Callable[[], str]], *lines: bytes) -> str:
    console, read = screen
    with Live(console) as view:
        for item in lines:
            view.show(item)
    return read()


def test_a_sync_is_a_bar_and_a_sentence(screen: tuple[Console, Callable[[], str]]) -> None:
    shown = show(
        screen,
        line(event="sync_started", level="info", dataset="crsp"),
        line(
            event="sync_progress",
            dataset="crsp",
            year=2023,
            rows=50_000,
            expected_rows=100_000,
            done=1,
            total=3,
        ),
        line(
            event="result",
            verb="full-sync",
            datasets=[
                {
                    "dataset": "crsp",
                    "is_ok": True,
                    "rows": 1234567,
                    "partitions": 3,
                    "partitions_copied": 2,
                    "vintage": "v1",
                    "restated": None,
                }
            ],
        ),
    )
    assert "crsp 2023" in shown
    assert "50,000 rows" in shown
    assert "✓ crsp: 1,234,567 rows in 3 partitions, 2 copied; vintage v1" in shown
    assert "sync_started" not in shown


def test_warnings_and_problems_are_told(screen: tuple[Console, Callable[[], str]]) -> None:
    shown = show(
        screen,
        line(event="schema_drifted", level="warning", dataset="crsp", new_columns=["vol"]),
        line(event="sync.disk.blocked", level="error", used_share=0.96),
        line(
            event="result",
            verb="verify",
            datasets=[{"dataset": "crsp", "is_ok": False, "problems": ["2023: [bad]"]}],
        ),
        b"not json\n",
    )
    assert "schema_drifted: dataset=crsp, new_columns=['vol']" in shown
    assert "sync.disk.blocked: used_share=0.96" in shown
    assert "✗ crsp: 2023: [bad]" in shown
    assert "not json" in shown


@pytest.mark.covers("S5-29", "S5-31")
def test_status_and_locks_are_tables(screen: tuple[Console, Callable[[], str]]) -> None:
    lock = {
        "dataset": "crsp",
        "is_stale": False,
        "reason": "held",
        "pid": 7,
        "hostname": "node",
        "refreshed_at": "2024-03-01T12:00:00Z",
        "expires_at": "2024-03-01T16:00:00Z",
        "fencing": 42,
    }
    shown = show(
        screen,
        line(
            event="result",
            verb="status",
            disk={"used_share": 0.5, "free_bytes": 1000},
            datasets=[
                {"dataset": "crsp", "vintage": "v1", "rows": 1000, "partitions": 2, "lock": lock},
                {"dataset": "other", "vintage": None, "lock": None},
            ],
        ),
        line(event="result", verb="lock-status", locks=[lock]),
        line(event="result", verb="lock-status", locks=[]),
    )
    assert "disk 50% used, 1,000 bytes free" in shown
    assert "never synced" in shown
    assert "42" in shown
    assert "no data set is being written" in shown


def test_a_comparison_is_a_table(screen: tuple[Console, Callable[[], str]]) -> None:
    change: dict[str, Any] = {"rows_before": 252, "rows_after": 253, "added": 1, "removed": 0}
    shown = show(
        screen,
        line(
            event="result",
            verb="diff",
            report={
                "dataset": "factors",
                "previous": "v1",
                "vintage": "v2",
                "partitions": [
                    {
                        **change,
                        "year": 1999,
                        "changed": 200,
                        "changed_columns": {"smb": 7, "hml": 199},
                    }
                ],
            },
        ),
    )
    assert "factors: v1 → v2" in shown
    assert "hml (199), smb (7)" in shown


def test_elsewhere_lines_pass_unchanged(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    with Plain() as view:
        view.show(b'{"event":"x"}\n')
    assert capsysbinary.readouterr().out == b'{"event":"x"}\n'


@pytest.mark.covers("S5-108")
def test_the_example_runs_with_all_three_libraries(tmp_path: Path) -> None:
    files = []
    for year in range(2020, 2025):
        path = tmp_path / f"{year}.parquet"
        pl.DataFrame({"permno": [1, 2], "date": [date(year, 1, 2)] * 2}).write_parquet(path)
        files.append(str(path))
    code = example(
        {
            "dataset": "crsp_daily",
            "vintage": "v1",
            "files": files,
            "glob": str(tmp_path / "*.parquet"),
        }
    )
    found: dict[str, Any] = {}
    exec(code, found)
    # The example names three of the five files, and says where the others are.
    assert (len(found["frame"]), found["table"].num_rows) == (6, 6)
    assert len(found["newest"]) == 10
    assert duckdb.table("crsp_daily").aggregate("count(*)").fetchall() == [(10,)]
    assert "and 2 more" in code
