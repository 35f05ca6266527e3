"""`penstock run`: services in the foreground, as a person starts them."""

import contextlib
import re
import signal
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path

import psutil
import pytest

from tests.support.addresses import KafkaAddress
from tests.support.command_line import command_environment, penstock
from tests.support.eventually import wait_until
from tests.support.paths import PROJECT

pytestmark = pytest.mark.timeout(300)


@contextlib.contextmanager
def started(
    service: str, folder: Path, log: Path, **environment: str
) -> Generator["subprocess.Popen[bytes]"]:
    """Have the command run in the project's folder, and never longer than the test."""
    # The configuration is named as it is seen from there.
    given = environment | {"PENSTOCK_CONFIG_DIRECTORY": "config"}
    with (
        log.open("w") as output,
        subprocess.Popen(
            [sys.executable, "-m", "penstock", "run", service],
            env=command_environment(folder, **given),
            cwd=PROJECT,
            stderr=output,
            start_new_session=True,
        ) as command,
    ):
        try:
            yield command
        finally:
            command.kill()


def test_a_service_that_dies_is_started_again_and_ctrl_c_stops_all(
    kafka: KafkaAddress, database_url: str, tmp_path: Path
) -> None:
    log = tmp_path / "run.log"
    with started("transformer", tmp_path, log, **kafka.env, DATABASE_URL=database_url) as command:
        wait_until(lambda: "Press Ctrl-C" in log.read_text(), timeout=100)
        [service] = psutil.Process(command.pid).children()
        service.kill()
        wait_until(lambda: log.read_text().count("transformer is ready") == 2, timeout=100)
        assert re.search(r"transformer has ended, and is started again in \d s", log.read_text())

        command.send_signal(signal.SIGINT)
        assert command.wait(60) == 0
    assert "Stopping" in log.read_text()


def test_a_service_that_is_named_must_start(tmp_path: Path) -> None:
    told = penstock("run", "refresher", state_dir=tmp_path)
    assert told.returncode == 1
    assert "refresher ended with exit code" in told.stderr
    assert "`DATABASE_URL` is missing" in told.stderr


def test_a_service_that_does_not_exist_is_told(tmp_path: Path) -> None:
    told = penstock("run", "scaner", state_dir=tmp_path)
    assert (told.returncode, told.stdout) == (1, "")
    assert "there is no service 'scaner'; services: scanner, ingestor" in told.stderr
