"""Alerts lead to pages and are tested by promtool; alerts and dashboards ask for what exists."""

import json
import re
from typing import Any

import pytest
import typer
import yaml

from deploy.grafana.boards import BOARDS
from deploy.grafana.model import Board
from deploy.grafana.render import render_all
from penstock.cli import app as command_line
from scripts.metrics import catalogue
from tests.support.paths import PROJECT

FOLDER = PROJECT / "deploy/prometheus"
PAGES = PROJECT / "docs/operations/alerts"
HEADINGS = ["## How to look", "## What to do", "## When to stop worrying"]
OWNERS = {"hub-operations", "data-stewards", "warehouse"}
NAMES = re.compile(r"\b(?:penstock|scanner|ingestor|transformer|refresher|wrds_sync|console)_\w+")


def read(name: str) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load((FOLDER / name).read_text("utf-8"))
    return document


def rules(kind: str) -> list[dict[str, Any]]:
    return [
        rule
        for path in sorted(FOLDER.glob("*.rules.yaml"))
        for group in read(path.name)["groups"]
        for rule in group["rules"]
        if kind in rule
    ]


EXPOSED = {name for metric in catalogue() for name in metric.series}
ALERTS = {rule["alert"]: rule for rule in rules("alert")}
TESTED = {
    item["alertname"]: item
    for path in sorted(FOLDER.glob("*.rules.test.yaml"))
    for case in read(path.name)["tests"]
    for item in case["alert_rule_test"]
    if item["exp_alerts"]
}
SILENT = {
    item["alertname"]
    for path in sorted(FOLDER.glob("*.rules.test.yaml"))
    for case in read(path.name)["tests"]
    for item in case["alert_rule_test"]
    if not item["exp_alerts"]
}


@pytest.mark.covers("E-06")
@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_has_an_owner_a_severity_and_a_page(name: str) -> None:
    labels, annotations = ALERTS[name]["labels"], ALERTS[name]["annotations"]

    assert labels["severity"] in {"critical", "warning", "none"}
    assert labels["owner"] in OWNERS
    assert annotations["runbook_url"] == f"docs/operations/alerts/{name}.md"
    text = (PAGES / f"{name}.md").read_text("utf-8")
    assert text.startswith(f"# {name}\n")
    assert re.findall(r"^## .*", text, re.MULTILINE) == HEADINGS
    assert f"Severity `{labels['severity']}`, owner `{labels['owner']}`." in text


def test_every_page_is_an_alerts_and_the_list_names_them_all() -> None:
    pages = {path.stem for path in PAGES.glob("*.md")} - {"README"}

    assert pages == set(ALERTS)
    index = (PAGES / "README.md").read_text("utf-8")
    assert set(re.findall(r"^\| \[(\w+)\]", index, re.MULTILINE)) == pages


def test_links_of_the_pages_lead_somewhere() -> None:
    for path in PAGES.glob("*.md"):
        for target in re.findall(r"\]\(([^)#]+)\)", path.read_text("utf-8")):
            assert (path.parent / target).exists(), f"{path.name}: {target}"


def test_the_pages_name_commands_that_exist() -> None:
    group = typer.main.get_command(command_line)
    known = getattr(group, "commands", {})
    for path in PAGES.glob("*.md"):
        for first, second in re.findall(
            r"`penstock ([a-z-]+)(?: ([a-z][a-z-]*))?", path.read_text("utf-8")
        ):
            assert first in known, f"{path.name}: penstock {first}"
            inner = getattr(known[first], "commands", None)
            if inner and second:
                assert second in inner, f"{path.name}: penstock {first} {second}"


@pytest.mark.covers("E-06")
def test_every_alert_has_a_promtool_test_in_which_it_fires_and_one_in_which_it_does_not() -> None:
    assert set(ALERTS) == set(TESTED)
    assert set(ALERTS) - SILENT == {"Watchdog"}  # it always fires


@pytest.mark.parametrize(
    "rule", [*ALERTS.values(), *rules("record")], ids=lambda rule: next(iter(rule.values()))
)
def test_a_rule_asks_only_for_metrics_that_a_service_exposes(rule: dict[str, Any]) -> None:
    recorded = {item["record"] for item in rules("record")}
    expression = re.sub(r"\b(?:consumer|slo):\w+:\w+", "", rule["expr"])

    assert set(NAMES.findall(expression)) <= EXPOSED
    assert set(re.findall(r"\b(?:consumer|slo):\w+:\w+", rule["expr"])) <= recorded


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.uid)
def test_a_dashboard_asks_only_for_metrics_that_a_service_exposes(board: Board) -> None:
    recorded = {item["record"] for item in rules("record")}
    for panel in board.panels:
        assert panel.alert is None or panel.alert in ALERTS
        assert panel.says.endswith(".")
        for query in panel.queries:
            names = set(re.findall(r"\bconsumer:\w+:\w+", query.expr))
            assert names <= recorded
            assert set(NAMES.findall(re.sub(r"\bconsumer:\w+:\w+", "", query.expr))) <= EXPOSED


def test_dashboards_fill_their_rows_and_link_to_pages() -> None:
    for board in BOARDS:
        for row in board.rows:
            assert sum(panel.width for panel in row.panels) % 24 == 0, f"{board.title}: {row.title}"


def test_the_dashboards_json_is_what_the_model_says() -> None:
    for path, text in render_all().items():
        assert path.read_text("utf-8") == text, f"{path.name} is out of date; run `make docs`"
        document = json.loads(text)
        assert document["uid"].startswith("penstock-")
        assert len(document["panels"]) > 3


def test_grafana_is_told_of_the_data_source_that_the_panels_name() -> None:
    folder = PROJECT / "deploy/grafana/provisioning"
    sources = yaml.safe_load((folder / "datasources/prometheus.yaml").read_text("utf-8"))
    (provider,) = yaml.safe_load((folder / "dashboards/penstock.yaml").read_text("utf-8"))[
        "providers"
    ]

    assert [item["uid"] for item in sources["datasources"]] == ["prometheus"]
    assert provider["options"]["path"] == "/var/lib/grafana/dashboards"
