"""What every manifest must keep to; each policy returns what is wrong with an overlay.

They stand apart from the tests, so that the negative controls can ask them about spoiled manifests.
"""

import functools
import json
import re
from collections.abc import Callable, Iterator
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import kubernetes_validate
import yaml
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from tests.support.paths import PROJECT
from tests.unit.deploy.rendered import Manifests, Resource, template_of

KUBERNETES_VERSION = "1.34"
"""The oldest that is supported: `preStop.sleep` is stable since then."""

_SCHEMAS = yaml.safe_load(
    (PROJECT / "tests/unit/deploy/schemas/custom-resources.yaml").read_text("utf-8")
)
_CRON_RANGES = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))

Policy = Callable[[Manifests], Iterator[str]]


def _named(item: Resource) -> str:
    return f"{item['kind']} {item['metadata']['name']}"


def schemas(manifests: Manifests) -> Iterator[str]:
    """Everything fits the schema of its kind, and has no field that the schema does not know."""
    for item in manifests.resources:
        for problem in _schema_problems(json.dumps(item, sort_keys=True)):
            yield f"{_named(item)}: {problem}"


@functools.cache
def _schema_problems(text: str) -> tuple[str, ...]:
    item = json.loads(text)
    try:
        kubernetes_validate.validate(item, KUBERNETES_VERSION, strict=True)
    except kubernetes_validate.SchemaNotFoundError:
        return tuple(_custom_resource(item))
    except kubernetes_validate.ValidationError as error:
        return (str(error.message),)
    return ()


def _custom_resource(item: Resource) -> Iterator[str]:
    kind = f"{item['apiVersion']}/{item['kind']}"
    spec = _SCHEMAS["kinds"].get(kind)
    if spec is None:
        yield f"no schema for {kind}"
        return
    schema = {
        "$defs": _SCHEMAS["$defs"],
        "type": "object",
        "required": ["apiVersion", "kind", "metadata", "spec"],
        "additionalProperties": False,
        "properties": {
            "apiVersion": {},
            "kind": {},
            "metadata": {"$ref": "#/$defs/metadata"},
            "spec": spec,
        },
    }
    for error in Draft202012Validator(schema).iter_errors(item):
        place = ".".join(str(part) for part in error.path)
        yield f"{place}: {error.message}"


def selectors(manifests: Manifests) -> Iterator[str]:
    """Whatever selects pods selects some; a Deployment selects its own only."""
    templates = {
        name: template["metadata"].get("labels", {}) for name, template in manifests.pods()
    }
    for item in manifests.of_kind("Deployment"):
        wanted = item["spec"]["selector"]["matchLabels"]
        found = [name for name, labels in templates.items() if wanted.items() <= labels.items()]
        if found != [_named(item)]:
            yield f"{_named(item)} selects {found}"
        for spread in template_of(item)["spec"].get("topologySpreadConstraints", ()):
            if spread["labelSelector"]["matchLabels"] != wanted:
                yield f"{_named(item)} spreads other pods"
    for item in manifests.of_kind("Service", "NetworkPolicy", "PodDisruptionBudget", "PodMonitor"):
        spec = item["spec"]
        selector = spec.get("podSelector") or spec.get("selector")
        wanted = selector.get("matchLabels", selector)
        if not any(wanted.items() <= labels.items() for labels in templates.values()):
            yield f"{_named(item)} selects no pod: {wanted}"


def ports(manifests: Manifests) -> Iterator[str]:
    """A port that is referred to exists on the container."""
    for item in manifests.of_kind("Deployment"):
        yield from (f"{_named(item)}: {problem}" for problem in _probes(item))
        service = item["metadata"]["name"]
        if manifests.has("Service", service):
            offered = manifests.get("Service", service)["spec"]["ports"]
            if {port["targetPort"] for port in offered} - _port_names(template_of(item)):
                yield f"Service {service} leads to an unknown port"
    for item in manifests.of_kind("PodMonitor"):
        yield from _monitored(manifests, item)
    for item in manifests.of_kind("Ingress"):
        paths = [path for rule in item["spec"]["rules"] for path in rule["http"]["paths"]]
        for backend in (path["backend"]["service"] for path in paths):
            offered = manifests.get("Service", backend["name"])["spec"]["ports"]
            if backend["port"]["name"] not in {port["name"] for port in offered}:
                yield f"{_named(item)} leads to an unknown port"


