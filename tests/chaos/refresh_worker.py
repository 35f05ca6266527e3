"""A refresher's worker in a process of its own, to be killed: executes runs until none is open."""

# ruff: noqa: TID251 - a test tells it its settings this way
import asyncio
import os
import sys

from chassis.clock import SystemClock
from chassis.runs import RunWorker
from refresher.domain.config import RefreshConfig
from refresher.jobs import refresh_jobs
from tests.integration.refresher.hub import refresher_of
from tests.support.databases import opened


async def main() -> None:
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


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
