"""The Dockerfile knows every member, and agrees with the manifests about the port and the user."""

import re
import tomllib

from tests.support.paths import PROJECT
from tests.unit.deploy.loading import SERVICES
from tests.unit.deploy.rendered import render, template_of

TEXT = (PROJECT / "deploy/Dockerfile").read_text("utf-8")


def test_the_dependencies_of_every_member_are_installed_before_its_source() -> None:
    members = {
        path.relative_to(PROJECT).as_posix()
        for folder in ("libs/*", "services/*", "cli")
        for path in PROJECT.glob(f"{folder}/pyproject.toml")
    }
    copied = set(re.findall(r"^COPY (\S+/pyproject\.toml) ", TEXT, re.MULTILINE))

    assert copied == members
    assert TEXT.index("cli/pyproject.toml") < TEXT.index("--no-install-workspace")
    assert TEXT.index("--no-install-workspace") < TEXT.index("COPY services services")


def test_every_service_has_a_program_of_its_name_to_start() -> None:
    for service in (*SERVICES, "penstock"):
        folder = "cli" if service == "penstock" else f"services/{service}"
        document = tomllib.loads((PROJECT / folder / "pyproject.toml").read_text("utf-8"))
        assert service in document["project"]["scripts"]
        assert service in TEXT


def test_the_image_and_the_pods_agree() -> None:
    spec = template_of(render("prod").get("Deployment", "ingestor"))["spec"]
    ports = {port["name"]: port["containerPort"] for port in spec["containers"][0]["ports"]}
    mounts = {mount["mountPath"] for mount in spec["containers"][0]["volumeMounts"]}

    assert f"PENSTOCK_HTTP_PORT={ports['probes']}" in TEXT
    assert f"EXPOSE {ports['probes']}" in TEXT
    assert f"USER {spec['securityContext']['runAsUser']}:10001" in TEXT
    for place in mounts - {"/tmp"}:
        assert place in TEXT


def test_nothing_but_what_an_image_is_made_of_is_sent_to_the_builder() -> None:
    lines = (PROJECT / ".dockerignore").read_text("utf-8").splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    sent = {rule.removeprefix("!") for rule in rules if rule.startswith("!")}

    assert rules[0] == "*"
    assert sent == {"pyproject.toml", "uv.lock", "libs", "services", "cli"}


def test_the_version_of_uv_is_one_that_reads_the_lock() -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text("utf-8"))
    found = re.search(r"^ARG UV_VERSION=(\d+)\.(\d+)\.\d+$", TEXT, re.MULTILINE)
    least = re.search(r">=(\d+)\.(\d+)", project["tool"]["uv"]["required-version"])

    assert found
    assert least
    assert [int(part) for part in found.groups()] >= [int(part) for part in least.groups()]
