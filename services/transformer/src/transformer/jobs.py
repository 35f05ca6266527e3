"""The `transform` run: recomputes entities of one type, page by page, and resumes where it was.

Events keep silver up to date; a run is for new rules, and for repair: with `changed_since` it
takes what bronze stored from that time on, by bronze's clock and not by when a run ended (C-11).
"""

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from datetime import timedelta
from functools import partial
from typing import Annotated, Any, Literal, assert_never

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from chassis.db import Database
from chassis.errors import PermanentError
from chassis.logs import get_logger
from chassis.runs import Run, RunContext
from contracts.errors import ErrorCategory
from contracts.runs import RunCounts
from transformer.domain.entity import Entity
from transformer.domain.priorities import with_priority
from transformer.domain.shadow import Slice
from transformer.handlers.promote import PromoteShadow
from transformer.handlers.recompute import Recompute, Tally
from transformer.handlers.shadow import MakeShadow
from transformer.handlers.side_by_side import Turn, side_by_side
from transformer.handlers.simulate import Simulate
from transformer.ports import BronzeReader, RunHistory


class TransformParameters(BaseModel):
    """What a `transform` run may be asked for."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    entity_type: str
    entity_ids: Annotated[tuple[str, ...], Field(max_length=1000)] = ()
    """Only these; empty means every entity of the type."""

    changed_since: AwareDatetime | None = None
    """Only entities of which bronze stored a version at or after this time."""

    incremental: bool = False
    """Only what bronze stored since the last complete run began; everything if there was none."""

    priority: tuple[str, ...] = ()
    """Other orders of sources, to see what they would change."""

    action: Literal["transform", "shadow", "promote", "discard"] = "transform"
    shadow_run: str | None = None
    """Whose shadow is promoted or discarded."""

    until: AwareDatetime | None = None
    """Of a shadow: bronze as it was then."""

    limit: int | None = None
    """Of a shadow: so many of bronze's entities."""

    @property
    def is_everything(self) -> bool:
        """Whether every record of the type is looked at; then every entity is counted once.

        A dry run over some records counts an entity on every page where it has one of them.
        """
        return not self.entity_ids and self.changed_since is None


OVERLAP = timedelta(minutes=5)
"""How far an incremental run looks back behind the start of the last one: late commits, and the
difference between the clocks of two writers (C-11)."""

MAX_SAMPLES = 20
"""Differences that a simulation tells; it counts all of them."""


PAGES_AT_ONCE = 4
"""Pages of a run in progress, of types whose entities have nothing to do with each other: one is
merged, one or two are written, and one is ready for whoever is free first."""


