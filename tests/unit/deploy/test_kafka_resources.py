"""Topics, users and autoscalers say what the code says; by hand where the code could be wrong."""

import pytest

from contracts.topics import TOPICS, topic_specs
from scripts.manifests import outputs
from tests.unit.deploy.rendered import OVERLAYS, render, template_of

PARTITIONS = {topic.name: topic.partitions for topic in TOPICS}


def test_the_generated_files_are_up_to_date() -> None:
    late = [path.name for path, text in outputs().items() if path.read_text("utf-8") != text]
    assert late == [], "run `make docs`"


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_there_is_a_resource_for_every_topic_and_no_other(overlay: str) -> None:
    found = {item["metadata"]["name"] for item in render(overlay).of_kind("KafkaTopic")}

    assert found == {spec.name for spec in topic_specs()}
    assert {"file.changed", "file.changed.ingestor.dead", "bronze.stored"} <= found


def test_a_topic_survives_a_broker_in_production_and_fits_one_in_development() -> None:
    production = render("prod").get("KafkaTopic", "file.changed")["spec"]
    development = render("dev").get("KafkaTopic", "file.changed")["spec"]

    assert (production["partitions"], production["replicas"]) == (6, 3)
    assert production["config"]["min.insync.replicas"] == 2
    assert production["config"]["cleanup.policy"] == "delete"
    assert (development["partitions"], development["replicas"]) == (6, 1)
    assert development["config"]["min.insync.replicas"] == 1


def _rights(user: str) -> set[tuple[str, str, str]]:
    acls = render("prod").get("KafkaUser", user)["spec"]["authorization"]["acls"]
    return {
        (rule["resource"]["type"], rule["resource"]["name"], operation)
        for rule in acls
        for operation in rule["operations"]
    }


def test_a_service_may_do_its_work_and_nothing_else() -> None:
    rights = _rights("ingestor")

    assert ("topic", "file.changed", "Read") in rights
    assert ("topic", "bronze.stored", "Write") in rights
    assert ("topic", "file.changed.ingestor.dead", "Write") in rights
    assert ("group", "ingestor", "Read") in rights
    assert ("topic", "bronze.stored", "Read") not in rights
    assert ("topic", "silver.changed", "Write") not in rights
    assert {name for kind, name, _ in rights if kind == "group"} == {"ingestor"}


def test_the_clock_may_send_commands_only() -> None:
    commands = {topic.name for topic in TOPICS if topic.is_command}
    written = {name for _, name, operation in _rights("penstock") if operation == "Write"}

    assert written == commands


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_service_logs_on_as_its_own_user(overlay: str) -> None:
    manifests = render(overlay)
    users = {item["metadata"]["name"] for item in manifests.of_kind("KafkaUser")}

    for item in manifests.of_kind("Deployment"):
        spec = template_of(item)["spec"]
        variables = {entry["name"]: entry.get("value") for entry in spec["containers"][0]["env"]}
        volumes = {volume["name"]: volume for volume in spec["volumes"]}
        sources = [part["secret"] for part in volumes["secrets"]["projected"]["sources"]]
        name = item["metadata"]["name"]
        assert variables["KAFKA_SASL_USERNAME"] == name
        assert name in users
        assert {
            "name": name,
            "items": [{"key": "password", "path": "KAFKA_SASL_PASSWORD"}],
        } in sources


def test_what_is_scaled_reads_its_own_lag_up_to_one_replica_a_partition() -> None:
    manifests = render("prod")
    scaled = {item["metadata"]["name"]: item["spec"] for item in manifests.of_kind("ScaledObject")}

    assert scaled.keys() == {"scanner", "ingestor", "transformer"}
    for service, spec in scaled.items():
        asked = [trigger["metadata"] for trigger in spec["triggers"]]
        assert {item["consumerGroup"] for item in asked} == {service}
        assert {item["topic"] for item in asked} == {
            topic.name for topic in TOPICS if service in topic.consumers and not topic.is_command
        }
        assert spec["maxReplicaCount"] <= max(PARTITIONS[item["topic"]] for item in asked)
        assert "replicas" not in manifests.get("Deployment", service)["spec"]


def test_who_asks_for_the_lag_may_look_and_not_read() -> None:
    rights = _rights("lag-observer")

    assert {operation for _, _, operation in rights} == {"Describe"}
    assert ("group", "transformer", "Describe") in rights
    assert ("topic", "bronze.stored", "Describe") in rights
