"""The demo as a newcomer runs it, with every service, while a real Prometheus looks on."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any

from penstock.stack import PartName, Stack, read_settings
from tests.support.command_line import start_penstock
from tests.support.eventually import wait_until
from tests.support.paths import PROJECT
from tests.support.prometheus import Prometheus, running_prometheus

SERVICES = ("scanner", "ingestor", "transformer", "refresher", "wrds_sync", "console")
_DEADLINE = 400.0


class MonitoredHub:
    """The running demo, its processes and what Prometheus says of them."""

    def __init__(self, folder: Path, prometheus: Prometheus) -> None:
        self.folder = folder / "demo"
        self.prometheus = prometheus
        self.output: list[str] = []
        self.started_at = time.time()
        self.stack = Stack(settings=read_settings().in_folder(self.folder))
        self._own: dict[str, subprocess.Popen[bytes]] = {}
        self._environments: dict[str, dict[str, str]] = {}

    @property
    def env(self) -> dict[str, str]:
        """Where the servers of this hub are."""
        return self.stack.env()

    @property
    def config(self) -> Path:
        """The configuration that the demo wrote."""
        return self.folder / "config"

    # --- what is seen
    def history(self, expr: str) -> list[dict[str, Any]]:
        """Return the series of a query since the start, without those that are no numbers."""
        found = self.prometheus.query_range(
            expr, start=self.started_at, end=time.time(), step=max(1.0, self.age / 300)
        )
        return [item for item in found if any(value != "NaN" for _, value in item["values"])]

    @property
    def age(self) -> float:
        """Seconds since the start."""
        return time.time() - self.started_at

    def said(self, service: str, event: str) -> list[dict[str, Any]]:
        """Return the log lines of a service about an event, newest last."""
        log = self.folder / "logs" / f"{service}.log"
        lines: list[dict[str, Any]] = []
        for line in log.read_text("utf-8").splitlines() if log.exists() else []:
            with contextlib.suppress(json.JSONDecodeError):
                lines.append(json.loads(line))
        return [line for line in lines if line.get("event") == event]

    def port(self, service: str) -> int | None:
        """Return where a service shows its metrics; None until it has said so."""
        said = self.said(service, "probes_listening")
        return int(said[-1]["port"]) if said else None

    def watch(self) -> None:
        """Have every process scraped that has told its port."""
        ports = {name: self.port(name) for name in SERVICES}
        self.prometheus.targets({name: port for name, port in ports.items() if port})

    # --- what is done to it
    def send(self, service: str, how: signal.Signals) -> None:
        os.kill(self._pid(service), how)

    def signal_part(self, part: PartName, how: signal.Signals) -> None:
        """Send a server of the stack a signal: SIGSTOP is an outage, SIGCONT its end."""
        report = self.stack.status()
        process = report.parts[part].process if report else None
        assert process is not None
        own = os.getpgid(process.pid) == process.pid
        (os.killpg if own else os.kill)(process.pid, how)

    def kill(self, service: str) -> None:
        """End a service at once."""
        pid = self._pid(service)
        self._environments.setdefault(service, _environment_of(pid))
        os.kill(pid, signal.SIGKILL)
        if service in self._own:
            self._own.pop(service).wait(20)
        # The demo's own child is gone once the demo has seen its end.
        wait_until(lambda: not Path(f"/proc/{pid}").exists(), timeout=20)

    def start(self, service: str, *, module: str | None = None, **changes: str | None) -> None:
        """Start a service again, as the demo had started it but for some changes.

        `module` takes the place of the service's own; a change to None takes a variable away.
        """
        log = self.folder / "logs" / f"{service}.log"
        before = len(self.said(service, "probes_listening"))
        environment = self._environments[service] | changes
        with log.open("ab") as output:
            process = self._own[service] = subprocess.Popen(
                [sys.executable, "-m", module or service],
                env={name: value for name, value in environment.items() if value is not None},
                stdout=output,
                stderr=output,
                cwd=PROJECT,
            )
        wait_until(
            lambda: _lives(process) and len(self.said(service, "probes_listening")) > before,
            timeout=120,
        )
        self.watch()

    def restart(self, service: str, **changes: str | None) -> None:
        self.kill(service)
        self.start(service, **changes)

    def stop(self) -> None:
        """End what was started here."""
        for process in self._own.values():
            process.kill()
            process.wait(20)

    def _pid(self, service: str) -> int:
        return int(self.said(service, "service_started")[-1]["pid"])

    # --- the demo
    def follow(self, demo: "subprocess.Popen[str]") -> None:
        """Keep what the demo writes."""
        assert demo.stdout is not None
        self.output.extend(iter(demo.stdout.readline, ""))

    def is_over(self) -> bool:
        """Whether every figure was right; then the demo stays as it is."""
        return any("Every figure is" in line for line in list(self.output))


@contextlib.contextmanager
def monitored_demo(
    folder: Path, *, files: int = 20, changes: Mapping[str, str] | None = None
) -> Generator[MonitoredHub]:
    """Run the demo to its last figure; then everything stays until the context ends."""
    with running_prometheus(folder / "prometheus", changes=changes) as prometheus:
        hub = MonitoredHub(folder, prometheus)
        demo = start_penstock("demo", "--files", str(files), state_dir=folder)
        listener = threading.Thread(target=hub.follow, args=(demo,), daemon=True)
        listener.start()
        try:
            _until_over(hub, demo)
            yield hub
        finally:
            hub.stop()
            demo.send_signal(signal.SIGINT)
            demo.wait(90)
            listener.join(20)
            assert demo.stdout is not None
            demo.stdout.close()


def _until_over(hub: MonitoredHub, demo: "subprocess.Popen[str]") -> None:
    def is_over() -> bool:
        assert _lives(demo), "".join(hub.output)
        hub.watch()
        time.sleep(0.5)
        return hub.is_over() and all(hub.port(name) for name in SERVICES)

    wait_until(is_over, timeout=_DEADLINE)


def _lives(process: "subprocess.Popen[Any]") -> bool:
    if process.poll() is not None:
        raise RuntimeError(f"{process.args!r} has ended")
    return True


def _environment_of(pid: int) -> dict[str, str]:
    """Return with what a process was started."""
    lines = Path(f"/proc/{pid}/environ").read_text("utf-8").rstrip("\0").split("\0")
    return dict(line.split("=", 1) for line in lines)
