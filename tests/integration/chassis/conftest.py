"""A database, and workers that lose no time."""

from collections.abc import AsyncGenerator

import pytest

from chassis.db import Database
from tests.support.databases import opened
from tests.support.runs import shorten_waits


@pytest.fixture
async def database(database_url: str) -> AsyncGenerator[Database]:
    async with opened(database_url, "scanner") as one:
        yield one


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    shorten_waits(monkeypatch)
