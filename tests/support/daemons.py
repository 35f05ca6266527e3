"""Server processes of a test's own: found off the user's PATH, awaited, and killed at once."""

import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

from penstock.stack.ports import LOOPBACK
from tests.support.errors import MissingServerError

_PATH = os.pathsep.join([*os.get_exec_path(), "/usr/sbin", "/usr/local/sbin", "/usr/libexec"])
_START_SECONDS = 20.0


class Daemon:
    """One server, that may be started again after it was killed.

    Args:
        command: what runs it, in the foreground.
        ports: on all of them it listens once it is started.
        log: gets what it writes.
    """

    def __init__(self, *command: str | Path, ports: tuple[int, ...], log: Path) -> None:
        self._command = command
        self._ports = ports
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the server and wait until it answers."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        deadline = time.monotonic() + _START_SECONDS
        while not all(map(_is_listening, self._ports)):
            if self._process.poll() is not None or time.monotonic() > deadline:
                name, text = Path(self._command[0]).name, self._log.read_text()[-800:]
                raise MissingServerError(f"{name} did not start: {text}")
            time.sleep(0.02)

    def kill(self) -> None:
        """End the server, its children and every connection, at once."""
        if self._process is not None:
            if self._process.poll() is None:
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None


def find_program(name: str, advice: str) -> str:
    """Return the path of a program; `advice` says how to get it."""
    found = shutil.which(name, path=_PATH)
    if found is None:
        raise MissingServerError(advice)
    return found


def _is_listening(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex((LOOPBACK, port)) == 0
