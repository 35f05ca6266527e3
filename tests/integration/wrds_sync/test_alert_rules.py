"""Every alert event has a rule that fires for it, and a runbook that exists."""

import shutil
import subprocess
from typing import Any

import pytest
import yaml

from tests.support.errors import MissingServerError
from tests.support.paths import PROJECT
from wrds_sync.domain.alerts import Alert

FOLDER = PROJECT / "deploy/prometheus"


def rules() -> list[dict[str, Any]]:
    document = yaml.safe_load((FOLDER / "wrds-sync.rules.yaml").read_text("utf-8"))
    found: list[dict[str, Any]] = document["groups"][0]["rules"]
    return found


@pytest.mark.covers("S5-42", "S5-106")
def test_each_of_the_ten_events_has_its_rule() -> None:
    assert [rule["labels"]["event"] for rule in rules()] == [item.value for item in Alert]
    assert len(Alert) == 10


@pytest.mark.covers("S5-103", "S5-107", "S5-108", "S5-109", "S5-110")
def test_each_rule_names_a_runbook_that_names_its_event() -> None:
    for rule in rules():
        text = (PROJECT / rule["annotations"]["runbook"]).read_text("utf-8")
        assert rule["labels"]["event"] in text
    assert (PROJECT / "docs/wrds/runbooks/duckdb-operations.md").exists()


@pytest.mark.covers("S5-42", "S5-43", "S5-44", "S5-45", "S5-46", "S5-47", "S5-48", "S5-49")
@pytest.mark.covers("S5-50", "S5-51")
def test_the_rules_pass_their_unit_tests() -> None:
    if shutil.which("promtool") is None:
        raise MissingServerError("The tests need promtool: install the Debian package prometheus.")
    done = subprocess.run(
        ["promtool", "test", "rules", "wrds-sync.rules.test.yaml"],
        cwd=FOLDER,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
