"""Makes a shadow the truth, or forgets it.

What promotion writes is computed once more, by the one path on which silver is ever written, and
must come out as the shadow has it: silver is a function of bronze and the rules, so it does, unless
one of them has moved on. Then everything is rolled back. See decision 0036.
"""

import dataclasses
from collections.abc import AsyncGenerator
from typing import Literal

from chassis.db import Connection, Transaction
from chassis.errors import PermanentError
from chassis.failpoints import reach
from chassis.logs import get_logger
from chassis.runs import RunContext
from contracts.errors import ErrorCategory
from contracts.runs import RunCounts
from transformer.domain.entity import Entity
from transformer.domain.shadow import Shadow, name_some
from transformer.handlers.identify import Identify
from transformer.handlers.recompute import Recompute, Tally
from transformer.ports import PromotionStore, ShadowStore


class PromoteShadow:
    """Decides about shadows; each decision is one transaction.

    Args:
        store: Keeps the shadow.
        promotion: Compares it with bronze and silver as they are.
        identify: Resolves identity among silver's own links.
        recompute: Writes silver.
        page: Entities written at a time, within the transaction.
    """

    def __init__(
        self,
        store: ShadowStore,
        promotion: PromotionStore,
        *,
        identify: Identify,
        recompute: Recompute,
        page: int,
    ) -> None:
        self._store = store
        self._promotion = promotion
        self._identify = identify
        self._recompute = recompute
        self._page = page

    async def promote(self, context: RunContext, entity: Entity, shadow_run: str) -> RunCounts:
        """Write what differs; readers, and those who follow `silver.changed`, see it at once.

        Raises:
            PermanentError: there is no such shadow, or bronze or the rules have moved on; says what
                to do.
        """
        if (done := _done_before(context)) is not None:
            return done
        async with context.transaction() as transaction:
            connection = transaction.connection
            shadow = await self._find(transaction, entity, shadow_run)
            if shadow.rules_hash != entity.rules_hash:
                raise _refused(_other_rules(entity, shadow))
            if moved := await self._promotion.moved(connection, entity.entity_type):
                raise _refused(_moved_on(moved, shadow))
            await self._link(context, transaction, entity)
            await self._promotion.lock(connection, entity.entity_type)
            tallies = [tally async for tally in self._write(context, transaction, entity)]
            if broken := await self._promotion.broken(connection, entity.entity_type):
                raise _refused(_broken(broken, shadow))
            counts = _total(tallies)
            await self._decide(
                context, transaction, entity, shadow=shadow, action="promoted", counts=counts
            )
            await reach("shadow.before_commit")
        for tally in tallies:
            tally.publish(entity.entity_type)
        get_logger().info("shadow_promoted", entity_type=entity.entity_type, shadow_run=shadow_run)
        return counts

    async def discard(self, context: RunContext, entity: Entity, shadow_run: str) -> RunCounts:
        """Forget a shadow.

        Raises:
            PermanentError: there is no such shadow.
        """
        if (done := _done_before(context)) is not None:
            return done
        async with context.transaction() as transaction:
            shadow = await self._find(transaction, entity, shadow_run)
            await self._decide(
                context, transaction, entity, shadow=shadow, action="discarded", counts=RunCounts()
            )
        get_logger().info("shadow_discarded", entity_type=entity.entity_type, shadow_run=shadow_run)
        return RunCounts()

    async def _find(self, transaction: Transaction, entity: Entity, shadow_run: str) -> Shadow:
        shadow = await self._store.find(transaction.connection, entity.entity_type)
        if shadow is None or shadow.run_id != shadow_run or not shadow.is_ready:
            raise _refused(
                f"run {shadow_run} has no shadow of `{entity.entity_type}`: it was promoted, "
                "discarded, has expired, or was never ready"
            )
        return shadow

    async def _link(self, context: RunContext, transaction: Transaction, entity: Entity) -> None:
        """Resolve identity before anything is written, so that each entity is written once."""
        if entity.identity is None:
            return
        connection, kind = transaction.connection, entity.entity_type
        async for ids in self._stale(context, connection, kind):
            records = await self._promotion.records_of(connection, kind, ids)
            plan = await self._identify.resolve(connection, entity, records)
            await self._store.note_stale(connection, kind, plan.ids)
        await self._promotion.forget_refusals(connection, kind, entity.identity.limits)

    async def _write(
        self, context: RunContext, transaction: Transaction, entity: Entity
    ) -> AsyncGenerator[Tally]:
        connection, kind = transaction.connection, entity.entity_type
        newest = await self._promotion.newest(connection, kind)
        async for ids in self._stale(context, connection, kind):
            plan = await self._identify.members(connection, entity, ids)
            if plan.members is not None:
                joined = await self._promotion.survivors(connection, kind, ids)
                entity_of = {**plan.entity_of, **joined}
                plan = dataclasses.replace(plan, entity_of=entity_of, changed_at=newest)
            yield await self._recompute.apply_plan(
                transaction, entity, plan, run_id=context.run.run_id
            )
            await transaction.flush()

    async def _stale(
        self, context: RunContext, connection: Connection, entity_type: str
    ) -> AsyncGenerator[list[str]]:
        """Yield what must be written, page by page."""
        after = ""
        while ids := await self._store.entities(
            connection, entity_type, after=after, limit=self._page, only_stale=True
        ):
            context.raise_if_cancelled()
            yield ids
            after = ids[-1]

    async def _decide(
        self,
        context: RunContext,
        transaction: Transaction,
        entity: Entity,
        *,
        shadow: Shadow,
        action: Literal["promoted", "discarded"],
        counts: RunCounts,
    ) -> None:
        run, told = context.run, counts.model_dump()
        await self._promotion.audit(
            transaction.connection,
            entity.entity_type,
            actor=run.requester,
            action=f"shadow.{action}",
            details={
                "run_id": run.run_id,
                "shadow_run": shadow.run_id,
                "made_by": shadow.requester,
                "reason": run.reason,
                "counts": told,
            },
        )
        await self._store.forget(transaction.connection, entity)
        # Whoever takes the run up after a crash must not look for a shadow that is gone.
        await context.checkpoint({"decided": told}, transaction=transaction)


