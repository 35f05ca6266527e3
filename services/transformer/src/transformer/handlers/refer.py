"""Checks references to other silver tables, and finds out whom to look at again when a value
that others refer to comes or goes.

Whoever checks holds the values of the types it refers to (a shared lock); whoever adds or removes
such values owns them for the rest of its transaction and then asks who refers to them. So either
the checker sees the value, or its reference is seen. Holding comes before every other lock.
"""

from collections.abc import Iterable, Mapping, Sequence

from chassis.db import Connection
from transformer.domain.changes import Changes
from transformer.domain.entity import Entity
from transformer.domain.frames import ENTITY
from transformer.domain.outcomes import Outcomes
from transformer.domain.references import Use, reject_dangling, uses_of, values_after
from transformer.ports import ReferenceStore

Values = set[tuple[str, str]]
"""Columns and values of one table."""


class Refer:
    """Knows which entities refer to which; costs nothing where none does."""

    def __init__(self, store: ReferenceStore, entities: Mapping[str, Entity]) -> None:
        self._store = store
        self._entities = entities
        self._targets: dict[str, set[str]] = {}
        for entity in entities.values():
            for reference in entity.config.references:
                self._targets.setdefault(reference.entity_type, set()).add(reference.column)

    def concerns(self, entity: Entity) -> bool:
        """Tell whether entities of a type refer to others, or others may refer to them."""
        return bool(entity.config.references) or entity.entity_type in self._targets

    async def hold(self, connection: Connection, entity: Entity) -> None:
        """Keep what the entity refers to as it is until the transaction ends."""
        for entity_type in sorted({item.entity_type for item in entity.config.references}):
            await self._store.hold(connection, entity_type)

    async def check(
        self, connection: Connection, entity: Entity, outcomes: Outcomes
    ) -> tuple[Outcomes, list[Use]]:
        """Reject what refers to nothing; also return all references, good or bad."""
        if not entity.config.references:
            return outcomes, []
        uses = uses_of(entity, outcomes)
        missing = await self._store.missing(connection, entity, uses)
        return reject_dangling(entity, outcomes, uses, missing=missing), uses

    async def note(
        self,
        connection: Connection,
        entity: Entity,
        entity_ids: Sequence[str],
        *,
        uses: Sequence[Use],
    ) -> None:
        """Remember to what entities refer."""
        if entity.config.references:
            await self._store.save(connection, entity, entity_ids, uses=uses)

    async def before(self, connection: Connection, entity: Entity, changes: Changes) -> Values:
        """Return what others could refer to in the records that are about to change."""
        columns = self._targets.get(entity.entity_type)
        visible = changes.visible[ENTITY].to_list() if columns else []
        if not columns or not visible:
            return set()
        return await self._store.values(connection, entity, visible, columns=columns)

    def flipped(self, entity: Entity, changes: Changes, before: Values) -> Values:
        """Return the values that changes added or removed."""
        columns = self._targets.get(entity.entity_type)
        if not columns:
            return set()
        return before ^ set(values_after(changes, sorted(columns)))

    async def dependents(
        self, connection: Connection, entity: Entity, flipped: Iterable[tuple[str, str]]
    ) -> list[tuple[Entity, list[str]]]:
        """Return the entities, by type in order, that refer to values that came or went."""
        values = set(flipped)
        if not values:
            return []
        await self._store.own(connection, entity.entity_type)
        found = await self._store.users_of(connection, entity.entity_type, values)
        return [
            (self._entities[entity_type], ids)
            for entity_type, ids in sorted(found.items())
            if entity_type in self._entities
        ]
