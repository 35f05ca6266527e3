"""Find Java and fetch the Java servers with Maven, once per machine."""

import asyncio
import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path

from penstock.stack.errors import DownloadError, MissingToolError
from penstock.stack.processes import Program, run
from penstock.stack.statedir import explain_os_error

OLDEST_JAVA = 17
_POMS = Path(__file__).parent / "maven"
_INSTALL = "run scripts/install-system.sh, or install the Debian package"


async def find_java() -> Path:
    """Return the `java` to use, which must be new enough for Kafka 4."""
    java = _java_of_java_home() or shutil.which("java")
    if java is None:
        raise MissingToolError(
            f"Java is missing, and Kafka and the S3 server need Java {OLDEST_JAVA} or newer: "
            f"{_INSTALL} openjdk-{OLDEST_JAVA}-jre-headless."
        )
    version = await _version_of(java)
    if version < OLDEST_JAVA:
        raise MissingToolError(
            f"{java} is Java {version}, and Kafka needs Java {OLDEST_JAVA} or newer: "
            f"{_INSTALL} openjdk-{OLDEST_JAVA}-jre-headless, or set JAVA_HOME."
        )
    return Path(java)


def _java_of_java_home() -> str | None:
    home = os.environ.get("JAVA_HOME")  # noqa: TID251 - Java's own convention, not our setting
    return shutil.which("java", path=f"{home}/bin") if home else None


async def _version_of(java: str) -> int:
    process = await asyncio.create_subprocess_exec(
        java, "-version", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await process.communicate()
    found = re.search(rb'version "(?:1\.)?(\d+)', output)
    return int(found.group(1)) if found else 0


@dataclass(frozen=True, slots=True)
class JarCache:
    """Class paths of the Java servers, below the user's cache folder.

    Each is a folder named after its pom and the pom's hash: another version is another folder, and
    a folder that exists is complete.
    """

    root: Path

    async def class_path(self, server: str, log: Path) -> str:
        """Return the class path of `server`, fetching its jars when this is the first time."""
        folder = self.folder(server)
        if not folder.exists():
            try:
                self.root.mkdir(parents=True, exist_ok=True)
                async with self._fetching(server):
                    if not folder.exists():
                        await self._fetch(server, folder, log)
            except OSError as error:
                raise explain_os_error(error, self.root) from error
        return f"{folder}/*"

    def folder(self, server: str) -> Path:
        """Return where the jars of `server` are, or will be."""
        digest = hashlib.sha256(_pom(server).read_bytes()).hexdigest()[:12]
        return self.root / f"{server}-{digest}"

    async def _fetch(self, server: str, folder: Path, log: Path) -> None:
        maven = shutil.which("mvn")
        if maven is None:
            raise MissingToolError(
                f"Maven is missing, and it fetches the {server} server the first time: "
                f"{_INSTALL} maven."
            )
        with tempfile.TemporaryDirectory(dir=self.root, prefix=f"{server}-") as workshop:
            jars = Path(workshop) / "jars"
            # A copy, because Maven writes a `target` folder beside the pom.
            pom = shutil.copy(_pom(server), workshop)
            goal = ("dependency:copy-dependencies", f"-DoutputDirectory={jars}")
            code = await run(Program(arguments=(maven, "-q", "-B", "-f", pom, *goal)), log)
            if code != 0 or not jars.is_dir():
                raise DownloadError(
                    f"Maven could not fetch the {server} server{_first_error(log)}; "
                    f"check the network and ~/.m2/settings.xml (all of it is in {log})."
                )
            jars.chmod(0o755)
            jars.replace(folder)

    @contextlib.asynccontextmanager
    async def _fetching(self, server: str) -> AsyncGenerator[None]:
        """Let one process at a time fetch a server; the others then find it."""
        with (self.root / f"{server}.lock").open("w") as lock:
            while True:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    await asyncio.sleep(0.2)
                else:
                    break
            yield


def _pom(server: str) -> Path:
    return _POMS / server / "pom.xml"


def _first_error(log: Path) -> str:
    errors = re.findall(r"\[ERROR\] (.*)", log.read_text(errors="replace"))
    return f" ({errors[0][:200].rstrip('.')})" if errors else ""
