"""The running hub, watched by a real Prometheus: panels have data, alerts fire for real causes.

It takes about a quarter of an hour, so it has a target of its own: `make monitoring`.
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
from tests.chaos.causes_sources import SourceCauses
from tests.chaos.causes_wrds import WrdsCauses, small_disk
from tests.chaos.monitored import SERVICES, MonitoredHub, monitored_demo
from tests.chaos.scene import Told
from tests.support.paths import PROJECT

pytestmark = pytest.mark.timeout(2400)

RULES = PROJECT / "deploy/prometheus"
ALERTS = [
    rule["alert"]
    for path in sorted(RULES.glob("*.rules.yaml"))
    for group in yaml.safe_load(path.read_text("utf-8"))["groups"]
    for rule in group["rules"]
    if "alert" in rule
]
BY_THE_DEMO = {
    # Two broken files wait for a decision.
    "DeadLettersOpen": "up{job='ingestor'} == 1",
    # More files are deleted at once than the guard lets pass.
    "DeletionsHeld": "up{job='scanner'} == 1",
    # The archive drops a column.
    "DriftWaiting": "up{job='wrds_sync'} == 1",
    # A plan would replace rows.
    "RefreshAwaitsApproval": "up{job='refresher'} == 1",
    # Nothing is refreshed, nor does the flow run, after the demo's figures are right.
    "TableStale": "min(refresher_refreshed_timestamp_seconds) > 0",
    "FlowMissed": "sum(penstock_runs_total{kind='flow'}) > 0",
}
"""What happens in the demo by itself, and what could be seen before it."""

ALWAYS = {"Watchdog"}


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
def told(hub: MonitoredHub, empty_panels: list[str]) -> Told:
    """What came of causes that were brought about one after the other."""
    del empty_panels  # asked for first: a disturbed hub has other panels
    told = Told()
    SourceCauses(hub, told).all()
    with small_disk(hub.folder / "small-disk") as disk:
        WrdsCauses(hub, told, disk).all()
    Causes(hub, told).all()
    return told


@pytest.fixture(scope="module")
def fired(hub: MonitoredHub, told: Told) -> set[str]:
    del told
    return hub.prometheus.have_fired()


def test_every_query_of_every_panel_returns_data(empty_panels: list[str]) -> None:
    assert empty_panels == []


@pytest.mark.parametrize("service", SERVICES)
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
@pytest.mark.parametrize("alert", ALERTS)
def test_an_alert_fires_for_a_real_cause(fired: set[str], alert: str) -> None:
    assert alert in fired


def test_every_alert_has_a_cause_and_is_silent_before_it(told: Told) -> None:
    assert told.expected | set(BY_THE_DEMO) | ALWAYS == set(ALERTS)
    assert told.expected & (set(BY_THE_DEMO) | ALWAYS) == set()
    assert told.early == set()


@pytest.mark.parametrize("alert", BY_THE_DEMO)
def test_what_the_demo_brings_about_is_silent_before(
    hub: MonitoredHub, told: Told, alert: str
) -> None:
    del told
    firing = f'group(ALERTS{{alertstate="firing", alertname="{alert}"}})'

    assert hub.history(f"group({BY_THE_DEMO[alert]}) unless on () {firing}")