def _probes(item: Resource) -> Iterator[str]:
    pod = template_of(item)
    container = pod["spec"]["containers"][0]
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        if probe not in container:
            yield f"no {probe}"
        elif container[probe]["httpGet"]["port"] not in _port_names(pod):
            yield f"{probe} asks an unknown port"


def _monitored(manifests: Manifests, monitor: Resource) -> Iterator[str]:
    wanted = monitor["spec"]["selector"]["matchLabels"]
    asked = {endpoint["port"] for endpoint in monitor["spec"]["podMetricsEndpoints"]}
    for name, pod in manifests.pods():
        if wanted.items() <= pod["metadata"]["labels"].items() and asked - _port_names(pod):
            yield f"{_named(monitor)} asks {name} at an unknown port"


def _port_names(pod: Resource) -> set[str]:
    return {port["name"] for port in pod["spec"]["containers"][0].get("ports", ())}


def restricted(manifests: Manifests) -> Iterator[str]:
    """Pods keep to the restricted profile, and to more: read-only root, no token, limits."""
    for name, pod in manifests.pods():
        spec = pod["spec"]
        security = spec.get("securityContext", {})
        wanted = {
            "runs as root": security.get("runAsNonRoot") is True
            and security.get("runAsUser") == 10001,
            "seccomp": security.get("seccompProfile") == {"type": "RuntimeDefault"},
            "token": spec.get("automountServiceAccountToken") is False,
            "service links": spec.get("enableServiceLinks") is False,
            "service account": manifests.has("ServiceAccount", spec.get("serviceAccountName", "")),
            "host": not {"hostNetwork", "hostPID", "hostIPC"} & spec.keys(),
            "volumes": all(
                {"configMap", "secret", "projected", "emptyDir", "persistentVolumeClaim"}
                & volume.keys()
                for volume in spec["volumes"]
            ),
        }
        yield from (f"{name}: {what}" for what, is_kept in wanted.items() if not is_kept)
        for container in (*spec["containers"], *spec.get("initContainers", ())):
            yield from (f"{name}: {problem}" for problem in _container(container))


def _container(container: Resource) -> Iterator[str]:
    security = container.get("securityContext", {})
    if security.get("allowPrivilegeEscalation") is not False:
        yield "privileges may grow"
    if security.get("readOnlyRootFilesystem") is not True:
        yield "the root is writable"
    if security.get("capabilities") != {"drop": ["ALL"]}:
        yield "capabilities"
    if "privileged" in security:
        yield "privileged"
    resources = container.get("resources", {})
    for kind in ("requests", "limits"):
        if missing := {"cpu", "memory", "ephemeral-storage"} - resources.get(kind, {}).keys():
            yield f"{kind} without {', '.join(sorted(missing))}"


def images(manifests: Manifests) -> Iterator[str]:
    """An image has a tag or a digest, and no tag that moves by name."""
    for name, pod in manifests.pods():
        for container in pod["spec"]["containers"]:
            image = container["image"].rpartition("/")[2]
            tag = image.partition("@")[2] or image.partition(":")[2]
            if tag in ("", "latest"):
                yield f"{name}: {container['image']}"


def references(manifests: Manifests) -> Iterator[str]:
    """ConfigMaps, keys, claims and mounted volumes that are referred to exist."""
    maps = {item["metadata"]["name"]: item for item in manifests.of_kind("ConfigMap")}
    for name, pod in manifests.pods():
        volumes = {volume["name"]: volume for volume in pod["spec"]["volumes"]}
        for volume in volumes.values():
            if source := volume.get("configMap"):
                known = maps.get(source["name"], {}).get("data", {})
                if missing := {item["key"] for item in source["items"]} - known.keys():
                    yield f"{name}: ConfigMap {source['name']} has no {', '.join(sorted(missing))}"
            claim = volume.get("persistentVolumeClaim")
            if claim and not manifests.has("PersistentVolumeClaim", claim["claimName"]):
                yield f"{name}: no claim {claim['claimName']}"
        container = pod["spec"]["containers"][0]
        if unknown := {mount["name"] for mount in container["volumeMounts"]} - volumes.keys():
            yield f"{name}: mounts {', '.join(unknown)}, which is no volume"
        asked = {source["configMapRef"]["name"] for source in container.get("envFrom", ())}
        if unknown := asked - maps.keys():
            yield f"{name}: no ConfigMap {', '.join(unknown)}"


