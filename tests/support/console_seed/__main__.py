"""`python -m tests.support.console_seed DATABASE_URL` fills a migrated, empty database."""

import asyncio
import sys

from tests.support.console_seed.datasets import seed_datasets
from tests.support.console_seed.inbox import seed_drifts, seed_letters
from tests.support.console_seed.silver import seed_silver
from tests.support.console_seed.sources import seed_sources
from tests.support.console_seed.tables import seed_tables
from tests.support.databases import opened


async def seed_everything(url: str) -> None:
    async with opened(url, "seed") as database:
        async with database.connection() as connection, connection.transaction():
            await seed_sources(connection)
            await seed_tables(connection)
            await seed_datasets(connection)
            await seed_letters(connection)
            await seed_drifts(connection)
        await seed_silver(database, url)


if __name__ == "__main__":
    asyncio.run(seed_everything(sys.argv[1]))