class TransformJob:
    """Executes `transform` runs."""

    def __init__(
        self,
        entities: Mapping[str, Entity],
        recompute: Recompute,
        *,
        simulate: Simulate,
        bronze: BronzeReader,
        history: RunHistory,
        database: Database,
        page: int,
    ) -> None:
        self._entities = entities
        self._recompute = recompute
        self._simulate = simulate
        self._bronze = bronze
        self._history = history
        self._database = database
        self._page = page

    async def __call__(self, context: RunContext) -> RunCounts:
        """Recompute page by page; each page and its checkpoint commit together, in order.

        Raises:
            PermanentError: the parameters are wrong, or name a type without rules.
        """
        parameters = _read_parameters(context.run)
        entity = _find_rules(self._entities, parameters)
        parameters = await self._with_cursor(parameters)
        if parameters.priority:
            return await self._run_simulation(context, entity, parameters)
        checkpoint = context.run.checkpoint or {}
        context.counts = RunCounts.model_validate(checkpoint.get("counts", {}))
        total = await self._count(parameters)
        results = side_by_side(
            self._pages(parameters, after=checkpoint.get("after", "")),
            partial(self._do_page, context, entity, parameters),
            at_once=self._at_once(context.run, entity),
        )
        async with aclosing(results):
            async for counts in results:
                message = _describe(context.run, counts)
                await context.report(counts, total=total, message=message)
        if context.run.dry_run:
            get_logger().info("transform_previewed", message=_describe(context.run, context.counts))
        return context.counts

    def _at_once(self, run: Run, entity: Entity) -> int:
        is_independent = not run.dry_run and self._recompute.is_independent(entity)
        return PAGES_AT_ONCE if is_independent else 1

    async def _with_cursor(self, parameters: TransformParameters) -> TransformParameters:
        """Turn `incremental` into a time: of when the last complete run began, not ended (C-11)."""
        if not parameters.incremental:
            return parameters
        async with self._database.connection() as connection:
            began = await self._history.last_complete(connection, parameters.entity_type)
        since = began and began - OVERLAP
        return parameters.model_copy(update={"changed_since": since})

    async def _run_simulation(
        self, context: RunContext, entity: Entity, parameters: TransformParameters
    ) -> RunCounts:
        """Compare with other orders of sources; the samples stand in the run's checkpoint."""
        if not context.run.dry_run:
            raise PermanentError(
                "another order of sources can be simulated (`dry_run`), not applied; write it into "
                "`config/entities`",
                category=ErrorCategory.CONFIG_VALIDATION,
            )
        other = with_priority(entity, parameters.priority)
        counts, samples = RunCounts(), list[dict[str, Any]]()
        total = await self._count(parameters)
        async for ids in self._pages(parameters, after=""):
            async with self._database.connection() as connection:
                found = await self._simulate.compare(
                    connection, entity, other, entity_ids=ids, once=parameters.is_everything
                )
            counts = _sum(counts, found.counts())
            samples.extend(item.as_json() for item in found.differences)
            del samples[MAX_SAMPLES:]
            message = f"{counts.changed} of {counts.processed} records would change"
            await context.report(counts, total=total, message=message)
        await context.checkpoint({"samples": samples})
        return counts

    async def _do_page(
        self,
        context: RunContext,
        entity: Entity,
        parameters: TransformParameters,
        ids: list[str],
        turn: Turn,
    ) -> RunCounts:
        """Recompute a page; return what the run has counted up to it."""
        await turn.to_lock()
        if context.run.dry_run:
            async with self._database.connection() as connection:
                tally = await self._recompute.preview(
                    connection, entity, ids, once=parameters.is_everything
                )
            return _add(context.counts, tally)
        async with context.transaction() as transaction:
            tally = await self._recompute.apply(
                transaction, entity, ids, run_id=context.run.run_id, turn=turn
            )
            await turn.to_commit(transaction.nudge)
            counts = _add(context.counts, tally)
            state: dict[str, Any] = {"after": ids[-1], "counts": counts.model_dump()}
            await context.checkpoint(state, transaction=transaction)
        tally.publish(entity.entity_type)
        return counts

    async def _pages(
        self, parameters: TransformParameters, *, after: str
    ) -> AsyncGenerator[list[str]]:
        wanted = sorted(item for item in set(parameters.entity_ids) if item > after)
        if parameters.entity_ids:
            for start in range(0, len(wanted), self._page):
                yield wanted[start : start + self._page]
            return
        while ids := await self._next_page(parameters, after):
            yield ids
            after = ids[-1]

    async def _next_page(self, parameters: TransformParameters, after: str) -> list[str]:
        async with self._database.connection() as connection:
            return await self._bronze.page(
                connection,
                parameters.entity_type,
                after=after,
                limit=self._page,
                changed_since=parameters.changed_since,
            )

    async def _count(self, parameters: TransformParameters) -> int:
        if parameters.entity_ids:
            return len(set(parameters.entity_ids))
        async with self._database.connection() as connection:
            return await self._bronze.count(
                connection, parameters.entity_type, changed_since=parameters.changed_since
            )


class TransformJobs:
    """Executes `transform` runs of every kind: those of silver itself, and those of a shadow.

    They are one kind of run, so that no two of an entity type ever run at the same time.
    """

    def __init__(
        self,
        entities: Mapping[str, Entity],
        transform: TransformJob,
        *,
        make: MakeShadow,
        decide: PromoteShadow,
    ) -> None:
        self._entities = entities
        self._transform = transform
        self._make = make
        self._decide = decide

    async def __call__(self, context: RunContext) -> RunCounts:
        """Do what the run asks for.

        Raises:
            PermanentError: the parameters are wrong, or it is refused.
        """
        wanted = _read_parameters(context.run)
        entity = _find_rules(self._entities, wanted)
        match wanted.action:
            case "transform":
                return await self._transform(context)
            case "shadow":
                part = Slice(wanted.entity_ids, wanted.changed_since, wanted.until, wanted.limit)
                return await self._make(context, entity.entity_type, part)
            case "promote":
                return await self._decide.promote(context, entity, wanted.shadow_run or "")
            case "discard":
                return await self._decide.discard(context, entity, wanted.shadow_run or "")
            case _:
                assert_never(wanted.action)


def _find_rules(entities: Mapping[str, Entity], parameters: TransformParameters) -> Entity:
    entity = entities.get(parameters.entity_type)
    if entity is None:
        raise PermanentError(
            f"no rules for {parameters.entity_type!r}; known: {', '.join(entities)}",
            category=ErrorCategory.CONFIG_VALIDATION,
        )
    return entity


def _read_parameters(run: Run) -> TransformParameters:
    try:
        return TransformParameters.model_validate(run.parameters)
    except ValidationError as error:
        names = ", ".join(".".join(map(str, item["loc"])) for item in error.errors())
        raise PermanentError(
            f"the run's parameters are wrong: {names}", category=ErrorCategory.CONFIG_VALIDATION
        ) from error


def _add(counts: RunCounts, tally: Tally) -> RunCounts:
    return _sum(counts, tally.counts())


def _sum(counts: RunCounts, others: RunCounts) -> RunCounts:
    more = others.model_dump()
    return RunCounts(**{name: value + more[name] for name, value in counts.model_dump().items()})


def _describe(run: Run, counts: RunCounts) -> str | None:
    if not run.dry_run:
        return None
    return (
        f"would upsert {counts.new + counts.changed}, would retire {counts.deleted}, "
        f"would reject {counts.failed}"
    )
