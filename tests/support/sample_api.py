"""The sample API as a process of its own, for tests."""

import asyncio
import contextlib
import json
import subprocess
import sys
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.support.paths import shared_data

KEYS = {
    "FMP_API_KEY": "demo-key",
    "TDX_API_TOKEN": "demo-token",
    "UMICH_CLIENT_ID": "demo-client",
    "UMICH_CLIENT_SECRET": "demo-secret",
}


class Keys(dict[str, str]):
    """Secrets by reference, `env:FMP_API_KEY` and the like."""

    def __getitem__(self, reference: str, /) -> str:
        return super().__getitem__(reference.removeprefix("env:"))


@dataclass(frozen=True, slots=True)
class SampleServer:
    """Where it listens, and what is told to it."""

    url: str

    async def plan(self, *faults: dict[str, Any], **more: Any) -> None:
        """Have these faults happen from now on; counters start again."""
        await asyncio.to_thread(
            lambda: httpx.put(
                f"{self.url}/control", json={"faults": faults, **more}, trust_env=False
            ).raise_for_status()
        )

    async def state(self) -> dict[str, Any]:
        """Return what it was asked, by path."""
        found: dict[str, Any] = await asyncio.to_thread(
            lambda: httpx.get(f"{self.url}/control", trust_env=False).json()
        )
        return found

    async def requests(self, prefix: str = "/") -> int:
        """Return how many requests it had below a path."""
        counts = (await self.state())["requests"]
        return sum(count for path, count in counts.items() if path.startswith(prefix))


@contextlib.contextmanager
def running_sample_api(data: Path | None = None, *arguments: str) -> Generator[SampleServer]:
    """Run the sample API on the collection of real inputs."""
    folder = data or shared_data()
    command = [sys.executable, "-m", "penstock.sample_api", "--data", str(folder), *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield SampleServer(json.loads(process.stdout.readline())["url"])
        finally:
            process.terminate()