def _done_before(context: RunContext) -> RunCounts | None:
    """Return what an attempt of this run has done whose end was not written down."""
    checkpoint = context.run.checkpoint
    return RunCounts.model_validate(checkpoint["decided"]) if checkpoint else None


def _total(tallies: list[Tally]) -> RunCounts:
    found = dict.fromkeys(RunCounts.model_fields, 0)
    for tally in tallies:
        for name, value in tally.counts().model_dump().items():
            found[name] += value
    return RunCounts(**found)


def _again(shadow: Shadow) -> str:
    return f"discard it (`penstock transform discard {shadow.run_id}`) and make another"


def _other_rules(entity: Entity, shadow: Shadow) -> str:
    return (
        f"the shadow was made by other rules (version {shadow.ruleset_version}, "
        f"{shadow.rules_hash}) than those at work (version {entity.config.ruleset_version}, "
        f"{entity.rules_hash}): restart the transformer if the rules of the shadow are to hold, "
        f"else {_again(shadow)}"
    )


def _moved_on(entity_ids: list[str], shadow: Shadow) -> str:
    return (
        f"bronze has stored more since the shadow was made, of {len(entity_ids)} that differ: "
        f"{name_some(entity_ids)}; {_again(shadow)}"
    )


def _broken(entity_ids: list[str], shadow: Shadow) -> str:
    return (
        f"{len(entity_ids)} would not become what the shadow shows, because records or what they "
        f"refer to have moved on: {name_some(entity_ids)}; {_again(shadow)}"
    )


def _refused(message: str) -> PermanentError:
    return PermanentError(message, category=ErrorCategory.CONFIG_VALIDATION)
