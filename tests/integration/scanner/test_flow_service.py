"""The daily flow by command, with two scanners as processes."""

import asyncio
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.integration.scanner.harness import running
from tests.support.addresses import KafkaAddress
from tests.support.command_line import penstock
from tests.support.market_hub import lay_universe, write_preset_config
from tests.support.sample_api import KEYS, SampleServer
from tests.support.topics import lay_topics

TICKERS = ["APAM", "APGE", "ATMU", "BRCC"]


@pytest.mark.timeout(300)
@pytest.mark.covers("S3-04", "S3-16", "S3-08")
async def test_a_command_runs_the_flow_whichever_replica_takes_its_steps(
    kafka: KafkaAddress, database_url: str, server: SampleServer, tmp_path: Path
) -> None:
    await lay_topics(kafka)
    lay_universe(tmp_path / "share", TICKERS)
    environment = {
        **kafka.env,
        "DATABASE_URL": database_url,
        "FMP_API_KEY": KEYS["FMP_API_KEY"],
        "SCANNER_SCHEDULE": "false",
        "PENSTOCK_CONFIG_DIRECTORY": str(tmp_path / "config"),
    }

    async def typed(*arguments: str) -> "subprocess.CompletedProcess[str]":
        return await asyncio.to_thread(
            penstock, *arguments, state_dir=tmp_path, environment=environment
        )

    await server.plan()
    write_preset_config(tmp_path / "config", server, tmp_path / "share", "daily-market")
    async with (
        running(environment, tmp_path, "one"),
        running(environment, tmp_path, "other"),
    ):
        whole = await typed("flow", "daily-market", "--wait", "--timeout", "90")
        step = await typed("flow", "daily-market", "--step", "quotes", "--wait")
        unknown = await typed("flow", "weekly-market", "--wait", "--timeout", "30")
        latest = await typed("runs", "--latest", "--json")

    assert whole.returncode == 0, whole.stderr
    assert step.returncode == 1
    assert "has no step `quotes`; it has universe, prices, dcf" in step.stderr
    assert unknown.returncode == 1
    assert "'weekly-market' is not configured; known: daily-market" in unknown.stderr
    told = {row["task_name"]: (row["status"], row["rows_updated"]) for row in _rows(latest)}
    assert told == {
        "flow:daily-market": ("failed", 0),
        "scan:russell_2000": ("success", 4),
        "scan:fmp_prices": ("success", 28 * 4),
        "scan:fmp_dcf": ("success", 4),
    }
    logs = "".join((tmp_path / f"{name}.log").read_text() for name in ("one", "other"))
    assert KEYS["FMP_API_KEY"] not in logs
    assert server.url not in logs


def _rows(done: "subprocess.CompletedProcess[str]") -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(done.stdout)
    return rows
