"""Real servers for tests, each started once per run and only when a test asks for it.

An address in the environment wins; else `PENSTOCK_TEST_SERVERS=docker` takes containers; else the
local stack starts processes on random ports, which die with the test run whatever happens to it.
"""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from penstock.stack import PartName, Stack, StackError, read_settings
from tests.support.addresses import KafkaAddress, PostgresAddress, S3Address, SmbAddress
from tests.support.environment import GIVEN, SERVERS
from tests.support.errors import MissingServerError

MEMORY = Path("/dev/shm")
_ROOM_BYTES = 4 * 1024**3

Source = Callable[[PartName], Mapping[str, str]]


@dataclass(slots=True)
class TestServers:
    """The servers of one test run."""

    __test__ = False

    source: Source
    _started: dict[PartName, Mapping[str, str]] = field(default_factory=dict)

    def env(self, part: PartName) -> Mapping[str, str]:
        """Return the exports of `part`, starting it when this is the first time."""
        if part not in self._started:
            given = read_settings(GIVEN).given
            self._started[part] = given[part] if part in given else self.source(part)
        return self._started[part]


def server_folder(prefix: str) -> Path:
    """Make a folder for servers: in memory where there is room, else on the disk.

    Every test has a database of its own, cloned file by file, which costs a disk a third of a
    second and memory a fortieth.
    """
    has_room = MEMORY.is_dir() and os.access(MEMORY, os.W_OK)
    has_room = has_room and shutil.disk_usage(MEMORY).free >= _ROOM_BYTES
    return Path(tempfile.mkdtemp(prefix=prefix, dir=MEMORY if has_room else None))


def local_servers(until: contextlib.ExitStack) -> Source:
    """Take servers from one local stack that ends when `until` closes."""
    folder = server_folder("penstock-tests-")
    until.callback(shutil.rmtree, folder, ignore_errors=True)
    stack = Stack(settings=read_settings().in_folder(folder), fast=True)
    until.callback(stack.down)

    def start(part: PartName) -> Mapping[str, str]:
        try:
            running = stack.up([part], tied=True)
        except StackError as error:
            raise MissingServerError(
                f"The tests need {part.value}, and it cannot be started here: {error} "
                f"Or give the address of a running one in the environment."
            ) from error
        if running.supervisor is not None:
            until.callback(running.stop)
        return running.env

    return start


def container_servers(until: contextlib.ExitStack) -> Source:
    """Take servers from containers that end when `until` closes."""
    # Only here: the import looks for a Docker configuration.
    from tests.support.containers import start_container  # noqa: PLC0415

    return lambda part: start_container(part, until)


@pytest.fixture(scope="session")
def test_servers() -> Generator[TestServers]:
    sources = {"local": local_servers, "docker": container_servers}
    if SERVERS not in sources:
        raise MissingServerError(f"PENSTOCK_TEST_SERVERS must be local or docker, not {SERVERS!r}.")
    with contextlib.ExitStack() as until:
        yield TestServers(sources[SERVERS](until))


@pytest.fixture(scope="session")
def kafka(test_servers: TestServers) -> KafkaAddress:
    return KafkaAddress.from_env(test_servers.env(PartName.KAFKA))


@pytest.fixture(scope="session")
def postgres(test_servers: TestServers) -> PostgresAddress:
    return PostgresAddress.from_env(test_servers.env(PartName.POSTGRES))


@pytest.fixture(scope="session")
def s3(test_servers: TestServers) -> S3Address:
    return S3Address.from_env(test_servers.env(PartName.S3))


@pytest.fixture(scope="session")
def smb(test_servers: TestServers) -> SmbAddress:
    env = test_servers.env(PartName.SMB)
    if "NAS_SERVER_IP" not in env:
        raise MissingServerError(
            "The tests need an SMB server: run scripts/install-system.sh, "
            "or install the Debian package samba."
        )
    return SmbAddress.from_env(env)
