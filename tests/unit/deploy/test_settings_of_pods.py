"""What a pod is given is what its process reads: every variable known, every required one set."""

from pathlib import Path

import pytest

from chassis.errors import SettingsError
from chassis.settings import KafkaSettings, load_settings
from chassis.sources import load_sources
from penstock.settings import KafkaAccess
from scanner.settings.flows import load_flows
from tests.support.tls_site import write_authority
from tests.unit.deploy.loading import SERVICES, here, known_names, load, secret_value
from tests.unit.deploy.rendered import OVERLAYS, Manifests, Resource, render, template_of

IMAGE = {
    "PENSTOCK_CONFIG_DIRECTORY": "/etc/penstock",
    "PENSTOCK_HTTP_HOST": "0.0.0.0",
    "PENSTOCK_HTTP_PORT": "8080",
}
"""What deploy/Dockerfile sets."""


def _variables(manifests: Manifests, item: Resource) -> dict[str, str]:
    """Return what the container's environment will be, without what the image sets."""
    container = template_of(item)["spec"]["containers"][0]
    found: dict[str, str] = {}
    for source in container.get("envFrom", ()):
        found |= manifests.get("ConfigMap", source["configMapRef"]["name"])["data"]
    return found | {entry["name"]: entry.get("value", "") for entry in container.get("env", ())}


def _files(item: Resource) -> set[str]:
    """Return the names of the secret files that the pod is given."""
    declared = item["metadata"].get("annotations", {}).get("secret-keys", "").split()
    spec = template_of(item)["spec"]
    volume = next(volume for volume in spec["volumes"] if volume["name"] == "secrets")
    paths = {
        entry["path"]
        for part in volume["projected"]["sources"]
        for entry in part["secret"].get("items", ())
    }
    return set(declared) | paths


def _service(item: Resource) -> str:
    return str(item["metadata"]["name"]).replace("-", "_")


def _write_config(manifests: Manifests, item: Resource, folder: Path) -> Path:
    """Lay the mounted configuration out as the kubelet does."""
    volumes = {volume["name"]: volume for volume in template_of(item)["spec"]["volumes"]}
    source = volumes["config"]["configMap"]
    data = manifests.get("ConfigMap", source["name"])["data"]
    for entry in source["items"]:
        path = folder / entry["path"]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(data[entry["key"]], "utf-8")
    return folder


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_a_service_reads_every_variable_that_it_is_given(overlay: str, service: str) -> None:
    manifests = render(overlay)
    item = manifests.get("Deployment", service.replace("_", "-"))
    given = _variables(manifests, item).keys() | _files(item) | IMAGE.keys()

    assert given - known_names(service) == set()


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_a_service_starts_with_what_it_is_given(overlay: str, service: str, tmp_path: Path) -> None:
    manifests = render(overlay)
    item = manifests.get("Deployment", service.replace("_", "-"))
    write_authority(tmp_path)
    config = _write_config(manifests, item, tmp_path / "config")
    secrets = {name: secret_value(name) for name in _files(item)}
    given = here(
        IMAGE | _variables(manifests, item) | secrets, config=config, ca_file=tmp_path / "ca.pem"
    )

    settings = load(service, given)

    assert settings.kafka.security_protocol == "SASL_SSL"
    assert settings.process.http_port == 8080
    with pytest.raises(SettingsError, match="DATABASE_URL"):
        load(service, {name: value for name, value in given.items() if name != "DATABASE_URL"})


@pytest.mark.parametrize("name", ["daily-market", "nightly-refresh", "wrds-incremental"])
def test_a_cron_job_is_given_what_sending_a_command_needs(name: str, tmp_path: Path) -> None:
    manifests = render("prod")
    item = manifests.get("CronJob", name)
    variables = _variables(manifests, item)
    write_authority(tmp_path)
    given = here(variables, config=tmp_path, ca_file=tmp_path / "ca.pem")
    given |= {file: secret_value(file) for file in _files(item)}
    kafka: KafkaSettings = load_settings(KafkaAccess, environment=given).kafka

    assert kafka.sasl_username == "penstock"
    assert variables["LOGNAME"] == f"cron/{name}"
    unknown = {variable for variable in variables if variable not in known_names("penstock")}
    assert {variable for variable in unknown if not variable.startswith("PENSTOCK_")} == set()


def test_the_migration_is_given_the_database_and_the_rules() -> None:
    item = render("prod").get("Job", "migrate")
    mounts = template_of(item)["spec"]["containers"][0]["volumeMounts"]

    assert _files(item) == {"DATABASE_URL"}
    assert "/etc/penstock" in {mount["mountPath"] for mount in mounts}


def test_the_mounted_configuration_can_be_read(tmp_path: Path) -> None:
    manifests = render("prod")
    item = manifests.get("Deployment", "scanner")

    folder = _write_config(manifests, item, tmp_path)

    assert [source.name for source in load_sources(folder).sources] == ["transcripts"]
    assert (folder / "entities/users.yaml").is_file()
    assert (folder / "nas/config.yaml").is_file()


@pytest.mark.covers("S3-15", "C-23")
def test_one_clock_asks_for_the_flow_and_the_mirror(tmp_path: Path) -> None:
    manifests = render("prod")
    folder = _write_config(manifests, manifests.get("Deployment", "scanner"), tmp_path)
    flow = next(item for item in load_flows(folder).flows if item.name == "daily-market")
    mirror = _variables(manifests, manifests.get("Deployment", "wrds-sync"))

    assert flow.schedule is None
    assert [step.name for step in flow.steps] == ["universe", "prices", "dcf"]
    assert mirror["WRDS_SYNC_SCHEDULE"] == "false"
    assert manifests.get("CronJob", "daily-market")["spec"]["schedule"] == "0 5 * * *"
    assert manifests.get("CronJob", "daily-market")["spec"]["timeZone"] == "Etc/UTC"
