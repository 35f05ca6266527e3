"""The mirror's verbs in processes that can be killed, cheaply: each is forked from one that has all
modules loaded, which spares three quarters of a run's processor time.
"""

import asyncio
import contextlib
import multiprocessing
import os
import resource
import signal
import sys
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path

from chassis import failpoints
from tests.support.wrds_config import mirror_environment
from tests.support.wrds_server import WrdsServer
from wrds_sync.app import commands
from wrds_sync.domain.manifest import SyncManifest

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload([__name__])
DATASET = "crsp_daily"


def work(
    arguments: Sequence[str], environment: dict[str, str], phase: str, peak: Connection
) -> None:
    """Run one verb, as `python -m wrds_sync` does."""
    os.environ.update(environment)  # noqa: TID251 - this is the start of a process
    name, _, count = phase.partition(":")
    failpoints._name, failpoints._remaining = name, int(count or 1)
    sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - to the process's end
    code = commands.main(arguments)
    peak.send(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    sys.exit(code)


class Mirror:
    """One mirror, one writer at a time."""

    def __init__(self, server: WrdsServer, folder: Path, **settings: str) -> None:
        self.server = server
        self.data = folder / "data"
        self._environment = mirror_environment(server, folder, **settings)
        self.peak_megabytes = 0.0
        """Of the last verb that came to its end."""

    async def run(
        self,
        verb: str,
        *,
        dataset: str = DATASET,
        kill_after: float | None = None,
        phase: str = "",
    ) -> int:
        """Run a verb on the data set, to its end or until it is killed; return its exit code."""
        theirs, ours = _FORKS.Pipe(duplex=False)
        process = _FORKS.Process(
            target=work,
            args=([verb, "--dataset", dataset], self._environment, phase, ours),
        )
        process.start()
        ours.close()
        if kill_after is not None:
            await asyncio.sleep(kill_after)
            process.kill()
        await asyncio.to_thread(process.join)
        with contextlib.suppress(EOFError):
            self.peak_megabytes = theirs.recv()
        theirs.close()
        return process.exitcode if process.exitcode is not None else -signal.SIGKILL

    async def restate(self, price: int) -> None:
        """Give every row of every year the same new price."""
        await self.server.execute(f"update crsp_store.dsf set prc = {price}")

    def manifest(self) -> SyncManifest | None:
        path = self.data / f"manifests/{DATASET}.json"
        return SyncManifest.from_json(path.read_bytes()) if path.exists() else None
