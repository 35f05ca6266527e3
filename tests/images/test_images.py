"""The images are built as they are shipped, and run read-only and unprivileged on real servers."""

import json
import shutil
import socket
from collections.abc import Generator
from pathlib import Path

import pytest

from tests.support.addresses import KafkaAddress, S3Address
from tests.support.errors import MissingServerError
from tests.support.eventually import wait_until
from tests.support.images import Builder, Sandbox
from tests.support.paths import PROJECT

pytestmark = pytest.mark.timeout(1800)

CONFIG = {"/etc/penstock": PROJECT / "config"}
SHARE = {
    "NAS_USERNAME": "penstock",
    "NAS_PASSWORD": "not-asked-here",
    "NAS_SERVER_IP": "127.0.0.1",
    "NAS_SERVER_NAME": "PENSTOCK",
    "NAS_SHARE_NAME": "data",
    "CLIENT_MACHINE_NAME": "penstock",
}
"""The example source is on a share; nothing is read from it here."""


@pytest.fixture(scope="module")
def builder(tmp_path_factory: pytest.TempPathFactory) -> Generator[Builder]:
    folder = tmp_path_factory.mktemp("images")
    made = Builder(folder)
    made.base()
    yield made
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def service_image(builder: Builder) -> str:
    return builder.build("ingestor", REVISION="abc123", VERSION="7")


@pytest.fixture(scope="module")
def command_image(builder: Builder) -> str:
    return builder.build("penstock")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def test_the_image_says_who_it_is_and_how_it_runs(builder: Builder, service_image: str) -> None:
    config = builder.config(service_image)

    assert config["User"] == "10001:10001"
    assert config["Entrypoint"] == ["/opt/penstock/bin/service"]
    assert config["Healthcheck"]["Test"][:2] == ["CMD", "python3"]
    assert config["Labels"]["org.opencontainers.image.title"] == "penstock-ingestor"
    assert config["Labels"]["org.opencontainers.image.revision"] == "abc123"
    assert config["Labels"]["org.opencontainers.image.version"] == "7"


def test_the_image_holds_the_service_and_no_tool_to_change_it(
    builder: Builder, service_image: str
) -> None:
    with builder.mounted(service_image) as root:
        programs = {path.name for path in (root / "opt/penstock/bin").iterdir()}
        packages = {path.name for path in root.glob("opt/penstock/lib/python3*/site-packages/*")}

        assert "ingestor" in programs
        assert {"pip", "uv", "pytest", "mypy"} & programs == set()
        assert {"ingestor", "chassis", "contracts"} <= packages
        assert {"scanner", "transformer", "console", "penstock", "pytest"} & packages == set()
        # Compiled before: at run time nothing can be written.
        assert list(root.glob("opt/penstock/lib/python3*/site-packages/ingestor/__pycache__/*"))
        assert not (root / "src").exists()
        assert not (root / "opt/uv").exists()
        assert not (root / "root/.cache").exists()


def test_a_service_without_settings_names_them_and_ends(
    builder: Builder, service_image: str
) -> None:
    with builder.mounted(service_image) as root:
        box = Sandbox(
            root=root, config=builder.config(service_image), environment={}, mounts=CONFIG
        )
        done = box.run("/opt/penstock/bin/service")

    assert done.returncode == 1
    assert "`DATABASE_URL` is missing" in done.stderr


def test_the_migrations_and_a_service_run_read_only_and_unprivileged(
    builder: Builder,
    service_image: str,
    command_image: str,
    *,
    empty_database_url: str,
    kafka: KafkaAddress,
    s3: S3Address,
    tmp_path: Path,
) -> None:
    servers = {"DATABASE_URL": empty_database_url} | kafka.env | s3.env
    with builder.mounted(command_image) as root:
        commands = Sandbox(
            root=root, config=builder.config(command_image), environment=servers, mounts=CONFIG
        )
        migrated = commands.run("/opt/penstock/bin/service", "migrate", "--phase", "pre", "--json")
        assert migrated.returncode == 0, migrated.stderr
        assert {item["owner"] for item in json.loads(migrated.stdout)} >= {"chassis", "ingestor"}
        made = commands.run("/opt/penstock/bin/service", "topics", "apply")
        assert made.returncode == 0, made.stderr
        written = commands.run("/bin/sh", "-c", "touch /opt/penstock/x; touch /x; id -u; id -un")
        assert written.stderr.count("Read-only file system") == 2
        assert written.stdout.split() == ["10001", "penstock"]

    with builder.mounted(service_image) as root:
        config = builder.config(service_image)
        port = {"PENSTOCK_HTTP_PORT": str(_free_port()), "PENSTOCK_HTTP_HOST": "127.0.0.1"}
        box = Sandbox(root=root, config=config, environment=servers | SHARE | port, mounts=CONFIG)
        with box.running(log := tmp_path / "ingestor.log") as service:
            health = config["Healthcheck"]["Test"][1:]
            wait_until(lambda: service.has_ended or not box.run(*health).returncode, timeout=300)
            assert not service.has_ended, log.read_text()[-2000:]
            facts = service.facts()
            code = service.stop()

    assert facts["CapEff"] == "0000000000000000"
    assert facts["NoNewPrivs"] == "1"
    assert code == 0, log.read_text()[-2000:]
    assert "service_stopped" in log.read_text()


def test_without_the_tools_the_run_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(MissingServerError, match="apt-get install buildah bubblewrap mmdebstrap"):
        Builder(tmp_path)
