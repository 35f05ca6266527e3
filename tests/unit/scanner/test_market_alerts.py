"""The alerts of record sources and flows lead to their runbook.

That each is silent, then fires, is said by the unit tests of the rules
(tests/integration/repository/test_monitoring_files.py).
"""

import pytest
import yaml

from tests.support.paths import PROJECT


@pytest.mark.covers("S3-18")
def test_every_rule_is_named_in_its_runbook() -> None:
    rules = (PROJECT / "deploy/prometheus/market.rules.yaml").read_text("utf-8")
    (group,) = yaml.safe_load(rules)["groups"]

    for rule in group["rules"]:
        assert rule["alert"] in (PROJECT / rule["annotations"]["runbook"]).read_text("utf-8")
