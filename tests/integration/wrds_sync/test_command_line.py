import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from tests.support.command_line import command_environment, penstock
from tests.support.forkery import FORKERY
from tests.support.wrds_config import mirror_environment
from tests.support.wrds_server import WrdsServer
from wrds_sync.adapters.file_lock import atomic_lock

pytestmark = pytest.mark.timeout(300)


class Shell:
    """Runs verbs of the mirror in one folder, in the process that `penstock wrds` starts."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder = folder
        self.environment = environment

    def run(self, *arguments: str, **changes: str) -> tuple[int, list[dict[str, Any]]]:
        told = FORKERY.run(
            "wrds_sync",
            *arguments,
            imports=["wrds_sync.app.commands"],
            env=command_environment(self.folder / "state", **self.environment | changes),
            timeout=90,
        )
        assert told.stderr == ""
        return told.returncode, [json.loads(line) for line in told.stdout.splitlines()]

    def result(self, *arguments: str) -> dict[str, Any]:
        code, lines = self.run(*arguments)
        assert code == 0, lines
        return lines[-1]


@pytest.fixture
async def shell(empty_database_url: str, tmp_path: Path) -> Shell:
    server = await WrdsServer.create(empty_database_url)
    await server.fill_daily(date(2022, 1, 3), date(2023, 1, 31), securities=2)
    return Shell(tmp_path, mirror_environment(server, tmp_path))


@pytest.mark.covers("S5-27", "S5-28", "S5-29", "S5-30", "S5-33")
def test_a_mirror_is_synced_verified_and_read(shell: Shell) -> None:
    command = ("full-sync", "--dataset", "crsp_daily", "--start-year", "2022")
    told = penstock(
        "wrds", *command, state_dir=shell.folder / "state", environment=shell.environment
    )
    [synced] = json.loads(told.stdout.splitlines()[-1])["datasets"]
    assert (synced["rows"], synced["partitions"], synced["is_ok"]) == (564, 2, True)

    again = shell.result("incremental", "--dataset", "crsp")
    assert again["datasets"][0]["partitions_copied"] == 0

    [shown, _] = shell.result("status")["datasets"]
    assert shown["vintage"] == synced["vintage"]
    assert shown["progress"]["status"] == "completed"
    assert shown["lock"] is None

    [verified] = shell.result("verify", "--dataset", "crsp_daily")["datasets"]
    assert verified == {"dataset": "crsp_daily", "is_ok": True, "problems": []}

    example = shell.result("read-example", "--dataset", "crsp_daily")
    assert [Path(name).exists() for name in example["files"]] == [True, True]

    manifest = shell.result("manifest", "--dataset", "crsp_daily")["manifest"]
    assert [part["year"] for part in manifest["partitions"]] == [2022, 2023]


@pytest.mark.covers("S5-33")
def test_every_line_is_json_and_progress_is_told(shell: Shell) -> None:
    code, lines = shell.run("full-sync", "--dataset", "crsp_daily")
    assert code == 0
    events = [line["event"] for line in lines]
    assert {"sync_started", "sync_progress", "partition_copied", "sync_ended"} <= set(events)
    assert events[-1] == "result"
    last = [line for line in lines if line["event"] == "sync_progress"][-1]
    assert (last["total"], last["rows"]) == (2, last["expected_rows"])


@pytest.mark.covers("S5-31", "S5-32", "S5-33")
def test_a_held_data_set_is_exit_code_two_until_it_is_unlocked(shell: Shell) -> None:
    locks = shell.folder / "data/locks"
    with atomic_lock(locks, "crsp_daily"):
        code, lines = shell.run("full-sync", "--dataset", "crsp_daily")
        assert code == 2
        assert "held by process" in lines[-1]["datasets"][0]["error"]

        [lock] = shell.result("lock-status")["locks"]
        assert (lock["dataset"], lock["is_stale"]) == ("crsp_daily", False)

        forced = shell.result("force-unlock", "--dataset", "crsp_daily", "--yes")
        assert forced["was_held"] is True
        assert shell.result("lock-status")["locks"] == []
        assert shell.result("full-sync", "--dataset", "crsp_daily")["datasets"][0]["is_ok"]


@pytest.mark.covers("S5-33")
def test_a_failure_is_exit_code_one(shell: Shell) -> None:
    assert shell.run("verify")[0] == 1  # never synced
    assert shell.run("full-sync", "--dataset", "crsp_daily", WRDS_PORT="1")[0] == 1
    code, lines = shell.run("full-sync", "--dataset", "nothing")
    assert (code, lines[-1]["event"]) == (1, "command_failed")


@pytest.mark.covers("S5-32")
def test_unlocking_asks_first(shell: Shell) -> None:
    told = penstock(
        "wrds",
        "force-unlock",
        "--dataset",
        "crsp_daily",
        state_dir=shell.folder / "state",
        environment=shell.environment,
    )
    assert told.returncode == 1
    assert "Take the lock of crsp_daily" in told.stdout


def test_two_vintages_are_compared(shell: Shell) -> None:
    shell.result("full-sync", "--dataset", "crsp_daily")
    first = shell.result("manifest", "--dataset", "crsp_daily")["manifest"]["vintage"]
    code, _ = shell.run("diff", "--dataset", "crsp_daily")
    assert code == 1
    shell.result("full-sync", "--dataset", "crsp_daily", "--start-year", "2022")
    report = shell.result("diff", "--dataset", "crsp_daily", "--vintage", first)["report"]
    assert report["previous"] == first
    assert report["partitions"] == []
