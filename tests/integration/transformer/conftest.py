from collections.abc import AsyncGenerator

import pytest

from tests.integration.transformer.hub import Hub, open_hub
from tests.support.paths import PROJECT
from transformer.adapters.entity_files import load_entities


@pytest.fixture
async def hub(database_url: str) -> AsyncGenerator[Hub]:
    async with open_hub(database_url, load_entities(PROJECT / "config")) as opened:
        yield opened
