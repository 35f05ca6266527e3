"""`penstock up | status | env | logs | down` as a user types them."""

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import IO

import asyncpg

from penstock.stack import PartName, Stack, StackSettings
from tests.support.command_line import executed, penstock, start_penstock
from tests.support.eventually import wait_until

_EXPORTS = [
    "AWS_ACCESS_KEY_ID",
    "AWS_REGION",
    "AWS_SECRET_ACCESS_KEY",
    "CLIENT_MACHINE_NAME",
    "DATABASE_URL",
    "KAFKA_BOOTSTRAP_SERVERS",
    "NAS_BASE_PATH",
    "NAS_PASSWORD",
    "NAS_PORT",
    "NAS_SERVER_IP",
    "NAS_SERVER_NAME",
    "NAS_SHARE_NAME",
    "NAS_USERNAME",
    "PENSTOCK_SHARE_KIND",
    "PENSTOCK_SHARE_PATH",
    "S3_BUCKET",
    "S3_ENDPOINT_URL",
]


def _exports(state_dir: Path) -> dict[str, str]:
    """Return what a shell knows after `eval "$(penstock env)"`."""
    printed = penstock("env", state_dir=state_dir).stdout
    shell = subprocess.run(
        ["env", "-i", "sh", "-c", f"{printed}\nexec env"],
        capture_output=True,
        text=True,
        check=True,
    )
    ignored = {"PWD", "SHLVL", "_", "PATH", "OLDPWD"}
    pairs = (line.partition("=") for line in shell.stdout.splitlines())
    return {name: value for name, _, value in pairs if name not in ignored}


def _read_until(command: "subprocess.Popen[str]", text: str) -> IO[str]:
    output = command.stdout
    assert output is not None
    wait_until(lambda: text in output.readline(), timeout=30)
    return output


async def test_the_whole_stack_from_up_to_down(state_dir: Path) -> None:
    up = executed("up", state_dir=state_dir)
    assert up.returncode == 0, up.stderr
    assert f"The stack is up in {state_dir}." in up.stderr
    assert up.stdout == ""

    exports = _exports(state_dir)
    assert sorted(exports) == _EXPORTS
    connection = await asyncpg.connect(exports["DATABASE_URL"])
    assert await connection.fetchval("select current_database()") == "penstock"
    await connection.close()

    again = penstock("up", state_dir=state_dir, environment=exports)
    assert again.returncode == 0, again.stderr
    assert f"Joined the stack that runs in {state_dir}." in again.stderr

    status = penstock("status", "--json", state_dir=state_dir)
    assert status.returncode == 0
    report = json.loads(status.stdout)
    assert report["running"] is True
    assert {name: part["status"] for name, part in report["parts"].items()} == {
        "kafka": "ready",
        "postgres": "ready",
        "s3": "ready",
        "smb": "ready",
    }
    assert exports["NAS_PASSWORD"] not in status.stdout, "status is for eyes, env for clients"

    logs = penstock("logs", "-n", "200", state_dir=state_dir).stdout
    assert "postgres   | " in logs
    assert "database system is ready to accept connections" in logs
    only = penstock("logs", "postgres", "-n", "1", state_dir=state_dir).stdout
    assert only.count("\n") == 1
    assert " | " not in only

    down = penstock("down", state_dir=state_dir)
    assert down.stdout == f"The stack is stopped in {state_dir}.\n"
    stopped = penstock("status", state_dir=state_dir)
    assert stopped.returncode == 1
    assert stopped.stdout.count("stopped") == 4


def test_old_exports_of_the_same_stack_do_not_count_as_foreign_servers(
    state_dir: Path,
) -> None:
    assert penstock("up", "--only", "postgres", state_dir=state_dir).returncode == 0
    exports = _exports(state_dir)
    assert penstock("down", state_dir=state_dir).returncode == 0
    up = penstock("up", "--only", "postgres", state_dir=state_dir, environment=exports)
    assert up.returncode == 0, up.stderr
    status = json.loads(penstock("status", "--json", state_dir=state_dir).stdout)
    assert status["parts"]["postgres"]["status"] == "ready"
    assert _exports(state_dir) == exports
    penstock("down", state_dir=state_dir)


def test_a_killed_server_shows_and_up_starts_it_again(
    state_dir: Path, settings: StackSettings
) -> None:
    assert penstock("up", "--only", "smb", state_dir=state_dir).returncode == 0
    report = Stack(settings=settings).status()
    assert report is not None
    process = report.parts[PartName.SMB].process
    assert process is not None
    os.kill(process.pid, signal.SIGKILL)
    status = penstock("status", state_dir=state_dir)
    assert status.returncode == 1
    assert "dead" in status.stdout
    assert penstock("up", "--only", "smb", state_dir=state_dir).returncode == 0
    assert penstock("status", state_dir=state_dir).returncode == 0
    penstock("down", state_dir=state_dir)


def test_ctrl_c_stops_a_stack_in_the_foreground(state_dir: Path, settings: StackSettings) -> None:
    with start_penstock("up", "--foreground", "--only", "smb", state_dir=state_dir) as command:
        _read_until(command, "Press Ctrl-C")
        os.killpg(command.pid, signal.SIGINT)
        assert command.wait(20) == 0
    assert Stack(settings=settings).down() is False


def test_ctrl_c_while_it_starts_leaves_nothing_behind(
    state_dir: Path, settings: StackSettings
) -> None:
    with start_penstock("up", "--only", "postgres", state_dir=state_dir) as command:
        output = _read_until(command, "postgres")
        os.killpg(command.pid, signal.SIGINT)
        assert command.wait(20) != 0
        assert "Traceback" not in output.read()
    assert Stack(settings=settings).down() is False


def test_a_foreground_stack_dies_with_a_command_that_is_killed(
    state_dir: Path, settings: StackSettings
) -> None:
    with start_penstock("up", "--foreground", "--only", "smb", state_dir=state_dir) as command:
        _read_until(command, "Press Ctrl-C")
        command.kill()
    wait_until(lambda: not Stack(settings=settings).state_dir.is_supervised())
