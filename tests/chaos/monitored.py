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

import yaml

from penstock.stack import PartName, Stack, read_settings
from tests.support.command_line import start_penstock
from tests.support.eventually import wait_until
from tests.support.paths import PROJECT
from tests.support.prometheus import Prometheus, running_prometheus

FLOW = ("scanner", "ingestor", "transformer")
OTHERS = ("refresher", "wrds_sync", "console")
_DEADLINE = 400.0
_LOGINS = {
    f"{side}_DB_{what}": "nobody" for side in ("SOURCE", "TARGET") for what in ("USER", "PASSWORD")
}


class MonitoredHub:
    """The running demo, its processes and what Prometheus says of them."""

    def __init__(self, folder: Path, prometheus: Prometheus) -> None:
        self.folder = folder / "demo"
        self.prometheus = prometheus
        self.output: list[str] = []
        self.started_at = time.time()
        self.others: dict[str, subprocess.Popen[bytes]] = {}
        self.stack = Stack(settings=read_settings().in_folder(self.folder))

    @property
    def env(self) -> dict[str, str]:
        """What a service of this hub has in its environment."""
        config = self.folder / "config"
        return self.stack.env() | {
            "PENSTOCK_CONFIG_DIRECTORY": str(config),
            "PENSTOCK_SECRETS_DIR": str(config / "secrets"),
            "PENSTOCK_HTTP_PORT": "0",
            "REFRESHER_MASKING_KEY": "for-a-test-only-32-characters-or-more",
            "WRDS_SYNC_STORAGE_PATH": str(self.folder / "mirror"),
            # Nobody answers there, but with an account data may be late.
            "WRDS_USERNAME": "nobody",
            "WRDS_PASSWORD": "nobody",
            "WRDS_HOST": "127.0.0.1",
            "WRDS_SYNC_SCHEDULE": "false",
            **_LOGINS,
        }

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

    def pid(self, service: str) -> int:
        """Return the process of a service."""
        return int(self.said(service, "service_started")[-1]["pid"])

    def send(self, service: str, how: signal.Signals) -> None:
        os.kill(self.pid(service), how)

    def signal_part(self, part: PartName, how: signal.Signals) -> None:
        """Send a server of the stack a signal: SIGSTOP is an outage, SIGCONT its end."""
        report = self.stack.status()
        process = report.parts[part].process if report else None
        assert process is not None
        own = os.getpgid(process.pid) == process.pid
        (os.killpg if own else os.kill)(process.pid, how)

    def watch(self) -> None:
        """Have every process scraped that has told its port."""
        ports = {name: self.port(name) for name in (*FLOW, *OTHERS)}
        self.prometheus.targets({name: port for name, port in ports.items() if port})

    def start(self, service: str, **changes: str) -> None:
        """Start another service, or one of the flow again after it was ended."""
        log = self.folder / "logs" / f"{service}.log"
        before = len(self.said(service, "probes_listening"))
        with log.open("ab") as output:
            self.others[service] = subprocess.Popen(
                [sys.executable, "-m", service],
                env={"PATH": os.environ["PATH"]} | self.env | changes,  # noqa: TID251 - a child's
                stdout=output,
                stderr=output,
                cwd=self.folder,
            )
        wait_until(lambda: len(self.said(service, "probes_listening")) > before, timeout=120)
        self.watch()

    def stop(self, service: str) -> None:
        """End a service that was started here."""
        process = self.others[service]
        process.kill()
        process.wait(20)

    def start_others(self) -> None:
        """Start what the demo does without."""
        config = self.folder / "config"
        (config / "refresh.yaml").write_text(yaml.safe_dump(_refresh_config()), "utf-8")
        (config / "datasets.yaml").write_bytes((PROJECT / "config/datasets.yaml").read_bytes())
        self.start("refresher")
        self.start("wrds_sync")
        self.start("console")

    def listen(self, demo: "subprocess.Popen[str]") -> None:
        assert demo.stdout is not None
        self.output.extend(iter(demo.stdout.readline, ""))

    def tells(self, text: str) -> bool:
        return any(text in line for line in list(self.output))


@contextlib.contextmanager
def monitored_demo(
    folder: Path, *, files: int = 20, changes: Mapping[str, str] | None = None
) -> Generator[MonitoredHub]:
    """Run the demo to its last figure; then everything stays until the context ends."""
    with running_prometheus(folder / "prometheus", changes=changes) as prometheus:
        hub = MonitoredHub(folder, prometheus)
        demo = start_penstock("demo", "--files", str(files), state_dir=folder)
        listener = threading.Thread(target=hub.listen, args=(demo,), daemon=True)
        listener.start()
        try:
            wait_until(lambda: _lives(demo, hub) and hub.port("scanner"), timeout=_DEADLINE)
            hub.watch()
            wait_until(lambda: all(hub.port(name) for name in FLOW), timeout=_DEADLINE)
            hub.watch()
            hub.start_others()
            wait_until(lambda: hub.tells("figure") and _is_over(hub), timeout=_DEADLINE)
            yield hub
        finally:
            for process in hub.others.values():
                process.kill()
                process.wait(20)
            demo.send_signal(signal.SIGINT)
            demo.wait(90)


def _lives(demo: "subprocess.Popen[str]", hub: MonitoredHub) -> bool:
    if demo.poll() is not None:
        raise RuntimeError(f"the demo has ended: {''.join(hub.output)}")
    return True


def _is_over(hub: MonitoredHub) -> bool:
    return hub.tells("Every figure is") or hub.tells("✗")


def _refresh_config() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((PROJECT / "config/refresh.yaml").read_text("utf-8"))
    for side in ("source", "target"):
        found["databases"][side]["server"] = "127.0.0.1"
    return found
