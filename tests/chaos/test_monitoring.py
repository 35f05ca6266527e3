"""The running hub, watched by a real Prometheus: panels have data, alerts fire for real causes.

It takes about six minutes, so it has a target of its own: `make monitoring`.
"""

import shutil
import subprocess
import tempfile
import urllib.request
from collections.abc import Generator
from pathlib import Path

import pytest
import yaml

from deploy.grafana.boards import BOARDS
from scripts.metrics import catalogue
from tests.chaos.causes import THRESHOLDS, Causes
from tests.chaos.monitored import FLOW, OTHERS, MonitoredHub, monitored_demo
from tests.support.paths import PROJECT

pytestmark = pytest.mark.timeout(1500)

RULES = PROJECT / "deploy/prometheus"
ALERTS = [
    rule["alert"]
    for path in sorted(RULES.glob("*.rules.yaml"))
    for group in yaml.safe_load(path.read_text("utf-8"))["groups"]
    for rule in group["rules"]
    if "alert" in rule
]
ONLY_PROMTOOL = {
    "SourceDown": "a share that hangs is not given up soon enough; its gauge is tested with scans",
    "HandlerBug": "needs a bug in a handler",
    "AnnouncementsUnanswered": "needs every repetition to fail for hours",
    "RefreshNotVerified": "needs two databases of which one changes during the load",
    "RunFailed": "needs a run that fails for good; its counter is tested with the ledger",
    "FlowNotClean": "needs the sample API to fail; tested with the flow",
    "RecordsNotBelieved": "needs contradicting prices; tested with the poll",
    "HouseAuthorityEnds": "needs a certificate of the house; its gauge is tested with the client",
    "WrdsSyncDiskWarning": "needs a full disk",
    "WrdsSyncDiskCritical": "needs a full disk",
    "WrdsSyncDiskBlocked": "needs a full disk; the service's side is tested with one",
    "WrdsSyncLockStale": "needs a writer that hangs for four hours",
    "WrdsSyncChecksumMismatch": "needs an archive; tested with the fake one",
    "WrdsSyncBackupFailed": "needs rclone and a remote; tested with a local one",
    "WrdsSyncCredentialExpiring": "needs an account",
    "WrdsSyncManifestMismatch": "needs an archive; tested with the fake one",
    "WrdsSyncDurationSloBreach": "needs an hour",
}
"""Alerts for which no cause is brought about here, and why."""


@pytest.fixture(scope="module")
def hub() -> Generator[MonitoredHub]:
    folder = Path(tempfile.mkdtemp(prefix="penstock-monitoring-"))
    try:
        with monitored_demo(folder, changes=THRESHOLDS) as running:
            yield running
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def empty_panels(hub: MonitoredHub) -> list[str]:
    """Panels without data since the demo began, before anything is disturbed."""
    return [
        f"{board.title}: {panel.title}: {query.expr}"
        for board in BOARDS
        for panel in board.panels
        if panel.may_be_empty is None
        for query in panel.queries
        if not hub.history(query.expr)
    ]


@pytest.fixture(scope="module")
def fired(hub: MonitoredHub, empty_panels: list[str]) -> set[str]:
    """The alerts that fired at some time while causes were brought about."""
    del empty_panels  # asked for first: a disturbed hub has other panels
    Causes(hub).all()
    return hub.prometheus.have_fired()


def test_every_query_of_every_panel_returns_data(empty_panels: list[str]) -> None:
    assert empty_panels == []


@pytest.mark.parametrize("service", [*FLOW, *OTHERS])
def test_the_metrics_of_a_service_are_clean_and_documented(hub: MonitoredHub, service: str) -> None:
    with urllib.request.urlopen(f"http://127.0.0.1:{hub.port(service)}/metrics") as answer:
        page = answer.read()
    checked = subprocess.run(
        ["promtool", "check", "metrics"], input=page, capture_output=True, check=False
    )
    named = {line.split()[2] for line in page.decode().splitlines() if line.startswith("# TYPE")}
    documented = {metric.name for metric in catalogue()}

    assert checked.returncode == 0, checked.stdout + checked.stderr
    ours = {name for name in named if not name.startswith(("process_", "python_"))}
    # A counter's moment of birth is exposed beside it.
    assert {name for name in ours if not name.endswith("_created")} <= documented


@pytest.mark.covers("E-06")
@pytest.mark.parametrize("alert", [name for name in ALERTS if name not in ONLY_PROMTOOL])
def test_an_alert_fires_for_a_real_cause(fired: set[str], alert: str) -> None:
    assert alert in fired


def test_the_list_of_what_only_promtool_tests_names_alerts() -> None:
    assert set(ONLY_PROMTOOL) <= set(ALERTS)
