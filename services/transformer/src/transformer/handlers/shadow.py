"""Makes a shadow: silver computed anew from bronze, beside the one that readers see.

First every record is linked, then every entity is merged once and compared. Nothing is locked that
events need, and nothing is published. What silver holds meanwhile may move on; each entity is
compared with what stands there when its page is written.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from chassis.db import Connection, Database, Transaction
from chassis.errors import PermanentError
from chassis.logs import get_logger
from chassis.runs import RunContext
from contracts.errors import ErrorCategory
from contracts.runs import RunCounts
from transformer.domain.chunks import ChunkLimits, cut
from transformer.domain.entity import Entity
from transformer.domain.shadow import Compared, Shadow, Slice
from transformer.handlers.identify import Identify
from transformer.handlers.refer import Refer
from transformer.ports import HeadReader, Merger, RulesReader, ShadowStore

EXAMPLES = 10
"""Of every kind of difference; all are counted."""


@dataclass(frozen=True, slots=True)
class _Place:
    """Where the work stands: what a run takes up again after an interruption."""

    is_linked: bool = False
    after: str = ""
    taken: int = 0
    counts: RunCounts = field(default_factory=RunCounts)

    def as_json(self) -> dict[str, Any]:
        return {
            "is_linked": self.is_linked,
            "after": self.after,
            "taken": self.taken,
            "counts": self.counts.model_dump(),
        }


def _read_place(checkpoint: Mapping[str, Any]) -> _Place:
    counts = RunCounts.model_validate(checkpoint["counts"])
    return _Place(checkpoint["is_linked"], checkpoint["after"], checkpoint["taken"], counts)


class MakeShadow:
    """Computes silver anew, by the rules as they stand on disk.

    Args:
        database: Where bronze, silver and shadow are.
        store: Keeps the shadow.
        rules: What the configuration says now; whoever has changed it need not restart anything.
        heads: The heads that the shadow remembers.
        identify: Resolves identity among the links of shadows.
        refer: Checks references, against the silver that readers see.
        merger: Runs the merge.
        limits: How much is merged at a time.
        page: Entities per transaction.
    """

    def __init__(
        self,
        database: Database,
        store: ShadowStore,
        *,
        rules: RulesReader,
        heads: HeadReader,
        identify: Identify,
        refer: Refer,
        merger: Merger,
        limits: ChunkLimits,
        page: int,
    ) -> None:
        self._database = database
        self._store = store
        self._rules = rules
        self._heads = heads
        self._identify = identify
        self._refer = refer
        self._merger = merger
        self._limits = limits
        self._page = page

    async def __call__(self, context: RunContext, entity_type: str, part: Slice) -> RunCounts:
        """Make a shadow of part of bronze; how silver differs stands in the run's checkpoint.

        Raises:
            PermanentError: there is a shadow already, or the rules cannot be used.
        """
        rules = await self._rules.read()
        entity = rules.get(entity_type)
        if entity is None:
            raise _refused(f"`config/entities` has no rules for {entity_type!r} any more")
        place = await self._begin(context, entity, part)
        if not place.is_linked:
            place = await self._link_all(context, entity, part, place=place)
        counts = await self._merge_all(context, entity, part, place=place)
        async with context.transaction() as transaction:
            diff = await self._store.finish(transaction.connection, entity, examples=EXAMPLES)
            told = {"shadow": _describe(entity, part) | diff}
            await context.checkpoint(told, transaction=transaction)
        get_logger().info("shadow_made", entity_type=entity_type, run_id=context.run.run_id)
        return counts

    async def _begin(self, context: RunContext, entity: Entity, part: Slice) -> _Place:
        """Begin, or find out where an interrupted attempt of this run has come to."""
        run = context.run
        async with context.transaction() as transaction:
            connection = transaction.connection
            known = await self._store.find(connection, entity.entity_type)
            if known is not None and known.run_id == run.run_id and run.checkpoint:
                if known.rules_hash == entity.rules_hash and not known.is_ready:
                    return _read_place(run.checkpoint)
            elif known is not None and known.is_ready:
                raise _refused(_exists_already(entity, known))
            await self._store.begin(
                connection, entity, part, run_id=run.run_id, requester=run.requester
            )
            return await self._set(context, _Place(), transaction=transaction)

    @staticmethod
    async def _set(context: RunContext, place: _Place, *, transaction: Transaction) -> _Place:
        await context.checkpoint(place.as_json(), transaction=transaction)
        return place

    async def _link_all(
        self, context: RunContext, entity: Entity, part: Slice, *, place: _Place
    ) -> _Place:
        """Remember the heads of bronze, and resolve which of them are one entity."""
        while True:
            room = self._page if part.limit is None else min(self._page, part.limit - place.taken)
            async with context.transaction() as transaction:
                connection = transaction.connection
                ids = await self._store.take_page(
                    connection, entity.entity_type, part, after=place.after, limit=room
                )
                if not ids:
                    if part.is_whole:
                        await self._store.note_strangers(connection, entity)
                    place = _Place(is_linked=True, taken=place.taken)
                    return await self._set(context, place, transaction=transaction)
                plan = await self._identify.resolve(connection, entity, ids)
                await self._store.note(connection, entity.entity_type, plan.ids)
                place = _Place(after=ids[-1], taken=place.taken + len(ids))
                await self._set(context, place, transaction=transaction)
            await context.report(place.counts, message=f"{place.taken} records linked")

    async def _merge_all(
        self, context: RunContext, entity: Entity, part: Slice, *, place: _Place
    ) -> RunCounts:
        async with self._database.connection() as connection:
            total = await self._store.count(connection, entity.entity_type)
        while True:
            async with context.transaction() as transaction:
                connection = transaction.connection
                ids = await self._store.entities(
                    connection, entity.entity_type, after=place.after, limit=self._page
                )
                if not ids:
                    return place.counts
                compared = await self._merge_page(connection, entity, part, entity_ids=ids)
                counts = _sum(place.counts, compared.counts())
                place = _Place(is_linked=True, after=ids[-1], taken=place.taken, counts=counts)
                await self._set(context, place, transaction=transaction)
            await context.report(counts, total=total)

    async def _merge_page(
        self, connection: Connection, entity: Entity, part: Slice, *, entity_ids: list[str]
    ) -> Compared:
        kind = entity.entity_type
        plan = await self._identify.members(connection, entity, entity_ids)
        records = plan.records_of(plan.ids)
        if not part.is_whole:
            # A part of bronze leads to entities that have other records beside it.
            await self._store.take(connection, kind, part, records)
        sizes = plan.sum_by_entity(await self._heads.sizes(connection, kind, records))
        for chunk in cut(plan.ids, sizes, self._limits):
            heads = await self._heads.heads(connection, kind, plan.records_of(chunk))
            merged = await self._merger.merge(entity, chunk, plan.assign(heads))
            outcomes, _ = await self._refer.check(connection, entity, merged)
            await self._store.save(connection, entity, outcomes)
        return await self._store.compare(connection, entity, entity_ids)


def _describe(entity: Entity, part: Slice) -> dict[str, Any]:
    return {
        "entity_type": entity.entity_type,
        "ruleset_version": entity.config.ruleset_version,
        "rules_hash": entity.rules_hash,
        "of": part.as_json(),
    }


def _exists_already(entity: Entity, known: Shadow) -> str:
    return (
        f"`{entity.entity_type}` has a shadow already: run {known.run_id}, asked for by "
        f"{known.requester}, made {known.made_at:%Y-%m-%d %H:%M} UTC; promote or discard it first"
    )


def _refused(message: str) -> PermanentError:
    return PermanentError(message, category=ErrorCategory.CONFIG_VALIDATION)


def _sum(counts: RunCounts, others: RunCounts) -> RunCounts:
    more = others.model_dump()
    return RunCounts(**{name: value + more[name] for name, value in counts.model_dump().items()})
