"""docker-compose.yml is Compose, starts in an order that works, and gives each service what it
reads."""

import json
import re
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator  # type: ignore[import-untyped]

from chassis.sources import load_sources
from ingestor.settings import read_record_sections, read_sections
from refresher.adapters.config_file import load_config
from scanner.settings.records import RecordSections
from scripts.compose import compose_sources
from tests.support.paths import PROJECT
from tests.unit.deploy.loading import SERVICES, known_names, load

SCHEMA = json.loads((PROJECT / "tests/unit/deploy/schemas/compose-spec.json").read_text("utf-8"))
OURS = (*SERVICES, "migrate", "topics", "sample-api")
JOBS = frozenset({"migrate", "topics", "bucket"})
_VARIABLE = re.compile(r"\$\{(\w+)(?::-([^}]*))?\}")


def _document() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((PROJECT / "docker-compose.yml").read_text("utf-8"))
    return found


def _services() -> dict[str, Any]:
    found: dict[str, Any] = _document()["services"]
    return found


def _environment(service: str) -> dict[str, str]:
    """Return a container's environment where nothing is set outside."""
    given = _services()[service].get("environment", {})
    image = {
        "PENSTOCK_CONFIG_DIRECTORY": str(PROJECT / "deploy/compose"),
        "PENSTOCK_HTTP_HOST": "0.0.0.0",
        "PENSTOCK_HTTP_PORT": "8080",
    }
    return image | {
        name: _VARIABLE.sub(lambda found: found[2] or "", str(value))
        for name, value in given.items()
    }


def test_the_file_keeps_to_the_compose_specification() -> None:
    assert [error.message for error in Draft7Validator(SCHEMA).iter_errors(_document())] == []


@pytest.mark.parametrize(
    ("place", "value"),
    [("helthcheck", {}), ("ports", 8000), ("depends_on", {"kafka": {"condition": "ready"}})],
)
def test_a_mistake_is_noticed(place: str, value: object) -> None:
    document = _document()
    document["services"]["console"][place] = value

    assert list(Draft7Validator(SCHEMA).iter_errors(document)) != []


def test_images_are_pinned() -> None:
    images = {item["image"] for item in _services().values() if "image" in item}
    loose = [image for image in images if image.partition(":")[2] in ("", "latest")]

    assert {"apache/kafka:4.3.1", "penstock/penstock:dev"} <= images
    assert loose == []


def test_what_somebody_waits_for_exists_and_can_be_told() -> None:
    services = _services()
    for name, item in services.items():
        for awaited, how in item.get("depends_on", {}).items():
            assert awaited in services, name
            if how["condition"] == "service_completed_successfully":
                assert awaited in JOBS
                assert "restart" not in services[awaited]
            if how["condition"] == "service_healthy":
                has_own = "healthcheck" in services[awaited]
                assert has_own or "build" in services[awaited], f"{name} waits for {awaited}"


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_waits_for_the_migrations_the_topics_and_the_bucket(service: str) -> None:
    awaited = _services()[service]["depends_on"]

    assert awaited.keys() >= JOBS


@pytest.mark.parametrize("service", SERVICES)
def test_every_service_runs_read_only_and_unprivileged(service: str) -> None:
    item = _services()[service]

    assert item["read_only"] is True
    assert item["cap_drop"] == ["ALL"]
    assert item["security_opt"] == ["no-new-privileges:true"]
    assert item["entrypoint"] == [service]


def test_volumes_and_files_that_are_mounted_exist() -> None:
    named = set(_document()["volumes"])
    used = set()
    for name, item in _services().items():
        for volume in item.get("volumes", ()):
            source = volume.partition(":")[0]
            if source.startswith("."):
                assert (PROJECT / source).exists(), f"{name}: {source}"
            else:
                used.add(source)
    assert used == named


def test_only_this_machine_can_reach_a_port() -> None:
    published = [port for item in _services().values() for port in item.get("ports", ())]

    assert published
    assert [port for port in published if not port.startswith("127.0.0.1:")] == []


def test_a_password_is_the_demonstrations_unless_another_is_given() -> None:
    text = (PROJECT / "docker-compose.yml").read_text("utf-8")
    defaults = {found[1]: found[2] for found in _VARIABLE.finditer(text) if found[2] is not None}

    assert {"POSTGRES_PASSWORD", "S3_SECRET", "SMB_PASSWORD", "LDAP_PASSWORD"} <= set(defaults)
    assert {value for value in defaults.values() if value and "local-demo" not in value} == set()


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_reads_every_variable_that_it_is_given(service: str) -> None:
    referred = {
        name
        for document in [compose_sources(PROJECT / "config")]
        for name in re.findall(r"env:([A-Z_]+)", json.dumps(document, default=str))
    }
    given = set(_environment(service))

    assert given - known_names(service) - referred == set()


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_starts_with_what_it_is_given(service: str) -> None:
    settings = load(service, _environment(service))

    assert settings.kafka.bootstrap_servers == "kafka:9092"


def test_the_jobs_are_given_the_servers_that_they_need() -> None:
    assert "DATABASE_URL" in _environment("migrate")
    assert "KAFKA_BOOTSTRAP_SERVERS" in _environment("topics")


def test_the_sources_can_be_read_by_scanner_and_ingestor() -> None:
    sources = load_sources(PROJECT / "deploy/compose")

    assert {item.name for item in sources.sources} == {
        "transcripts",
        "mcommunity_ldap",
        "tdx_users",
        "tdx_accounts",
        "umich_departments",
        "umich_employees",
        "russell_2000",
        "fmp_prices",
        "fmp_dcf",
    }
    assert read_sections(sources).keys() == {"transcripts"}
    assert len(read_record_sections(sources)) == 8
    for entry in sources.sources:
        if entry.records is not None:
            RecordSections.model_validate({"records": entry.records, "scan": entry.scan})


def test_no_source_of_the_demonstration_leaves_the_machine() -> None:
    text = (PROJECT / "deploy/compose/sources.yaml").read_text("utf-8")
    hosts = set(re.findall(r"(?:https?|ldaps?)://([\w.-]+)", text))

    assert hosts == {"sample-api", "slapd"}


def test_the_refresher_can_read_its_file() -> None:
    config = load_config(PROJECT / "deploy/compose/refresh.yaml")

    assert [table.name for table in config.tables] == ["countries", "orders"]


def test_prometheus_asks_every_service() -> None:
    scraped = yaml.safe_load((PROJECT / "deploy/compose/prometheus.yaml").read_text("utf-8"))
    jobs = {
        item["job_name"]: item["static_configs"][0]["targets"] for item in scraped["scrape_configs"]
    }

    assert jobs.keys() == {*SERVICES, "prometheus"}
    assert jobs["ingestor"] == ["ingestor:8080"]
