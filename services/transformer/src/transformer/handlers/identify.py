"""From the records that events name to the entities that must be recomputed.

A change of one record can join entities, or split one: then those are affected too. Whoever
resolves has the identity of the type to himself until his transaction ends; two transactions at
once could each miss the link that the other's record makes.
"""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import polars as pl

from chassis.db import Connection
from chassis.logs import get_logger
from contracts.envelope import Event
from transformer import metrics
from transformer.domain.entity import MOMENT, Entity
from transformer.domain.identity import Record
from transformer.domain.identity_compiler import IdentityRules
from transformer.domain.neighbourhood import Resolution, reached, resolve
from transformer.domain.outcomes import BRONZE_AT, Outcomes
from transformer.domain.records import FirstSeen, Head
from transformer.ports import LinkStore, Merger


@dataclass(frozen=True, slots=True)
class Plan:
    """Which entities to recompute, and from which records."""

    ids: Sequence[str]
    """Silver's entity ids, in order."""

    members: Mapping[str, Sequence[str]] | None = None
    """Bronze's entity ids by silver's; None where they are the same."""

    entity_of: Mapping[str, str] = field(default_factory=dict)
    """Silver's entity id by bronze's, as far as they differ."""

    changed_at: datetime | None = None
    """When bronze stored the newest of the records that led to it."""

    def records_of(self, entity_ids: Iterable[str]) -> list[str]:
        """Return bronze's ids of entities."""
        if self.members is None:
            return list(entity_ids)
        return [item for entity_id in entity_ids for item in self.members[entity_id]]

    def sum_by_entity(self, sizes: Mapping[str, int]) -> Mapping[str, int]:
        """Add up what is known of records."""
        if self.members is None:
            return sizes
        return {
            entity_id: sum(sizes.get(item, 0) for item in items)
            for entity_id, items in self.members.items()
        }

    def assign(self, heads: list[Head]) -> list[Head]:
        """Give heads the ids of the entities to which they belong."""
        if self.members is None:
            return heads
        return [
            head._replace(entity_id=self.entity_of.get(head.entity_id, head.entity_id))
            for head in heads
        ]

    def starting_at(self, record_id: str) -> "Plan":
        """Leave out entities that have a record before this one."""
        if self.members is None:
            return self
        members = {
            key: items for key, items in self.members.items() if items and min(items) >= record_id
        }
        return dataclasses.replace(self, ids=sorted(members), members=members)

    def survivor_of(self, entity_id: str) -> str | None:
        """Return the entity of which one has become part."""
        survivor = self.entity_of.get(entity_id)
        return None if survivor == entity_id else survivor

    def date(self, outcomes: Outcomes) -> Outcomes:
        """Give entities that lost all their records to others the time of that change."""
        if self.changed_at is None:
            return outcomes
        at = pl.col(BRONZE_AT).fill_null(pl.lit(self.changed_at, dtype=MOMENT))
        return Outcomes(outcomes.entity, outcomes.frame.with_columns(at), outcomes.children)

    def cause_of(
        self, entity_id: str, causes: Mapping[str, Event[Any]] | None
    ) -> Event[Any] | None:
        """Return the event for which an entity is recomputed, one of several where they differ."""
        if not causes:
            return None
        if self.members is None:
            return causes.get(entity_id)
        mine = (causes[item] for item in self.members[entity_id] if item in causes)
        joined = causes.get(entity_id) or next(mine, None)
        return joined or causes[min(causes)]


class Identify:
    """Resolves identity for entities whose rules have one; others are what bronze says."""

    def __init__(self, links: LinkStore, merger: Merger) -> None:
        self._links = links
        self._merger = merger

    async def resolve(
        self, connection: Connection, entity: Entity, record_ids: Iterable[str]
    ) -> Plan:
        """Link records anew and write it down; a constant number of statements."""
        ids = sorted(set(record_ids))
        if entity.identity is None:
            return Plan(ids)
        await self._links.lock(connection, entity.entity_type)
        found, changed, resolution = await self._compute(connection, entity, entity.identity, ids)
        refused = await self._links.save(connection, entity.entity_type, changed, resolution)
        if refused:
            metrics.REFUSED_KEYS.labels(entity.entity_type).inc(refused)
            get_logger().warning(
                "identity_keys_refused",
                outcome="warning",
                entity_type=entity.entity_type,
                count=refused,
            )
        return _plan(resolution, found)

    async def preview(
        self,
        connection: Connection,
        entity: Entity,
        record_ids: Iterable[str],
        *,
        once: bool = False,
    ) -> Plan:
        """Say what `resolve` would return, and write nothing.

        `once` leaves out entities with a record before the given ones: whoever goes through all
        records, page by page and in order, has met them already.
        """
        ids = sorted(set(record_ids))
        if entity.identity is None:
            return Plan(ids)
        found, _, resolution = await self._compute(connection, entity, entity.identity, ids)
        plan = _plan(resolution, found)
        return plan.starting_at(ids[0]) if once and ids else plan

    async def members(
        self, connection: Connection, entity: Entity, entity_ids: Sequence[str]
    ) -> Plan:
        """Plan to recompute entities of silver as they are linked now."""
        if entity.identity is None:
            return Plan(entity_ids)
        members = await self._links.members(connection, entity.entity_type, entity_ids)
        entity_of = {item: key for key, items in members.items() for item in items}
        return Plan(entity_ids, members, entity_of)

    async def settle(self, connection: Connection, entity: Entity, plan: Plan) -> None:
        """Leave word at entities that are part of others now."""
        if plan.members is not None:
            await self._links.point_to_survivors(connection, entity.entity_type, plan.ids)

    async def _compute(
        self,
        connection: Connection,
        entity: Entity,
        rules: IdentityRules,
        ids: Sequence[str],
    ) -> tuple[list[FirstSeen], dict[str, Record], Resolution]:
        entity_type = entity.entity_type
        found = await self._links.records(connection, entity_type, ids)
        keys = await self._merger.keys(entity, [item.head for item in found])
        changed: dict[str, Record] = {}
        for item in found:
            record_id = item.head.entity_id
            mine = keys[record_id]
            changed[record_id] = Record(record_id, item.order, mine.keys, mine.exclusive)
        holders = await self._links.holders(connection, entity_type, changed, limits=rules.limits)
        near = reached(rules.limits, changed.keys(), holders)
        known = await self._links.known(connection, entity_type, sorted(near))
        resolution = resolve(rules.limits, changed, holders=holders, known=known)
        strays = [key for key in changed.keys() - known if resolution.links[key].entity_id != key]
        # From a time before these rules: each was an entity of its own.
        standing = await self._links.standing(connection, entity_type, sorted(strays))
        affected = resolution.affected.union(standing)
        return found, changed, dataclasses.replace(resolution, affected=affected)


def _plan(resolution: Resolution, found: Iterable[FirstSeen]) -> Plan:
    return Plan(
        changed_at=max((item.head.stored_at for item in found), default=None),
        ids=sorted(resolution.affected),
        members=resolution.members(),
        entity_of={key: item.entity_id for key, item in resolution.links.items()},
    )
