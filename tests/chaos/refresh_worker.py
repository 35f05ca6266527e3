"""Refresher's workers in processes of their own, to be killed: each executes runs until none is
open.

A line of the standard input names the failpoint of the next worker; the answer is how it ended.
"""

# ruff: noqa: TID251 - a test tells it its settings this way
import asyncio
import importlib
import os
import sys

from chassis import failpoints
from chassis.clock import SystemClock
from chassis.runs import RunWorker
from refresher.domain.config import RefreshConfig
from refresher.jobs import refresh_jobs
from tests.integration.refresher.hub import refresher_of
from tests.support.databases import opened


async def work() -> None:
    config = RefreshConfig.model_validate_json(os.environ["REFRESH_CONFIG"])
    logins = (os.environ["REFRESH_READER"], os.environ["REFRESH_WRITER"])
    async with opened(os.environ["REFRESH_LEDGER"], "refresher") as database:
        refresher = refresher_of(config, database, logins=logins)
        worker = RunWorker(database, refresh_jobs(refresher), clock=SystemClock())
        while True:
            await worker.step()
            async with database.connection() as connection:
                open_runs = await connection.fetchval(
                    "select count(*) from meta.runs where status in ('queued', 'running')"
                )
            if not open_runs:
                return
            await asyncio.sleep(0.05)


def live(failpoint: str) -> None:
    """Be a worker; its log goes nowhere, since the standard output is for answers."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    os.environ["PENSTOCK_FAILPOINT"] = failpoint
    # It reads the environment once, and the parent has loaded it.
    importlib.reload(failpoints)
    asyncio.run(work())


def main() -> None:
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            live(line.strip())
            os._exit(0)
        _, status = os.waitpid(child, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
