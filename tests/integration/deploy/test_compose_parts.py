"""What docker-compose.yml mounts into servers is understood by those servers themselves."""

import shutil
import socket
import subprocess
from collections.abc import Generator
from pathlib import Path

import pytest
import yaml

from tests.support.errors import MissingServerError
from tests.support.eventually import wait_until
from tests.support.paths import PROJECT

COMPOSE = PROJECT / "deploy/compose"
PRESET = PROJECT / "config/presets/mcommunity.yaml"
READER = ("-D", "cn=reader,dc=umich,dc=edu", "-w", "local-demo")
_PLACES = "/usr/sbin:/usr/bin:/usr/local/sbin"


def _program(name: str) -> str:
    found = shutil.which(name) or shutil.which(name, path=_PLACES)
    if found is None:
        raise MissingServerError(f"{name} is missing: run scripts/install-system.sh")
    return found


def _run(*command: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)


def test_samba_understands_its_configuration() -> None:
    done = _run(_program("testparm"), "-s", "--suppress-prompt", str(COMPOSE / "samba/smb.conf"))

    assert done.returncode == 0
    assert "WARNING" not in done.stderr
    assert "valid users = penstock" in done.stdout


def test_prometheus_understands_its_configuration(tmp_path: Path) -> None:
    text = (COMPOSE / "prometheus.yaml").read_text("utf-8")
    (file := tmp_path / "prometheus.yml").write_text(
        text.replace("/etc/prometheus/rules", str(PROJECT / "deploy/prometheus"))
    )

    done = _run(_program("promtool"), "check", "config", str(file))

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def directory(tmp_path: Path) -> Generator[str]:
    """The directory of Compose, with its paths moved."""
    text = (COMPOSE / "slapd/slapd.conf").read_text("utf-8")
    places = {
        "/run/slapd": str(tmp_path),
        "/etc/penstock-ldap": str(COMPOSE / "slapd"),
        "/var/lib/ldap": str(tmp_path),
    }
    for before, after in places.items():
        text = text.replace(before, after)
    (file := tmp_path / "slapd.conf").write_text(text)
    (tmp_path / "rootpw.conf").write_text("rootpw local-demo\n")
    slapd = _program("slapd")
    filled = _run(slapd, "-T", "add", "-f", str(file), "-l", str(COMPOSE / "slapd/directory.ldif"))
    assert filled.returncode == 0, filled.stderr
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"ldap://127.0.0.1:{listener.getsockname()[1]}"
    process = subprocess.Popen((slapd, "-f", str(file), "-h", url, "-d", "0"))
    try:
        wait_until(lambda: not _search(url, "-b", "", "-s", "base").returncode)
        yield url
    finally:
        process.terminate()
        process.wait()


def _search(url: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return _run(_program("ldapsearch"), "-x", "-LLL", "-H", url, *arguments)


def test_the_directory_answers_what_the_preset_asks(directory: str) -> None:
    asked = yaml.safe_load(PRESET.read_text("utf-8"))["sources"][0]["records"]
    search = ("-b", asked["base"], asked["filter"], *asked["attributes"])

    found = _search(directory, *READER, *search).stdout
    seen_by_nobody = _search(directory, *search).stdout

    assert found.count("\nuid: ") == 25
    assert found.count("\numichTitle: ") > 10
    assert "uid: " not in seen_by_nobody
