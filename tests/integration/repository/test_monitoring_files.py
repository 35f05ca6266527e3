"""Prometheus and Alertmanager accept what the project offers them."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.errors import MissingServerError
from tests.support.paths import PROJECT

FOLDER = PROJECT / "deploy/prometheus"


def run(*command: str) -> None:
    if shutil.which(command[0]) is None:
        raise MissingServerError(f"The tests need {command[0]}: run scripts/install-system.sh.")
    done = subprocess.run(command, cwd=FOLDER, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.covers("E-06", "S3-18")
@pytest.mark.parametrize(
    "path", sorted(FOLDER.glob("*.rules.test.yaml")), ids=lambda path: path.name
)
def test_the_rules_pass_their_unit_tests(path: Path) -> None:
    run("promtool", "test", "rules", path.name)


def test_alertmanager_accepts_the_example() -> None:
    run("amtool", "check-config", "alertmanager.yaml")


@pytest.mark.parametrize(
    ("labels", "receiver"),
    [
        (("alertname=Watchdog", "severity=none", "owner=hub-operations"), "dead-mans-switch"),
        (("alertname=ServiceDown", "severity=critical", "owner=hub-operations"), "pager"),
        (("alertname=RunFailed", "severity=warning", "owner=hub-operations"), "tickets"),
        (("alertname=DriftWaiting", "severity=warning", "owner=data-stewards"), "data-stewards"),
        (("alertname=WrdsSyncDataLate", "severity=warning", "owner=warehouse"), "warehouse"),
    ],
)
def test_an_alert_reaches_its_own(labels: tuple[str, ...], receiver: str) -> None:
    run(
        *("amtool", "config", "routes", "test", "--config.file=alertmanager.yaml"),
        *(f"--verify.receivers={receiver}", *labels),
    )
