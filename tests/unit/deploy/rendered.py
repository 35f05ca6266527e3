"""What `kubectl apply -k` would send: every overlay rendered, and ways to look into it."""

import functools
import pickle
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from tests.support.paths import PROJECT

OVERLAYS = ("dev", "prod")
_FOLDER = PROJECT / "deploy/k8s"

Resource = dict[str, Any]


class Manifests:
    """The resources of one overlay."""

    def __init__(self, resources: list[Resource]) -> None:
        self.resources = resources

    def of_kind(self, *kinds: str) -> list[Resource]:
        return [item for item in self.resources if item["kind"] in kinds]

    def get(self, kind: str, name: str) -> Resource:
        """Return one resource; a generated name may stand without its hash."""
        found = [
            item
            for item in self.of_kind(kind)
            if name in (item["metadata"]["name"], item["metadata"]["name"].rpartition("-")[0])
        ]
        assert len(found) == 1, f"{kind} {name}: {len(found)}"
        return found[0]

    def has(self, kind: str, name: str) -> bool:
        return any(item["metadata"]["name"] == name for item in self.of_kind(kind))

    def pods(self) -> Iterator[tuple[str, Resource]]:
        """Yield every pod template, with the name of what makes it."""
        for item in self.of_kind("Deployment", "Job", "CronJob"):
            yield f"{item['kind']} {item['metadata']['name']}", template_of(item)


def template_of(item: Resource) -> Resource:
    """Return the pod template of a Deployment, Job or CronJob."""
    spec: Resource = item["spec"]
    if item["kind"] == "CronJob":
        spec = spec["jobTemplate"]["spec"]
    found: Resource = spec["template"]
    return found


def render(overlay: str) -> Manifests:
    """Return an overlay as kustomize renders it; a copy, which a test may spoil."""
    # Many times quicker than a deep copy.
    return Manifests(pickle.loads(_rendered(overlay)))


@functools.cache
def _rendered(overlay: str) -> bytes:
    done = subprocess.run(
        [kubectl(), "kustomize", _FOLDER / "overlays" / overlay],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return pickle.dumps(list(yaml.load_all(done.stdout, yaml.CSafeLoader)))


def kubectl() -> str:
    """Return the path of kubectl: the locked one, else that of the machine."""
    locked = Path(sys.executable).parent / "kubectl"
    found = str(locked) if locked.exists() else shutil.which("kubectl")
    assert found, "kubectl is missing: run `make install-python`, or install it for your machine"
    return found
