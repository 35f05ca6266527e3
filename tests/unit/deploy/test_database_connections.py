"""However many replicas there are, their pools fit into what their database role may open."""

import re

import pytest

from chassis.settings import DatabaseSettings
from tests.support.paths import PROJECT
from tests.unit.deploy.rendered import Manifests, render, template_of

_ROLE = re.compile(r"\('penstock_(\w+)', true, (\d+)\)")


def _limits() -> dict[str, int]:
    text = (PROJECT / "deploy/postgres/roles.sql").read_text("utf-8")
    return {name: int(connections) for name, connections in _ROLE.findall(text)}


def _most_pods(manifests: Manifests, name: str) -> int:
    spec = manifests.get("Deployment", name)["spec"]
    count = spec.get("replicas", 0)
    if manifests.has("ScaledObject", name):
        count = manifests.get("ScaledObject", name)["spec"]["maxReplicaCount"]
    surge = spec["strategy"].get("rollingUpdate", {}).get("maxSurge", 0)
    return int(count) + int(surge)


@pytest.mark.parametrize(
    "name", ["scanner", "ingestor", "transformer", "refresher", "wrds-sync", "console"]
)
def test_all_pools_together_fit_the_role(name: str) -> None:
    manifests = render("prod")
    container = template_of(manifests.get("Deployment", name))["spec"]["containers"][0]
    variables = {entry["name"]: entry.get("value") for entry in container["env"]}
    default = DatabaseSettings.model_fields["pool_max_size"].default
    pool = int(variables.get("DATABASE_POOL_MAX_SIZE") or default)

    assert _most_pods(manifests, name) * pool <= _limits()[name.replace("-", "_")]
