"""Forgets shadows about which nobody decided in time."""

from collections.abc import Mapping

from chassis.db import Database
from chassis.logs import get_logger
from chassis.periodic import repeat
from transformer.adapters import shadow_sql as sql
from transformer.adapters.postgres_shadow import PostgresShadow
from transformer.domain.entity import Entity

EVERY_SECONDS = 600.0


class ShadowExpiry:
    """The housekeeping of schema `shadow`; every replica does it, one at a time per shadow."""

    def __init__(
        self, database: Database, store: PostgresShadow, entities: Mapping[str, Entity]
    ) -> None:
        self._database = database
        self._store = store
        self._entities = entities

    async def run(self) -> None:
        """Look for as long as the process lives."""
        await repeat(self.step, every_seconds=EVERY_SECONDS, event="shadow_expiry_waits")

    async def step(self) -> list[str]:
        """Forget what has expired; return the entity types."""
        async with self._database.transaction() as transaction:
            rows = await transaction.connection.fetch(sql.EXPIRED)
            expired = [row["entity_type"] for row in rows if row["entity_type"] in self._entities]
            for entity_type in expired:
                await self._store.forget(transaction.connection, self._entities[entity_type])
        for entity_type in expired:
            get_logger().info("shadow_expired", entity_type=entity_type)
        return expired
