"""What every server of the stack must be able to do for the supervisor."""

import asyncio
import contextlib
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from penstock.stack.errors import PartTimeoutError
from penstock.stack.java import JarCache
from penstock.stack.model import PartName
from penstock.stack.ports import LOOPBACK, choose_port
from penstock.stack.processes import Program
from penstock.stack.statedir import StateDir


@dataclass(frozen=True, slots=True, kw_only=True)
class PartContext:
    """What a part may know about the stack it is started for."""

    state: StateDir
    jars: JarCache
    fast: bool
    ports: Mapping[str, int]

    def port(self, name: str) -> int:
        """Choose the port called `name`."""
        return choose_port(self.state, name, self.ports.get(name))

    def folder(self, part: PartName) -> Path:
        """Return the data folder of `part`, made if need be."""
        folder = self.state.part_dir(part)
        folder.mkdir(parents=True, exist_ok=True)
        return folder


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """A part that is prepared: what to run, and how others reach it."""

    program: Program | None
    """Nothing to run where a plain folder stands in for a server."""
    address: str
    env: Mapping[str, str]


class Part(Protocol):
    """One server of the stack."""

    async def prepare(self, context: PartContext) -> Launch:
        """Fetch, format and configure, so that only the process is missing."""

    async def until_ready(self, launch: Launch) -> None:
        """Return once a real request was answered."""


async def until_connected(port: int, *, seconds: float = 60) -> None:
    """Return once something accepts connections on a loopback port."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection(LOOPBACK, port)
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
            return
        await asyncio.sleep(0.05)
    raise PartTimeoutError(f"Nothing listened on port {port} within {seconds:.0f} s.")
