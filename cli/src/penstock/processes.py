"""Services as processes of this machine: for the demo, the end-to-end tests and the chaos tests.

Each is started as an operator starts it, `python -m <service>` with settings in its environment. It
is killed by the kernel when the process that started it dies, so nothing is orphaned.

    async with ServiceProcesses(env, folder) as services:
        await services.start("scanner", "ingestor")
        await services["scanner"].kill()
        await services["scanner"].start()
"""

import asyncio
import contextlib
import http.client
import json
import os
import signal
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Self

from penstock.stack import exec_child
from penstock.stack.errors import StackError
from penstock.stack.processes import kill_group

SERVICES = ("scanner", "ingestor", "transformer")
"""In the order in which changes flow."""

READY_SECONDS = 60.0
STOP_SECONDS = 40.0
"""Longer than the services' own grace period: past it something is wrong."""

_PROBE_SECONDS = 4.0
_POLL_SECONDS = 0.05
_LAST_LINES = 5
_INHERITED = ("HOME", "LANG", "LC_ALL", "PATH", "TMPDIR", "TZ")


class ServiceProcessError(StackError):
    """A service process did not do what it should; the message says where to look."""


class ServiceProcess:
    """One process of a service, running or not; every run appends to the same log file."""

    def __init__(self, service: str, env: Mapping[str, str], log: Path) -> None:
        self.service = service
        self.log = log
        self._env = dict(env)
        self._process: asyncio.subprocess.Process | None = None
        self._log_offset = 0
        self._port: int | None = None

    @property
    def is_running(self) -> bool:
        """Whether the process lives."""
        return self._process is not None and self._process.returncode is None

    @property
    def pid(self) -> int:
        """The process id of the present run."""
        return self._running().pid

    @property
    def http_port(self) -> int | None:
        """Where probes and metrics are served; None until the present run has said so."""
        if self._port is None:
            for line in _parse(_read(self.log, self._log_offset)):
                if line.get("event") == "probes_listening":
                    self._port = int(line["port"])
        return self._port

    async def start(self, **changes: str) -> None:
        """Start a run, with changes to its environment; returns before it is ready.

        Call it in the main thread: the kernel ties the process to the thread that starts it.
        """
        if self.is_running:
            raise ServiceProcessError(f"{self.service} runs already, as process {self.pid}.")
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self._log_offset = self.log.stat().st_size if self.log.exists() else 0
        self._port = None
        with self.log.open("ab") as output:
            self._process = await asyncio.create_subprocess_exec(
                # SIGKILL: the guarantees hold without a farewell, and nobody would wait for one.
                *(sys.executable, "-I", "-S", exec_child.__file__),
                *(str(os.getpid()), str(int(signal.SIGKILL)), "-", "/"),
                *(sys.executable, "-m", self.service),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd="/",
                env=_inherited() | self._env | changes,
                start_new_session=True,
            )

    async def until_ready(self, *, seconds: float = READY_SECONDS) -> None:
        """Return once `/readyz` is green.

        Raises:
            ServiceProcessError: the process ended, or was not ready in time.
        """
        deadline = time.monotonic() + seconds
        problems = "it never opened its probes"
        while time.monotonic() < deadline:
            if not self.is_running:
                raise ServiceProcessError(self._explain_exit())
            if (port := self.http_port) is not None:
                ready, problems = await asyncio.to_thread(_probe, port)
                if ready:
                    return
            await asyncio.sleep(_POLL_SECONDS)
        raise ServiceProcessError(
            f"{self.service} was not ready within {seconds:.0f} s ({problems}); look at {self.log}."
        )

    async def stop(self, *, seconds: float = STOP_SECONDS) -> int:
        """Ask the process to end (SIGTERM), and return its exit code.

        Raises:
            ServiceProcessError: it did not end in time, and was killed.
        """
        process = self._running()
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        try:
            return await asyncio.wait_for(process.wait(), seconds)
        except TimeoutError as error:
            await self.kill()
            raise ServiceProcessError(
                f"{self.service} did not stop within {seconds:.0f} s; look at {self.log}."
            ) from error

    async def kill(self) -> None:
        """End the process at once (SIGKILL), as a crash does."""
        process = self._running()
        kill_group(process.pid, signal.SIGKILL)
        await process.wait()

    async def restart(self, **changes: str) -> None:
        """Stop the process if it runs, start it again and wait until it is ready."""
        if self.is_running:
            await self.stop()
        await self.start(**changes)
        await self.until_ready()

    def send_signal(self, how: signal.Signals) -> None:
        """Send the process a signal, such as SIGSTOP."""
        self._running().send_signal(how)

    def events(self, *levels: str) -> list[dict[str, Any]]:
        """Return the log lines of all runs, or those of some levels."""
        lines = _parse(_read(self.log, 0))
        return [line for line in lines if not levels or line.get("level") in levels]

    def _running(self) -> asyncio.subprocess.Process:
        if self._process is None:
            raise ServiceProcessError(f"{self.service} was never started.")
        return self._process

    def _explain_exit(self) -> str:
        written = _read(self.log, self._log_offset)
        errors = [line["error"] for line in _parse(written) if "error" in line]
        # Settings are refused before there is a log, one problem a line.
        last = errors[-1] if errors else "; ".join(written.splitlines()[-_LAST_LINES:])
        code = self._process.returncode if self._process else None
        return f"{self.service} ended with exit code {code} ({last}); look at {self.log}."


