"""The rules as they stand on disk, which may be newer than those that are at work."""

import asyncio
from collections.abc import Mapping
from pathlib import Path

from transformer.adapters.entity_files import load_entities
from transformer.domain.entity import Entity


class RulesOnDisk:
    """Every `entities/*.yaml` of the configuration folder, read anew each time."""

    def __init__(self, config_directory: Path) -> None:
        self._config_directory = config_directory

    async def read(self) -> Mapping[str, Entity]:
        """Return the rules by entity type."""
        return await asyncio.to_thread(load_entities, self._config_directory)
