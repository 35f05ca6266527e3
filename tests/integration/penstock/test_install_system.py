"""The installer of system packages, on machines that lack something (fakes stand in for apt)."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.paths import PROJECT

SCRIPT = PROJECT / "scripts" / "install-system.sh"
_LIBRARIES = "libltdl.so.7 (libc6) => x libgssapi_krb5.so.2 (libc6) => y"
_PROGRAMS = (
    "smbd",
    "pdbedit",
    "smbclient",
    "mvn",
    "slapd",
    "ldapmodify",
    "squid",
    "ntlm_auth",
    "promtool",
    "amtool",
    "rclone",
    "kcat",
    "chromium",
)
_SHELL_TOOLS = ("bash", "chmod", "env", "head", "sed")


class Machine:
    """A PATH that holds exactly what a test puts there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder / "apt.log"
        folder.mkdir()
        for name in _SHELL_TOOLS:
            real = shutil.which(name)
            assert real is not None
            (folder / name).symlink_to(real)
        for name in _PROGRAMS:
            self.has(name, "true")
        self.has("ldconfig", f"echo '{_LIBRARIES}'")
        self.has("java", """echo 'openjdk version "21.0.1" 2023-10-17' >&2""")

    def has(self, name: str, body: str) -> None:
        program = self.folder / name
        program.unlink(missing_ok=True)
        program.write_text(f"#!{shutil.which('bash')}\n{body}\n")
        program.chmod(0o755)

    def lacks(self, *names: str) -> None:
        for name in names:
            (self.folder / name).unlink()

    def has_apt(self, *, user_id: int, java: str, installs: str = "") -> None:
        self.has("id", f"echo {user_id}")
        self.has("apt-cache", f"[[ $2 == {java} ]]")
        self.has(
            "apt-get", f'echo "$@" >> {self.log}\nif [ "$1" = install ]; then :; {installs}\nfi'
        )

    def install(self) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [self.folder / "bash", SCRIPT],
            env={"PATH": str(self.folder)},
            capture_output=True,
            text=True,
            check=False,
            timeout=20,
        )


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path / "bin")


def test_a_complete_machine_is_left_alone_in_silence(machine: Machine) -> None:
    result = machine.install()
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_a_user_is_told_which_packages_to_install(machine: Machine) -> None:
    machine.lacks("java", "mvn", "smbclient")
    machine.has_apt(user_id=1000, java="openjdk-21-jre-headless")
    result = machine.install()
    assert result.returncode == 1
    assert result.stderr == (
        "Penstock needs Debian packages that are missing; install them with: sudo apt-get install "
        "--no-install-recommends openjdk-21-jre-headless maven smbclient\n"
    )
    assert not machine.log.exists()


def test_the_libraries_of_the_sql_server_driver_are_looked_for_one_by_one(
    machine: Machine,
) -> None:
    machine.has("ldconfig", "echo 'libgssapi_krb5.so.2 (libc6) => y'")
    machine.has_apt(user_id=1000, java="openjdk-21-jre-headless")
    assert machine.install().stderr.endswith("--no-install-recommends libltdl7\n")


def test_root_installs_what_is_missing(machine: Machine) -> None:
    machine.lacks("mvn")
    machine.has("java", """echo 'openjdk version "1.8.0_392"' >&2""")
    fix = (
        f"printf '#!/bin/sh\\n' > {machine.folder}/mvn; chmod 755 {machine.folder}/mvn;"
        f"""printf '#!/bin/sh\\necho version \\\\"17.0.1\\\\" >&2\\n' > {machine.folder}/java"""
    )
    machine.has_apt(user_id=0, java="openjdk-17-jre-headless", installs=fix)
    result = machine.install()
    assert (result.returncode, result.stderr) == (
        0,
        "Installing openjdk-17-jre-headless maven\n",
    )
    assert machine.log.read_text().splitlines() == [
        "update -qq",
        "install -y -qq --no-install-recommends openjdk-17-jre-headless maven",
    ]


def test_an_installation_that_changed_nothing_is_an_error(machine: Machine) -> None:
    machine.lacks("mvn")
    machine.has_apt(user_id=0, java="openjdk-17-jre-headless")
    result = machine.install()
    assert result.returncode == 1
    assert result.stderr.endswith("but these are still missing: maven\n")


def test_a_machine_without_apt_is_told_what_is_needed(machine: Machine) -> None:
    machine.lacks("mvn")
    result = machine.install()
    assert result.returncode == 1
    assert "libltdl, the Kerberos libraries and Samba; this machine has no apt-get" in result.stderr