def secrets(manifests: Manifests) -> Iterator[str]:
    """No credential stands in a manifest or reaches an environment; others cannot read files."""
    for item in manifests.of_kind("Secret"):
        if item["metadata"]["name"].rpartition("-")[0] != "lag-observer-logon":
            yield f"{_named(item)} is in the manifests"
    users = {item["metadata"]["name"] for item in manifests.of_kind("KafkaUser")}
    for name, pod in manifests.pods():
        for variable in pod["spec"]["containers"][0].get("env", ()):
            if "secretKeyRef" in variable.get("valueFrom", {}):
                yield f"{name}: {variable['name']} is a secret in the environment"
        for volume in pod["spec"]["volumes"]:
            source = volume.get("projected") or volume.get("secret")
            if source is None:
                continue
            if source.get("defaultMode") != 0o440:
                yield f"{name}: everybody may read {volume['name']}"
            known = {secret for secret in _secret_names(source) if secret.startswith("penstock-")}
            if unknown := set(_secret_names(source)) - known - users:
                yield f"{name}: {', '.join(unknown)} is nobody's Secret"


def _secret_names(source: Resource) -> list[str]:
    if "secretName" in source:
        return [source["secretName"]]
    return [part["secret"]["name"] for part in source["sources"]]


def schedules(manifests: Manifests) -> Iterator[str]:
    """A CronJob has a schedule and a zone that exist, and neither doubles nor starts too late."""
    for item in manifests.of_kind("CronJob"):
        spec = item["spec"]
        fields = spec["schedule"].split()
        if len(fields) != len(_CRON_RANGES) or not all(
            _is_cron_field(text, least, most)
            for text, (least, most) in zip(fields, _CRON_RANGES, strict=False)
        ):
            yield f"{_named(item)}: schedule {spec['schedule']!r}"
        try:
            ZoneInfo(spec.get("timeZone", ""))
        except (ZoneInfoNotFoundError, ValueError):
            yield f"{_named(item)}: zone {spec.get('timeZone')!r}"
        if spec.get("concurrencyPolicy") != "Forbid":
            yield f"{_named(item)}: may overlap"
        if not 600 <= spec.get("startingDeadlineSeconds", 0) <= 7200:
            yield f"{_named(item)}: starts at any time"


def _is_cron_field(text: str, least: int, most: int) -> bool:
    for part in text.split(","):
        found = re.fullmatch(r"(\*|(\d+)(-(\d+))?)(/[1-9]\d*)?", part)
        if not found:
            return False
        numbers = [int(number) for number in (found[2], found[4]) if number is not None]
        if any(not least <= number <= most for number in numbers):
            return False
        if numbers != sorted(numbers):
            return False
    return True


def availability(manifests: Manifests) -> Iterator[str]:
    """Every Deployment has a disruption budget that lets a drain go on, and time to end."""
    for item in manifests.of_kind("Deployment"):
        name = item["metadata"]["name"]
        if not manifests.has("PodDisruptionBudget", name):
            yield f"{_named(item)} has no disruption budget"
            continue
        budget = manifests.get("PodDisruptionBudget", name)["spec"]
        if budget.get("maxUnavailable") != 1:
            yield f"{_named(item)}: its budget could block a drain"
        grace = template_of(item)["spec"].get("terminationGracePeriodSeconds", 0)
        if grace < 45:
            yield f"{_named(item)} is killed after {grace} s"


def network(manifests: Manifests) -> Iterator[str]:
    """All traffic is refused by default, and every pod has a policy that says what is not."""
    policies = manifests.of_kind("NetworkPolicy")
    denies = [item for item in policies if item["metadata"]["name"] == "default-deny"]
    if not denies or set(denies[0]["spec"]["policyTypes"]) != {"Ingress", "Egress"}:
        yield "nothing is denied by default"
        return
    wanted = denies[0]["spec"]["podSelector"]["matchLabels"]
    for name, pod in manifests.pods():
        labels = pod["metadata"]["labels"]
        if not wanted.items() <= labels.items():
            yield f"{name} is not denied by default"
        own = {"app.kubernetes.io/name": labels["app.kubernetes.io/name"]}
        if not any(item["spec"]["podSelector"].get("matchLabels") == own for item in policies):
            yield f"{name} has no policy of its own"
    for item in policies:
        for rule in item["spec"].get("ingress", ()):
            if "from" not in rule:
                yield f"{_named(item)} lets everybody in"
        for rule in item["spec"].get("egress", ()):
            if "ports" not in rule:
                yield f"{_named(item)} lets everything out"


POLICIES: tuple[Policy, ...] = (
    schemas,
    selectors,
    ports,
    restricted,
    images,
    references,
    secrets,
    schedules,
    availability,
    network,
)
