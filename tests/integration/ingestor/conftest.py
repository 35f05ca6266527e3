from collections.abc import AsyncGenerator

import pytest

from chassis.db import Database
from chassis.settings import DatabaseSettings
from ingestor.adapters.postgres_catalog import PostgresCatalog


@pytest.fixture
async def database(database_url: str) -> AsyncGenerator[Database]:
    settings = DatabaseSettings.model_validate({"DATABASE_URL": database_url})
    database = await Database.open(settings, "ingestor")
    yield database
    await database.close()


@pytest.fixture
def catalog(database: Database) -> PostgresCatalog:
    return PostgresCatalog(database)
