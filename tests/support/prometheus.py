"""A real Prometheus (Debian's) of a test's own: scrapes service processes, evaluates the rules."""

import contextlib
import json
import re
import shutil
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any

import yaml

from penstock.stack.ports import free_port
from tests.support.errors import MissingServerError
from tests.support.eventually import wait_until
from tests.support.paths import PROJECT

RULES = PROJECT / "deploy/prometheus"
VARIABLES = re.compile(r"\$(?!__)\w+")


class Prometheus:
    """A server under test control; `targets` may change while it runs."""

    def __init__(self, folder: Path, *, window: str) -> None:
        self.url = ""
        self.folder = folder
        self.window = window

    def targets(self, ports: Mapping[str, int]) -> None:
        """Scrape these jobs on these ports from now on."""
        found = [
            {"targets": [f"127.0.0.1:{port}"], "labels": {"job": job}}
            for job, port in ports.items()
        ]
        draft = self.folder / "targets.tmp"
        draft.write_text(json.dumps(found))
        draft.replace(self.folder / "targets.json")

    def query(self, expr: str, *, at: float | None = None) -> list[dict[str, Any]]:
        """Return the series of an instant query."""
        parameters = {"query": self.expand(expr)} | ({"time": str(at)} if at else {})
        return self._ask("query", parameters)

    def query_range(
        self, expr: str, *, start: float, end: float, step: float
    ) -> list[dict[str, Any]]:
        """Return series with their values over time."""
        return self._ask(
            "query_range",
            {"query": self.expand(expr), "start": str(start), "end": str(end), "step": str(step)},
        )

    def firing(self) -> set[str]:
        """Return the names of the alerts that fire."""
        return {item["metric"]["alertname"] for item in self.query('ALERTS{alertstate="firing"}')}

    def have_fired(self) -> set[str]:
        """Return the names of the alerts that fired at any time."""
        found = self.query('max_over_time(ALERTS{alertstate="firing"}[1h])')
        return {item["metric"]["alertname"] for item in found}

    def expand(self, expr: str) -> str:
        """Put in what Grafana puts in: everything is chosen."""
        return VARIABLES.sub(".*", expr.replace("$__rate_interval", self.window))

    def _ask(self, what: str, parameters: Mapping[str, str]) -> list[dict[str, Any]]:
        body = urllib.parse.urlencode(parameters).encode()
        with urllib.request.urlopen(f"{self.url}/api/v1/{what}", body, timeout=20) as answer:
            found: list[dict[str, Any]] = json.load(answer)["data"]["result"]
        return found


def shortened(text: str, *, window: str, changes: Mapping[str, str]) -> str:
    """Return rules whose windows last `window` and whose patience is a second.

    `changes` replaces thresholds that are too long for a test.
    """
    for before, after in changes.items():
        assert before in text, before
        text = text.replace(before, after)
    text = re.sub(r"(\[|offset )\d+[smhd]", rf"\g<1>{window}", text)
    return re.sub(r"for: \d+[smhd]", "for: 1s", text)


@contextlib.contextmanager
def running_prometheus(
    folder: Path, *, window: str = "20s", changes: Mapping[str, str] | None = None
) -> Generator[Prometheus]:
    """Start Prometheus with the project's rules, shortened; everything is asked every second."""
    if shutil.which("prometheus") is None:
        raise MissingServerError("The tests need Prometheus: install the Debian package.")
    folder.mkdir(parents=True, exist_ok=True)
    remaining = dict(changes or {})
    for path in RULES.glob("*.rules.yaml"):
        text = path.read_text("utf-8")
        here = {before: remaining[before] for before in remaining if before in text}
        (folder / path.name).write_text(shortened(text, window=window, changes=here))
    prometheus = Prometheus(folder, window=window)
    prometheus.targets({})
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s", "scrape_timeout": "1s"},
        "rule_files": [str(folder / "*.rules.yaml")],
        "scrape_configs": [
            {"job_name": "penstock", "file_sd_configs": [{"files": [str(folder / "targets.json")]}]}
        ],
    }
    (folder / "prometheus.yaml").write_text(yaml.safe_dump(config))
    port = free_port()
    prometheus.url = f"http://127.0.0.1:{port}"
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [
                "prometheus",
                f"--config.file={folder / 'prometheus.yaml'}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            stdout=log,
            stderr=log,
        )
    try:
        wait_until(lambda: _answers(prometheus.url), timeout=30)
        yield prometheus
    finally:
        process.terminate()
        process.wait(20)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/-/ready", timeout=2):
            return True
    except OSError:
        time.sleep(0.1)
        return False
