"""Recomputes entities inside the caller's transaction: lock, read bronze, merge, write,
publish.
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncGenerator, Iterable, Mapping
from dataclasses import dataclass, field

import polars as pl

from chassis.db import Connection, Transaction
from chassis.logs import get_logger
from chassis.tracing import span
from contracts.runs import RunCounts
from transformer import metrics
from transformer.domain.changes import (
    IS_VISIBLE,
    VERSION,
    WAS,
    Changes,
    State,
    Status,
    compare,
)
from transformer.domain.chunks import ChunkLimits, cut
from transformer.domain.entity import Entity
from transformer.domain.frames import ENTITY
from transformer.domain.outcomes import REASONS, SCORE, STATUS, Outcomes
from transformer.domain.records import Head
from transformer.domain.references import Use
from transformer.handlers.announce import Causes, announce
from transformer.handlers.identify import Identify, Plan
from transformer.handlers.refer import Refer, Values
from transformer.handlers.side_by_side import Turn
from transformer.ports import BronzeReader, Merger, SilverStore


@dataclass(slots=True)
class Tally:
    """What a recomputation did; counted in metrics once its transaction has committed."""

    new: int = 0
    changed: int = 0
    unchanged: int = 0
    retired: int = 0
    rejected: int = 0
    scores: Counter[str] = field(default_factory=Counter)
    """How many records have which score."""

    dependents: "list[tuple[str, Tally]]" = field(default_factory=list)
    """What else was recomputed because it refers to these entities, by type."""

    def add(self, changes: Changes) -> None:
        """Count changes."""
        groups = changes.frame.group_by(
            STATUS, IS_VISIBLE, (pl.col(VERSION) == 1).alias("is_first"), SCORE
        ).len()
        for status, is_visible, is_first, score, count in groups.iter_rows():
            match Status(status):
                case Status.REJECTED:
                    self.rejected += count
                case _ if not is_visible:
                    self.unchanged += count
                case Status.RETIRED:
                    self.retired += count
                case Status.LIVE:
                    self.scores[score] += count
                    self.new += count if is_first else 0
                    self.changed += 0 if is_first else count
        self.unchanged += changes.unchanged

    def counts(self) -> RunCounts:
        """Return the same as a run reports it."""
        upserted = self.new + self.changed
        return RunCounts(
            processed=upserted + self.unchanged + self.retired + self.rejected,
            new=self.new,
            changed=self.changed,
            unchanged=self.unchanged,
            deleted=self.retired,
            failed=self.rejected,
        )

    def publish(self, entity_type: str) -> None:
        """Put the numbers into the metrics."""
        for outcome, count in (
            ("upserted", self.new + self.changed),
            ("unchanged", self.unchanged),
            ("retired", self.retired),
            ("rejected", self.rejected),
        ):
            metrics.RECORDS.labels(entity_type, outcome).inc(count)
        quality = metrics.QUALITY.labels(entity_type)
        for score, count in self.scores.items():
            for _ in range(count):
                quality.observe(float(score))
        for dependent_type, tally in self.dependents:
            tally.publish(dependent_type)


class Recompute:
    """Brings silver up to date with bronze, for the entities it is told."""

    def __init__(
        self,
        bronze: BronzeReader,
        silver: SilverStore,
        *,
        identify: Identify,
        refer: Refer,
        merger: Merger,
        limits: ChunkLimits,
    ) -> None:
        self._bronze = bronze
        self._silver = silver
        self._identify = identify
        self._refer = refer
        self._merger = merger
        self._limits = limits

    def is_independent(self, entity: Entity) -> bool:
        """Tell whether what becomes of an entity of this type depends on no other entity.

        Then its lock is the only one that a recomputation takes.
        """
        return entity.identity is None and not self._refer.concerns(entity)

    async def apply(
        self,
        transaction: Transaction,
        entity: Entity,
        entity_ids: Iterable[str],
        *,
        causes: Causes | None = None,
        run_id: str | None = None,
        turn: Turn | None = None,
    ) -> Tally:
        """Recompute entities and publish `silver.changed` for those that readers see differently.

        Where the rules have an identity, it is resolved first: entities that gain or lose records
        are recomputed as well. All are locked at once and in order; then bronze is read, so the
        last of several concurrent transactions has seen the newest heads. Memory is bounded by
        the chunks.

        Args:
            transaction: Everything is written in it.
            entity: The rules.
            entity_ids: Which, as bronze calls them.
            causes: The events that asked for it, by the same ids.
            run_id: The run that asked for it. A run writes every row again that differs, whatever
                silver remembers: so it mends what somebody else has touched.
            turn: The place among pages side by side; it is told when everything is locked.
        """
        await self._refer.hold(transaction.connection, entity)
        plan = await self._identify.resolve(transaction.connection, entity, entity_ids)
        return await self._recompute(
            transaction, entity, plan, causes=causes or {}, run_id=run_id, turn=turn
        )

    async def apply_plan(
        self, transaction: Transaction, entity: Entity, plan: Plan, *, run_id: str
    ) -> Tally:
        """Do as `apply` for entities whose identity is resolved already."""
        await self._refer.hold(transaction.connection, entity)
        return await self._recompute(transaction, entity, plan, causes={}, run_id=run_id)

    async def _recompute(
        self,
        transaction: Transaction,
        entity: Entity,
        plan: Plan,
        *,
        causes: Causes,
        run_id: str | None = None,
        turn: Turn | None = None,
    ) -> Tally:
        started = time.monotonic()
        connection = transaction.connection
        tally = Tally()
        flipped: Values = set()
        states = await self._silver.lock(connection, entity, plan.ids)
        if turn is not None:
            turn.locked()
        found = self._changes(
            connection,
            entity,
            plan,
            states=states,
            is_repair=run_id is not None,
            pages=1 if turn is None else turn.at_once,
        )
        async for ids, changes, uses in found:
            before = await self._refer.before(connection, entity, changes)
            with span("write silver", {"entity_type": entity.entity_type, "records": len(ids)}):
                await self._silver.apply(connection, entity, changes, run_id=run_id)
            await self._refer.note(connection, entity, ids, uses=uses)
            flipped |= self._refer.flipped(entity, changes, before)
            announce(transaction, entity, changes, plan=plan, causes=causes)
            # The entities are locked, so their events have their order; and while these are
            # written, the next chunk is merged.
            await transaction.flush()
            tally.add(changes)
            _log_rejections(entity, changes)
        await self._identify.settle(connection, entity, plan)
        duration = metrics.RECOMPUTE_DURATION.labels(entity.entity_type)
        duration.observe(time.monotonic() - started)
        for dependent, ids in await self._refer.dependents(connection, entity, flipped):
            more = await self._recompute_dependents(transaction, dependent, ids, causes=causes)
            tally.dependents.append((dependent.entity_type, more))
        return tally

    async def _recompute_dependents(
        self, transaction: Transaction, entity: Entity, ids: list[str], *, causes: Causes
    ) -> Tally:
        """Look again at entities whose references came or went."""
        await self._refer.hold(transaction.connection, entity)
        plan = await self._identify.members(transaction.connection, entity, ids)
        cause = causes[min(causes)] if causes else None
        return await self._recompute(
            transaction, entity, plan, causes=dict.fromkeys(ids, cause) if cause else {}
        )

    async def preview(
        self,
        connection: Connection,
        entity: Entity,
        entity_ids: Iterable[str],
        *,
        once: bool = False,
    ) -> Tally:
        """Count what `apply` would do, and write nothing (S2-37).

        `once` leaves out entities that a page of lower ids has counted.
        """
        tally = Tally()
        plan = await self._identify.preview(connection, entity, entity_ids, once=once)
        states = await self._silver.states(connection, entity, plan.ids)
        async for _, changes, _ in self._changes(connection, entity, plan, states=states):
            tally.add(changes)
        return tally

    async def _changes(
        self,
        connection: Connection,
        entity: Entity,
        plan: Plan,
        *,
        states: Mapping[str, State],
        is_repair: bool = False,
        pages: int = 1,
    ) -> AsyncGenerator[tuple[list[str], Changes, list[Use]]]:
        async for chunk, outcomes in self._merged(connection, entity, plan, pages=pages):
            checked, uses = await self._refer.check(connection, entity, plan.date(outcomes))
            yield chunk, compare(states, checked, is_repair=is_repair), uses

    async def _chunks(
        self, connection: Connection, entity: Entity, plan: Plan, *, pages: int
    ) -> AsyncGenerator[tuple[list[str], list[Head]]]:
        """Read entity by entity, as many at a time as the limits allow.

        Records are small as a rule, so they are asked for; only if there is too much of them their
        sizes are.
        """
        kind, limits = entity.entity_type, self._limits.among(pages)
        for start in range(0, len(plan.ids), limits.entities):
            ids = list(plan.ids[start : start + limits.entities])
            records = plan.records_of(ids)
            heads = await self._bronze.heads_within(
                connection, kind, records, limit=limits.size_bytes
            )
            if heads is not None:
                yield ids, heads
                continue
            sizes = plan.sum_by_entity(await self._bronze.sizes(connection, kind, records))
            for chunk in cut(ids, sizes, limits):
                yield chunk, await self._bronze.heads(connection, kind, plan.records_of(chunk))

    async def _merged(
        self, connection: Connection, entity: Entity, plan: Plan, *, pages: int
    ) -> AsyncGenerator[tuple[list[str], Outcomes]]:
        """Merge chunk by chunk, each while the caller writes the one before.

        So the database waits for the processor no more than it must. With other pages in progress
        it has enough to do, and there is one chunk of each in memory.
        """
        merging: tuple[list[str], asyncio.Future[Outcomes]] | None = None
        try:
            async for chunk, heads in self._chunks(connection, entity, plan, pages=pages):
                work = self._merger.merge(entity, chunk, plan.assign(heads))
                # A generator cannot hold a task group; the task is awaited or cancelled below.
                task = asyncio.ensure_future(work)  # noqa: TID251
                before, merging = (merging, (chunk, task)) if pages == 1 else ((chunk, task), None)
                if before is not None:
                    yield before[0], await before[1]
            if merging is not None:
                yield merging[0], await merging[1]
        finally:
            if merging is not None:
                merging[1].cancel()


def _log_rejections(entity: Entity, changes: Changes) -> None:
    for entity_id, reasons, was in changes.rejected.select(ENTITY, REASONS, WAS).iter_rows():
        get_logger().warning(
            "record_rejected",
            outcome="warning",
            entity_type=entity.entity_type,
            entity_id=entity_id,
            reasons=tuple(reasons),
            was_live=was == Status.LIVE,
        )
