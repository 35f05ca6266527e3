"""Builds the project's images without a container engine, and runs them as Kubernetes would.

The base of `deploy/Dockerfile` comes from a registry of images, which a test does without: Debian's
own packages make one of the same shape. `buildah` builds the same stages on it; `bubblewrap` runs
the result with a read-only root, as uid 10001 without capabilities.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.errors import MissingServerError
from tests.support.paths import PROJECT

BASE = "localhost/penstock-base:test"
_TOOLS = {"buildah": "buildah", "bwrap": "bubblewrap", "mmdebstrap": "mmdebstrap"}
_PACKAGES = "python3,python3-venv,ca-certificates,tzdata"
_MACHINE_FILES = (Path("/etc/ssl/certs/ca-certificates.crt"), Path("/etc/pip.conf"))
"""What a machine behind a proxy needs to reach its package registry; absent elsewhere."""

_BASE_FILE = """\
FROM scratch
ADD base.tar /
COPY files /
ENV SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt
"""
_SECONDS = 900.0


class Builder:
    """Builds images into a store of its own."""

    def __init__(self, folder: Path) -> None:
        missing = [package for tool, package in _TOOLS.items() if shutil.which(tool) is None]
        if missing:
            raise MissingServerError(
                f"Images are built with {', '.join(_TOOLS)}: apt-get install {' '.join(missing)}"
            )
        self._folder = folder

    def base(self, release: str = "bookworm") -> None:
        """Make the base image from Debian's packages."""
        context = self._folder / "base"
        files = context / "files"
        files.mkdir(parents=True)
        arguments = ("--quiet", "--variant=minbase", f"--include={_PACKAGES}")
        _run("mmdebstrap", *arguments, release, str(context / "base.tar"))
        for file in _MACHINE_FILES:
            if file.exists():
                target = files / file.relative_to("/")
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, target)
        (context / "Dockerfile").write_text(_BASE_FILE)
        self._buildah("build", "--quiet", "--tag", BASE, str(context))

    def build(self, service: str, **arguments: str) -> str:
        """Build the image of a service with the real Dockerfile; return its name."""
        name = f"localhost/penstock-{service}:test"
        given = {"BASE": BASE, "SERVICE": service} | arguments
        options = [option for item in given.items() for option in ("--build-arg", "=".join(item))]
        files = ("--file", "deploy/Dockerfile", "--ignorefile", ".dockerignore")
        # A HEALTHCHECK is a thing of Docker's format only.
        self._buildah("build", "--format", "docker", *options, *files, "--tag", name, str(PROJECT))
        return name

    def config(self, image: str) -> dict[str, Any]:
        """Return what the image says about how it is run."""
        found: dict[str, Any] = json.loads(self._buildah("inspect", image))["Docker"]["config"]
        return found

    @contextlib.contextmanager
    def mounted(self, image: str) -> Generator[Path]:
        """Yield the image's root."""
        container = self._buildah("from", "--pull-never", image).strip()
        try:
            yield Path(self._buildah("mount", container).strip())
        finally:
            self._buildah("rm", container)

    def _buildah(self, *arguments: str) -> str:
        store = ("--root", self._folder / "store", "--runroot", self._folder / "run")
        return _run("buildah", *map(str, store), *arguments)


def _run(*command: str) -> str:
    environment = dict(os.environ) | {"BUILDAH_ISOLATION": "chroot"}  # noqa: TID251
    done = subprocess.run(
        command,
        cwd=PROJECT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
    )
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout[-3000:]}{done.stderr[-3000:]}"
    return done.stdout


@dataclass(frozen=True, slots=True, kw_only=True)
class Sandbox:
    """One image, its environment, and what is mounted into it."""

    root: Path
    config: Mapping[str, Any]
    environment: Mapping[str, str]
    mounts: Mapping[str, Path]

    def command(self, *arguments: str) -> list[str]:
        """Return the command line that runs something in the image."""
        image = dict(item.partition("=")[::2] for item in self.config["Env"])
        user = self.config["User"].partition(":")
        mounts = [
            option
            for place, path in self.mounts.items()
            for option in ("--ro-bind", str(path), place)
        ]
        variables = [
            option
            for name, value in (image | dict(self.environment)).items()
            for option in ("--setenv", name, value)
        ]
        return [
            *("bwrap", "--ro-bind", str(self.root), "/", "--proc", "/proc", "--dev", "/dev"),
            *("--tmpfs", "/tmp", *mounts, "--clearenv", *variables),
            *("--unshare-user", "--unshare-pid", "--unshare-ipc", "--as-pid-1"),
            *("--uid", user[0], "--gid", user[2], "--cap-drop", "ALL", "--die-with-parent"),
            *("--chdir", self.config["WorkingDir"], "--", *arguments),
        ]

    def run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run something to its end."""
        return subprocess.run(
            self.command(*arguments), capture_output=True, text=True, timeout=600, check=False
        )

    @contextlib.contextmanager
    def running(self, log: Path) -> Generator["Running"]:
        """Run the image's entry point as process 1."""
        with log.open("wb") as output:
            process = subprocess.Popen(
                self.command(*self.config["Entrypoint"]), stdout=output, stderr=output
            )
        try:
            yield Running(process)
        finally:
            process.kill()
            process.wait()


@dataclass(frozen=True, slots=True)
class Running:
    """An entry point that runs, below the process that made its sandbox."""

    process: "subprocess.Popen[bytes]"

    @property
    def pid(self) -> int:
        """The process in the sandbox, by its number outside."""
        number = self.process.pid
        children = Path(f"/proc/{number}/task/{number}/children").read_text().split()
        return int(children[0])

    @property
    def has_ended(self) -> bool:
        """Whether it ended by itself."""
        return self.process.poll() is not None

    def facts(self) -> dict[str, str]:
        """What the kernel says about the process."""
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}

    def stop(self) -> int:
        """Ask it to end; return its exit code."""
        os.kill(self.pid, signal.SIGTERM)
        return self.process.wait(timeout=60)
