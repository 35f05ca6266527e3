"""The manifests keep to the policies, and each policy notices when they do not."""

from collections.abc import Callable

import pytest

from tests.unit.deploy import policies
from tests.unit.deploy.policies import POLICIES, Policy
from tests.unit.deploy.rendered import OVERLAYS, Manifests, Resource, render, template_of


@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: policy.__name__)
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_manifests_keep_to_the_policy(overlay: str, policy: Policy) -> None:
    assert list(policy(render(overlay))) == []


def _pod(manifests: Manifests, kind: str = "Deployment", name: str = "scanner") -> Resource:
    found: Resource = template_of(manifests.get(kind, name))["spec"]
    return found


def _container(manifests: Manifests) -> Resource:
    found: Resource = _pod(manifests)["containers"][0]
    return found


def _misspell_a_field(manifests: Manifests) -> None:
    manifests.get("Deployment", "scanner")["spec"]["replicaz"] = 1


def _number_for_a_string(manifests: Manifests) -> None:
    trigger = manifests.get("ScaledObject", "ingestor")["spec"]["triggers"][0]
    trigger["metadata"]["lagThreshold"] = 2000


def _old_version(manifests: Manifests) -> None:
    manifests.of_kind("KafkaTopic")[0]["apiVersion"] = "kafka.strimzi.io/v1beta2"


def _star(manifests: Manifests) -> None:
    user = manifests.get("KafkaUser", "scanner")
    user["spec"]["authorization"]["acls"][0]["resource"]["name"] = "*"


def _select_others(manifests: Manifests) -> None:
    selector = manifests.get("Deployment", "scanner")["spec"]["selector"]
    selector["matchLabels"] = {"app.kubernetes.io/name": "ingestor"}


def _select_nobody(manifests: Manifests) -> None:
    manifests.get("Service", "console")["spec"]["selector"] = {"app": "console"}


def _probe_elsewhere(manifests: Manifests) -> None:
    _container(manifests)["livenessProbe"]["httpGet"]["port"] = "http"


def _monitor_elsewhere(manifests: Manifests) -> None:
    manifests.get("PodMonitor", "penstock")["spec"]["podMetricsEndpoints"][0]["port"] = "metrics"


def _writable_root(manifests: Manifests) -> None:
    _container(manifests)["securityContext"]["readOnlyRootFilesystem"] = False


def _run_as_root(manifests: Manifests) -> None:
    _pod(manifests)["securityContext"]["runAsUser"] = 0


def _job_with_token(manifests: Manifests) -> None:
    del _pod(manifests, "Job", "migrate")["automountServiceAccountToken"]


def _no_limit(manifests: Manifests) -> None:
    del _container(manifests)["resources"]["limits"]["memory"]


def _latest(manifests: Manifests) -> None:
    _container(manifests)["image"] = "registry.example.org:5000/penstock/scanner:latest"


def _no_tag(manifests: Manifests) -> None:
    _container(manifests)["image"] = "registry.example.org:5000/penstock/scanner"


def _forget_a_file(manifests: Manifests) -> None:
    del manifests.get("ConfigMap", "penstock-config")["data"]["entities.users.yaml"]


def _mount_nothing(manifests: Manifests) -> None:
    _container(manifests)["volumeMounts"][0]["name"] = "cache"


def _secret_in_the_environment(manifests: Manifests) -> None:
    _container(manifests)["env"].append(
        {
            "name": "DATABASE_URL",
            "valueFrom": {"secretKeyRef": {"name": "penstock-scanner", "key": "DATABASE_URL"}},
        }
    )


def _readable_secret(manifests: Manifests) -> None:
    volumes = {volume["name"]: volume for volume in _pod(manifests)["volumes"]}
    volumes["secrets"]["projected"]["defaultMode"] = 0o444


def _user_of_nobody(manifests: Manifests) -> None:
    users = [item for item in manifests.resources if item["metadata"]["name"] != "scanner"]
    manifests.resources = [*users, manifests.get("Deployment", "scanner")]


def _sixty_minutes(manifests: Manifests) -> None:
    manifests.get("CronJob", "daily-market")["spec"]["schedule"] = "60 5 * * *"


def _unknown_zone(manifests: Manifests) -> None:
    manifests.get("CronJob", "wrds-incremental")["spec"]["timeZone"] = "America/New York"


def _overlapping(manifests: Manifests) -> None:
    manifests.get("CronJob", "nightly-refresh")["spec"]["concurrencyPolicy"] = "Allow"


def _no_budget(manifests: Manifests) -> None:
    manifests.get("PodDisruptionBudget", "scanner")["metadata"]["name"] = "other"


def _short_grace(manifests: Manifests) -> None:
    _pod(manifests)["terminationGracePeriodSeconds"] = 30


def _open_door(manifests: Manifests) -> None:
    del manifests.get("NetworkPolicy", "console")["spec"]["ingress"][0]["from"]


def _no_default_deny(manifests: Manifests) -> None:
    manifests.get("NetworkPolicy", "default-deny")["spec"]["policyTypes"] = ["Ingress"]


def _unlabelled_pod(manifests: Manifests) -> None:
    labels = template_of(manifests.get("CronJob", "daily-market"))["metadata"]["labels"]
    del labels["app.kubernetes.io/part-of"]


@pytest.mark.parametrize(
    ("policy", "spoil"),
    [
        (policies.schemas, _misspell_a_field),
        (policies.schemas, _number_for_a_string),
        (policies.schemas, _old_version),
        (policies.schemas, _star),
        (policies.selectors, _select_others),
        (policies.selectors, _select_nobody),
        (policies.ports, _probe_elsewhere),
        (policies.ports, _monitor_elsewhere),
        (policies.restricted, _writable_root),
        (policies.restricted, _run_as_root),
        (policies.restricted, _job_with_token),
        (policies.restricted, _no_limit),
        (policies.images, _latest),
        (policies.images, _no_tag),
        (policies.references, _forget_a_file),
        (policies.references, _mount_nothing),
        (policies.secrets, _secret_in_the_environment),
        (policies.secrets, _readable_secret),
        (policies.secrets, _user_of_nobody),
        (policies.schedules, _sixty_minutes),
        (policies.schedules, _unknown_zone),
        (policies.schedules, _overlapping),
        (policies.availability, _no_budget),
        (policies.availability, _short_grace),
        (policies.network, _open_door),
        (policies.network, _no_default_deny),
        (policies.network, _unlabelled_pod),
    ],
    ids=lambda item: item.__name__,
)
def test_a_policy_notices_what_is_wrong(policy: Policy, spoil: Callable[[Manifests], None]) -> None:
    manifests = render("prod")
    spoil(manifests)

    assert list(policy(manifests)) != []
