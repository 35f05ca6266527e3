"""The alerts of record sources and flows: each is silent, then fires, and leads to its runbook."""

import shutil
import subprocess

import pytest
import yaml

from tests.support.errors import MissingServerError
from tests.support.paths import PROJECT

FOLDER = PROJECT / "deploy/prometheus"


@pytest.mark.covers("S3-18")
def test_the_rules_pass_their_unit_tests() -> None:
    if shutil.which("promtool") is None:
        raise MissingServerError("The tests need promtool: install the Debian package prometheus.")
    done = subprocess.run(
        ["promtool", "test", "rules", "market.rules.test.yaml"],
        cwd=FOLDER,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.covers("S3-18")
def test_every_rule_is_named_in_its_runbook() -> None:
    document = yaml.safe_load((FOLDER / "market.rules.yaml").read_text("utf-8"))
    (group,) = document["groups"]

    for rule in group["rules"]:
        assert rule["alert"] in (PROJECT / rule["annotations"]["runbook"]).read_text("utf-8")
