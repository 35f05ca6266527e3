from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from chassis.db import Database
from chassis.settings import DatabaseSettings
from ingestor.adapters.postgres_catalog import PostgresCatalog
from tests.integration.ingestor.ingestion import Ingestion, open_ingestion
from tests.support.addresses import S3Address


@pytest.fixture
async def database(database_url: str) -> AsyncGenerator[Database]:
    settings = DatabaseSettings.model_validate({"DATABASE_URL": database_url})
    database = await Database.open(settings, "ingestor")
    yield database
    await database.close()


@pytest.fixture
def catalog(database: Database) -> PostgresCatalog:
    return PostgresCatalog(database)


@pytest.fixture
def environment(database_url: str, s3: S3Address, blob_prefix: str) -> dict[str, str]:
    return {**s3.env, "S3_PREFIX": blob_prefix, "DATABASE_URL": database_url}


@pytest.fixture
async def ingestion(
    environment: dict[str, str], tmp_path: Path, database: Database
) -> AsyncGenerator[Ingestion]:
    async with open_ingestion(environment, tmp_path, database) as ingestion:
        yield ingestion
