"""What can be wrong with a machine: each ends in one sentence that helps and exit code 1."""

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path

import pytest

from tests.support.command_line import command_environment, executed, penstock

Completed = subprocess.CompletedProcess[str]


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """An empty folder to be the whole PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    return folder


def _link(programs: Path, name: str) -> None:
    real = shutil.which(name)
    assert real is not None, f"{name} is needed on the PATH of this machine"
    (programs / name).symlink_to(real)


def _script(programs: Path, name: str, body: str) -> None:
    script = programs / name
    script.write_text(f"#!/bin/sh\n{body}\n")
    script.chmod(0o755)


def _assert_told(result: Completed, *sentences: str) -> None:
    """Exit code 1, the sentences, no traceback, and nothing still running."""
    told = [line for line in result.stderr.splitlines() if line.startswith("penstock: ")]
    assert result.returncode == 1, result.stderr
    assert "Traceback" not in result.stderr
    assert told == [f"penstock: {sentence}" for sentence in sentences], result.stderr


def _assert_nothing_runs(state_dir: Path) -> None:
    result = penstock("down", state_dir=state_dir)
    assert result.stdout == f"No stack was running in {state_dir}.\n"


def test_missing_java_is_told(state_dir: Path, programs: Path) -> None:
    result = penstock(
        *("up", "--only", "kafka"),
        state_dir=state_dir,
        environment={"PATH": str(programs), "JAVA_HOME": ""},
    )
    _assert_told(
        result,
        "Java is missing, and Kafka and the S3 server need Java 17 or newer: run "
        "scripts/install-system.sh, or install the Debian package openjdk-17-jre-headless.",
    )
    _assert_nothing_runs(state_dir)


def test_an_old_java_is_told(state_dir: Path, programs: Path) -> None:
    _script(programs, "java", """echo 'openjdk version "11.0.22" 2024-01-16' >&2""")
    result = penstock(
        *("up", "--only", "kafka"),
        state_dir=state_dir,
        environment={"PATH": str(programs), "JAVA_HOME": ""},
    )
    _assert_told(
        result,
        f"{programs}/java is Java 11, and Kafka needs Java 17 or newer: run "
        "scripts/install-system.sh, or install the Debian package openjdk-17-jre-headless, "
        "or set JAVA_HOME.",
    )


def test_missing_maven_is_told_only_when_it_is_needed(
    state_dir: Path, programs: Path, tmp_path: Path
) -> None:
    _link(programs, "java")
    result = penstock(
        *("up", "--only", "s3"),
        state_dir=state_dir,
        environment={"PATH": str(programs), "PENSTOCK_CACHE_DIR": str(tmp_path / "empty")},
    )
    _assert_told(
        result,
        "Maven is missing, and it fetches the s3proxy server the first time: "
        "run scripts/install-system.sh, or install the Debian package maven.",
    )


def test_a_failed_download_says_what_maven_said(
    state_dir: Path, programs: Path, tmp_path: Path
) -> None:
    _link(programs, "java")
    _script(
        programs,
        "mvn",
        "echo '[ERROR] Could not transfer artifact: Network is unreachable'; exit 1",
    )
    cache = tmp_path / "empty"
    result = penstock(
        *("up", "--only", "s3"),
        state_dir=state_dir,
        environment={"PATH": f"{programs}:/bin", "PENSTOCK_CACHE_DIR": str(cache)},
    )
    _assert_told(
        result,
        "Maven could not fetch the s3proxy server (Could not transfer artifact: Network is "
        "unreachable); check the network and ~/.m2/settings.xml (all of it is in "
        f"{state_dir}/logs/s3.log).",
    )
    assert [path.name for path in cache.iterdir()] == ["s3proxy.lock"], "no half download stays"


@pytest.fixture
def taken_port() -> Generator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def test_a_taken_port_is_told_and_the_rest_is_stopped(state_dir: Path, taken_port: int) -> None:
    result = penstock(
        *("up", "--only", "postgres,smb", "--port", f"postgres={taken_port}"),
        state_dir=state_dir,
    )
    _assert_told(
        result,
        f"Port {taken_port} for postgres is taken by another program; stop that program, "
        "or choose another with --port postgres=NUMBER.",
    )
    _assert_nothing_runs(state_dir)


def test_an_address_where_nothing_answers_is_told(state_dir: Path) -> None:
    result = penstock(
        *("up", "--only", "postgres"),
        state_dir=state_dir,
        environment={"DATABASE_URL": "postgresql://someone:secret@127.0.0.1:1/hub"},
    )
    _assert_told(
        result,
        "DATABASE_URL points to 127.0.0.1:1, where nothing answers; start that server, "
        "or unset DATABASE_URL to have one started here.",
    )
    assert "secret" not in result.stdout + result.stderr


def test_a_given_server_is_used_and_not_started(state_dir: Path, taken_port: int) -> None:
    url = f"postgresql://someone:secret@127.0.0.1:{taken_port}/hub"
    environment = {"DATABASE_URL": url}
    up = penstock("up", "--only", "postgres", state_dir=state_dir, environment=environment)
    assert up.returncode == 0, up.stderr
    exports = penstock("env", state_dir=state_dir)
    assert exports.stdout == f"export DATABASE_URL={url}\n"
    assert not (state_dir / "postgres").exists()
    assert penstock("down", state_dir=state_dir).returncode == 0


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    result = penstock("up", state_dir=tmp_path / "file" / "stack")
    _assert_told(
        result,
        f"{tmp_path}/file/stack: Not a directory; choose another PENSTOCK_STATE_DIR.",
    )


def _small_disk(folder: Path, megabytes: int) -> list[str]:
    """Return a command prefix under which `folder` is a disk of that size.

    The disk lives in a mount namespace, so it is gone with the command. Empty where the machine
    forbids mounting: tests then take a simulation.
    """
    user = [] if os.geteuid() == 0 else ["--map-root-user", "--user"]
    mount = f'mount -t tmpfs -o size={megabytes}m tmpfs {folder} && exec "$@"'
    prefix = ["unshare", "--mount", *user, "sh", "-c", mount, "sh"]
    allowed = subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode == 0
    return prefix if allowed else []


def _run_stack(state_dir: Path, part: str, *, free_bytes: int, prefix: list[str]) -> Completed:
    """Start a part in another process that believes to have so many bytes of disk."""
    code = (
        "import sys; from penstock.stack import *\n"
        f"stack = Stack(settings=read_settings(), fast=True, free_bytes=lambda _: {free_bytes})\n"
        f"try: stack.up([PartName({part!r})], tied=True)\n"
        "except StackError as error: sys.exit(f'penstock: {error}')"
    )
    return subprocess.run(
        [*prefix, sys.executable, "-c", code],
        env=command_environment(state_dir),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_a_disk_without_room_is_told_before_anything_starts(state_dir: Path) -> None:
    prefix = _small_disk(state_dir, 64)
    if prefix:
        result = executed("up", "--only", "postgres", state_dir=state_dir, prefix=prefix)
    else:
        result = _run_stack(state_dir, "postgres", free_bytes=64 * 1024 * 1024, prefix=prefix)
    _assert_told(
        result,
        f"Only 67 MB are free for {state_dir}, and the stack needs 536 MB: free some space, "
        "or choose another folder with PENSTOCK_STATE_DIR.",
    )


def test_a_disk_that_fills_while_a_database_is_created_is_told(state_dir: Path) -> None:
    # The room is there when it is looked for, and gone when initdb writes.
    prefix = _small_disk(state_dir, 16)
    if prefix:
        result = _run_stack(state_dir, "postgres", free_bytes=10**12, prefix=prefix)
        _assert_told(
            result,
            f"postgres ended because the disk of {state_dir} is full; "
            "free some space and run `penstock up` again.",
        )
    else:
        _assert_full_device_is_told(state_dir)


def test_a_disk_that_fills_while_a_configuration_is_written_is_told(state_dir: Path) -> None:
    _assert_full_device_is_told(state_dir)


def _assert_full_device_is_told(state_dir: Path) -> None:
    (state_dir / "smb").mkdir()
    (state_dir / "smb" / "users.map").symlink_to("/dev/full")
    _assert_told(
        penstock("up", "--only", "smb", state_dir=state_dir),
        f"The disk of {state_dir} is full; free some space, "
        "or choose another folder with PENSTOCK_STATE_DIR.",
    )


def test_status_and_env_tell_when_nothing_runs(state_dir: Path) -> None:
    _assert_told(
        penstock("status", state_dir=state_dir),
        f"There was never a stack in {state_dir}; start one with `penstock up`.",
    )
    _assert_told(
        penstock("env", state_dir=state_dir),
        f"No stack is running in {state_dir}; start it with `penstock up`.",
    )


def test_a_mistyped_part_is_told(state_dir: Path) -> None:
    _assert_told(
        penstock("up", "--only", "kafak", state_dir=state_dir),
        "--only takes some of kafka, postgres, s3, smb, separated by commas, not 'kafak'.",
    )