class ServiceProcesses:
    """Several service processes with one environment; as a context manager, none outlives it."""

    def __init__(self, env: Mapping[str, str], folder: Path) -> None:
        self._env = {"PENSTOCK_HTTP_PORT": "0"} | dict(env)
        self._folder = folder
        self._processes: dict[str, ServiceProcess] = {}

    def __getitem__(self, name: str) -> ServiceProcess:
        """Return the process called `name`: a service's name, with `-2`, `-3` … for another one."""
        if name not in self._processes:
            service = name.partition("-")[0]
            self._processes[name] = ServiceProcess(service, self._env, self._folder / f"{name}.log")
        return self._processes[name]

    @property
    def running(self) -> dict[str, ServiceProcess]:
        """The processes that live."""
        return {name: item for name, item in self._processes.items() if item.is_running}

    async def start(self, *names: str) -> None:
        """Start processes (by default one of every service) and wait until all are ready."""
        chosen = [self[name] for name in names or SERVICES]
        for process in chosen:
            await process.start()
        await _together(process.until_ready() for process in chosen)

    async def stop(self) -> dict[str, int]:
        """Stop what runs, all at once; return the exit codes by name."""
        running = self.running
        codes = await _together(process.stop() for process in running.values())
        return dict(zip(running, codes, strict=True))

    async def kill(self) -> None:
        """End what runs at once."""
        await _together(process.kill() for process in self.running.values())

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.kill()


def known_services(running: Mapping[str, ServiceProcess]) -> str:
    """Return where the probes of processes are, as the console takes it: `CONSOLE_SERVICES`."""
    return ",".join(
        f"{name}=http://127.0.0.1:{process.http_port}" for name, process in running.items()
    )


async def _together(awaitables: Iterable[Any]) -> list[Any]:
    """Await all; the first failure is raised as itself, after the others have ended."""
    results = await asyncio.gather(*awaitables, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return results


def _inherited() -> dict[str, str]:
    """Return what a service may take over from us: nothing that configures it."""
    source = os.environ  # noqa: TID251 - handed on to a child, filtered
    return {name: source[name] for name in _INHERITED if name in source}


def _probe(port: int) -> tuple[bool, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_PROBE_SECONDS)
    try:
        connection.request("GET", "/readyz")
        answer = connection.getresponse()
        return answer.status == http.HTTPStatus.OK, answer.read().decode(errors="replace")
    except OSError as error:
        return False, str(error)
    finally:
        connection.close()


def _read(log: Path, offset: int) -> str:
    if not log.exists():
        return ""
    with log.open("rb") as file:
        file.seek(offset)
        return file.read().decode(errors="replace")


def _parse(text: str) -> list[dict[str, Any]]:
    """Return the complete JSON lines; whatever else a process wrote is no event."""
    events = []
    for line in text.splitlines():
        with contextlib.suppress(json.JSONDecodeError):
            found = json.loads(line)
            if isinstance(found, dict):
                events.append(found)
    return events
