from collections.abc import AsyncGenerator

import pytest

from chassis.db import Database
from tests.integration.console.browser import Console, open_console
from tests.support.databases import opened


@pytest.fixture
async def database(database_url: str) -> AsyncGenerator[Database]:
    async with opened(database_url, "console") as database:
        yield database


@pytest.fixture
async def console(database: Database) -> AsyncGenerator[Console]:
    async with open_console(database) as console:
        yield console
