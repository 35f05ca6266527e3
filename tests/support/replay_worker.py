"""A worker of replays in a process of its own, to be killed: `python -m ... DATABASE_URL`."""

import asyncio
import sys

from chassis.dead_letters import replay
from chassis.runs import worker
from tests.support.databases import opened
from tests.support.letters import Reader


async def main(url: str) -> None:
    replay.CHUNK = 2
    worker.LEASE_SECONDS = 0.6
    worker.BEAT_SECONDS = 0.1
    async with opened(url, "reader") as database:
        while await Reader(database).worker().step():
            pass


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
