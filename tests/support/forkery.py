"""Python programs without their imports: forked from a process that has made them already.

A command of `penstock` computes for one to two seconds before it does anything, and the tests start
some hundred. Here one process for each test worker imports what a program will, and every start is
a copy of it: a process of its own, with its own arguments, environment, folder and exit code. What
is proved about starting itself starts as a user does (`tests.support.command_line.executed`).

Run as a script it is that process. It reads requests from the socket which is its standard input,
each with the files for the program and a pipe, to which it writes the process id and the exit code.
"""

import atexit
import contextlib
import ctypes
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.support.paths import PROJECT

_REQUEST_BYTES = 256 * 1024
_PR_SET_PDEATHSIG = 1
_FILES = 4
"""Standard input, output, errors, and the pipe for the answer."""


# --- asking ----------------------------------------------------------------------------------
class Forkery:
    """The process that is forked, started when it is first needed; ends with this one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ours: socket.socket | None = None

    def run(
        self,
        module: str,
        *arguments: str,
        imports: Sequence[str],
        env: Mapping[str, str],
        timeout: float,
        cwd: Path | None = None,
    ) -> "subprocess.CompletedProcess[str]":
        """Run `python -m module arguments…` to its end, after these imports."""
        request = {"argv": [module, *arguments], "imports": imports, "env": dict(env)}
        command = ["python", "-m", module, *arguments]
        with (
            tempfile.TemporaryFile() as output,
            tempfile.TemporaryFile() as errors,
            Path(os.devnull).open("rb") as nothing,
        ):
            answer, theirs = os.pipe()
            with os.fdopen(answer, "rb", buffering=0) as told:
                try:
                    files = (nothing.fileno(), output.fileno(), errors.fileno(), theirs)
                    socket.send_fds(
                        self._socket(),
                        [json.dumps(request | {"cwd": str(cwd or Path.cwd())}).encode()],
                        files,
                    )
                finally:
                    os.close(theirs)
                pid = int(told.readline())
                if not select.select([told], [], [], timeout)[0]:
                    os.kill(pid, signal.SIGKILL)
                    raise subprocess.TimeoutExpired(command, timeout)
                code = int(told.readline())
            texts = []
            for file in (output, errors):
                file.seek(0)
                texts.append(file.read().decode())
        return subprocess.CompletedProcess(command, code, *texts)

    def _socket(self) -> socket.socket:
        with self._lock:
            if self._ours is None:
                self._ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
                with theirs:
                    process = subprocess.Popen(
                        [sys.executable, "-m", __name__],
                        stdin=theirs.fileno(),
                        stdout=subprocess.DEVNULL,
                        cwd=PROJECT,
                    )
                atexit.register(self._end, self._ours, process)
            return self._ours

    @staticmethod
    def _end(ours: socket.socket, process: "subprocess.Popen[bytes]") -> None:
        ours.close()
        process.wait()


FORKERY = Forkery()


# --- being forked ----------------------------------------------------------------------------
def _next_program() -> dict[str, Any]:
    """Serve until the socket is closed; return in each copy, with what it is to run."""
    control = socket.socket(fileno=os.dup(0))
    woken, wake = socket.socketpair()
    wake.setblocking(False)
    signal.set_wakeup_fd(wake.fileno())
    signal.signal(signal.SIGCHLD, lambda *_: None)
    answers: dict[int, int] = {}
    while True:
        readable, _, _ = select.select([control, woken], [], [])
        if woken in readable:
            woken.recv(4096)
            _tell_ended(answers)
        if control not in readable:
            continue
        message, files, _, _ = socket.recv_fds(control, _REQUEST_BYTES, _FILES)
        if not message:
            os._exit(0)
        request = json.loads(message)
        _import(request["imports"])
        parent = os.getpid()
        if (pid := os.fork()) == 0:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            _become(request, files, parent)
            for kept in (control, woken, wake):
                kept.close()
            for answer in (*answers.values(), *files):
                os.close(answer)
            return dict(request)
        for file in files[:-1]:
            os.close(file)
        answers[pid] = files[-1]
        os.write(files[-1], f"{pid}\n".encode())


def _tell_ended(answers: dict[int, int]) -> None:
    for pid in list(answers):
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            answer = answers.pop(pid)
            # Nobody reads it any more where the patience was at its end.
            with contextlib.suppress(BrokenPipeError):
                os.write(answer, f"{os.waitstatus_to_exitcode(status)}\n".encode())
            os.close(answer)


def _import(names: Sequence[str]) -> None:
    for name in names:
        importlib.import_module(name)
    # The copies need not touch, and so copy, what is there already.
    gc.freeze()


def _become(request: Mapping[str, Any], files: Sequence[int], parent: int) -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)
    for number, file in enumerate(files[:3]):
        os.dup2(file, number)
    environ = os.environ  # noqa: TID251 - handed on to the program
    environ.clear()
    environ.update(request["env"])
    os.chdir(request["cwd"])
    sys.argv = ["-m", *request["argv"][1:]]


if __name__ == "__main__":
    program = _next_program()
    runpy.run_module(program["argv"][0], run_name="__main__", alter_sys=True)
