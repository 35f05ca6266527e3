import contextlib
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, TypeAlias

import pytest

from tests.integration.refresher.estate import Estate, open_estate
from tests.integration.refresher.hub import Hub, configuration, open_hub
from tests.support.addresses import PostgresAddress

Open: TypeAlias = Callable[..., AbstractAsyncContextManager[Hub]]


@pytest.fixture
async def estate(postgres: PostgresAddress, unique: str) -> AsyncGenerator[Estate]:
    async with open_estate(postgres, unique) as opened:
        yield opened


@pytest.fixture
def opening(estate: Estate, database_url: str) -> Open:
    """Open a hub for tables that the test has made in both databases."""

    @contextlib.asynccontextmanager
    async def open_one(tables: Sequence[Mapping[str, Any]], **sections: Any) -> AsyncGenerator[Hub]:
        await estate.give_to_roles()
        config = configuration(estate, tables, **sections)
        async with open_hub(estate, database_url, config) as hub:
            yield hub

    return open_one
