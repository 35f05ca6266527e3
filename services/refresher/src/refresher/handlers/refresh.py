"""The runs of the refresher: plan and apply, apply what was approved, take back."""

import asyncio
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from chassis.clock import Clock
from chassis.db import Connection, Database
from chassis.drift import report
from chassis.errors import PermanentError
from chassis.failpoints import reach
from chassis.logs import get_logger
from chassis.runs import Run, RunCancelledError, RunContext
from contracts.errors import ErrorCategory
from contracts.runs import RunCounts
from refresher import metrics
from refresher.domain.catalog import Side, catalog_hash
from refresher.domain.config import RefreshConfig, SyncMode
from refresher.domain.failures import first_failure
from refresher.domain.guards import VerifiedTarget
from refresher.domain.plan import Plan, Verdict
from refresher.domain.planner import HELD, Request
from refresher.errors import (
    PlanRefusedError,
    PlanStaleError,
    RefreshError,
    UnsafeTargetError,
)
from refresher.handlers.applying import Applying
from refresher.handlers.planning import Planning, Survey
from refresher.ports import Engine, EngineFactory, Ledger, StoredPlan

ALL = "all"


class Parameters(BaseModel):
    """What a `refresh` run may be asked for."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    table: str
    mode: Literal["configured", "full_replace", "incremental", "smart_sync"] = "configured"
    force: bool = False
    row_limit: Annotated[int, Field(ge=1)] | None = None


class PlanParameters(BaseModel):
    """What an `apply` or `undo` run is about."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    plan: str
    """The plan's id, or the id of the run that it belongs to."""

    table: str | None = None
    """The run's target, where a command said it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refresher:
    """Everything the runs share."""

    config: RefreshConfig
    open_engine: EngineFactory
    ledger: Ledger
    database: Database
    planning: Planning
    applying: Applying
    clock: Clock
    is_test: bool
    has_key: bool
    """Whether there is a key to mask with."""

    # --- refresh ---------------------------------------------------------------------------
    async def refresh(self, context: RunContext) -> RunCounts:
        """Plan, and apply unless a person must look first."""
        run = context.run
        parameters = _read(Parameters, run)
        async with self.open_engine() as engine:
            stored, target = await self._resumed(context), None
            if stored is None:
                is_dry = run.dry_run or self.config.settings.dry_run
                stored, target = await self._planned(context, engine, parameters, is_dry=is_dry)
                if is_dry or stored.status == "waiting":
                    await _announce(context, stored)
                    return RunCounts()
            return await self._apply(context, engine, stored, target=target)

    async def _resumed(self, context: RunContext) -> StoredPlan | None:
        """Return the plan that this run was applying when it was interrupted."""
        plan_id = (context.run.checkpoint or {}).get("plan_id")
        if plan_id is None:
            return None
        async with self.database.connection() as connection:
            return await self.ledger.find(connection, plan_id)

    async def _planned(
        self, context: RunContext, engine: Engine, parameters: Parameters, *, is_dry: bool
    ) -> tuple[StoredPlan, VerifiedTarget | None]:
        """Return the plan, and the proof of the target that was found on the way."""
        run = context.run
        may_force = run.requester in self.config.approval.may_force
        request = Request(
            keys=self._keys(parameters.table),
            mode=None if parameters.mode == "configured" else SyncMode(parameters.mode),
            row_limit=parameters.row_limit,
            is_forced=parameters.force and may_force,
            is_test=self.is_test,
            has_key=self.has_key,
        )
        self._check_calendar(is_dry=is_dry)
        survey = await self.planning.survey(engine, request)
        plan = survey.plan
        stored = StoredPlan(
            plan=plan,
            run_id=run.run_id,
            target=run.target,
            status=_status(plan, is_dry=is_dry),
            requester=run.requester,
            is_forced=request.is_forced,
        )
        await self._remember(context, survey, stored)
        metrics.PLANS.labels(plan.verdict.value).inc()
        for refusal in survey.findings.refusals:
            metrics.REFUSALS.labels(refusal.code).inc()
        if parameters.force and not may_force:
            get_logger().warning("refresh_force_ignored", requester=run.requester)
        if plan.verdict is Verdict.REFUSED and not is_dry:
            raise _refused(survey)
        await reach("refresh.planned")
        return stored, survey.target

    async def _remember(self, context: RunContext, survey: Survey, stored: StoredPlan) -> None:
        run = context.run
        async with context.transaction() as transaction:
            await self.ledger.store(transaction.connection, stored, reason=run.reason)
            await self.ledger.audit(
                transaction.connection,
                actor=run.requester,
                action="refresh.planned",
                subject=stored.target,
                details={
                    "plan_id": stored.plan.plan_id,
                    "status": stored.status,
                    "forced": stored.is_forced,
                    "reason": run.reason,
                    "refusals": list(stored.plan.refusals),
                },
            )
            for drift in survey.drifts:
                await report(transaction, replace(drift, run_id=run.run_id))
            if stored.status == "applying":
                found = survey.findings
                await self.ledger.meet(
                    transaction.connection,
                    {Side.SOURCE: found.source_fingerprint, Side.TARGET: found.target_fingerprint},
                )
                await context.checkpoint(
                    {
                        "plan_id": stored.plan.plan_id,
                        "staged": {},
                        "done": [],
                        "counts": RunCounts().model_dump(),
                    },
                    transaction=transaction,
                )

    # --- approved --------------------------------------------------------------------------
    async def apply(self, context: RunContext) -> RunCounts:
        """Apply a plan that waited; whoever asked for this run approved it."""
        stored = await self._find(context.run)
        is_resumed = context.run.checkpoint is not None
        if stored.status not in ("waiting", "approved", "applying") or (
            stored.status == "applying" and not is_resumed
        ):
            raise PlanRefusedError(
                f"plan {stored.plan.plan_id} is {stored.status}: only one that waits is approved"
            )
        plan_id = stored.plan.plan_id
        async with self.open_engine() as engine:
            if not is_resumed:
                await self._check_fresh(engine, stored)
                async with context.transaction() as transaction:
                    connection = transaction.connection
                    await self.ledger.mark(
                        connection, plan_id, "applying", decided_by=context.run.requester
                    )
                    await self._audit(context, connection, "refresh.approved", stored)
            return await self._apply(context, engine, stored)

    async def _check_fresh(self, engine: Engine, stored: StoredPlan) -> None:
        """Compare the databases with what the plan was made for.

        Raises:
            PlanStaleError: they have changed.
        """
        refs = [(table.source, table.target) for table in stored.plan.tables]
        with first_failure():
            async with asyncio.TaskGroup() as group:
                source = group.create_task(
                    engine.read_catalog(Side.SOURCE, [pair[0] for pair in refs])
                )
                target = group.create_task(
                    engine.read_catalog(Side.TARGET, [pair[1] for pair in refs])
                )
        if catalog_hash(source.result(), target.result()) != stored.plan.catalog_hash:
            async with self.database.transaction() as transaction:
                await self.ledger.mark(transaction.connection, stored.plan.plan_id, "stale")
            raise PlanStaleError

    async def _apply(
        self,
        context: RunContext,
        engine: Engine,
        stored: StoredPlan,
        *,
        target: VerifiedTarget | None = None,
    ) -> RunCounts:
        plan_id = stored.plan.plan_id
        try:
            # A plan of just now has proven it; one of yesterday may lead elsewhere today.
            target = target or await self.planning.verified(engine)
            if target.fingerprint != stored.plan.target:
                raise UnsafeTargetError("the plan was made for another target")
            counts = await self.applying.apply(context, engine, target, stored)
        except PermanentError as error:
            status = "cancelled" if isinstance(error, RunCancelledError) else "failed"
            async with context.transaction() as transaction:
                connection = transaction.connection
                if await self.ledger.recorded(connection, plan_id):
                    # What was swapped before the failure can be taken back.
                    await self.ledger.applied(connection, plan_id, keep_hours=self._keep_hours)
                await self.ledger.mark(connection, plan_id, status, message=error.message)
                await self._audit(context, connection, f"refresh.{status}", stored)
            raise
        counts = counts.model_copy(update={"quarantined": len(_held_tables(stored.plan))})
        async with context.transaction() as transaction:
            connection = transaction.connection
            await self.ledger.applied(connection, plan_id, keep_hours=self._keep_hours)
            await self._audit(context, connection, "refresh.applied", stored, counts=counts)
        return counts

    # --- undo ------------------------------------------------------------------------------
    async def undo(self, context: RunContext) -> RunCounts:
        """Take back what a plan did."""
        stored = await self._find(context.run)
        plan_id = stored.plan.plan_id
        async with self.database.connection() as connection:
            recorded = await self.ledger.recorded(connection, plan_id)
            newer = await self.ledger.newer(connection, plan_id)
            kept = await self.ledger.kept(connection)
        # A worker that takes over may find everything done but the cleaning.
        is_resumed = stored.status == "undone" and context.run.attempts > 1
        if not recorded and not is_resumed:
            raise PlanRefusedError(
                f"plan {plan_id} is {stored.status}: there is nothing to take back"
            )
        if newer:
            raise PlanRefusedError(
                f"these were refreshed again since: {', '.join(newer)}; take that back first"
            )
        if plan_id not in kept and not is_resumed:
            raise RefreshError("the rows that were replaced are not kept any longer")
        async with self.open_engine() as engine:
            target = await self.planning.verified(engine)
            if target.fingerprint != stored.plan.target:
                raise UnsafeTargetError("the plan was made for another target")
            counts = await self.applying.undo(
                context, engine, target, stored=stored, recorded=recorded
            )
        async with context.transaction() as transaction:
            await self._audit(
                context, transaction.connection, "refresh.undone", stored, counts=counts
            )
        metrics.UNDONE.inc()
        return counts

    @property
    def _keep_hours(self) -> float:
        return self.config.settings.undo_keep_hours

    # --- parts -----------------------------------------------------------------------------
    def _keys(self, target: str) -> tuple[str, ...]:
        if target == ALL:
            return tuple(table.name for table in self.config.tables)
        if self.config.table(target) is None:
            raise PermanentError(
                f"{target!r} is not a table of the configuration",
                category=ErrorCategory.CONFIG_VALIDATION,
            )
        return (target,)

    def _check_calendar(self, *, is_dry: bool) -> None:
        now = self.clock.now()
        closed = next(
            (span for span in self.config.settings.not_during if is_within(span, now)), None
        )
        if closed is not None and not is_dry:
            raise PlanRefusedError(f"no refresh begins during {closed} UTC (`not_during`)")

    async def _find(self, run: Run) -> StoredPlan:
        plan_id = _read(PlanParameters, run).plan
        async with self.database.connection() as connection:
            stored = await self.ledger.find(connection, plan_id)
        if stored is None:
            raise PlanRefusedError(f"there is no plan or run {plan_id}")
        if stored.target != run.target:
            # The run holds the lease of its target only.
            raise PlanRefusedError(f"plan {plan_id} is about {stored.target}, not {run.target}")
        return stored

    async def _audit(
        self,
        context: RunContext,
        connection: Connection,
        action: str,
        stored: StoredPlan,
        *,
        counts: RunCounts | None = None,
    ) -> None:
        await self.ledger.audit(
            connection,
            actor=context.run.requester,
            action=action,
            subject=stored.target,
            details={
                "plan_id": stored.plan.plan_id,
                "run_id": context.run.run_id,
                "counts": counts.model_dump() if counts else None,
            },
        )


def is_within(span: str, now: datetime) -> bool:
    """Return whether a time of day lies in `HH:MM-HH:MM`, which may reach past midnight."""
    begin, _, end = span.partition("-")
    present = f"{now:%H:%M}"
    if begin <= end:
        return begin <= present < end
    return present >= begin or present < end


def _held_tables(plan: Plan) -> list[str]:
    held = plan.facts.get(HELD)
    return held.split(", ") if held else []


def _status(plan: Plan, *, is_dry: bool) -> str:
    if plan.verdict is Verdict.REFUSED:
        return "refused"
    if is_dry:
        return "planned"
    return "waiting" if plan.verdict is Verdict.NEEDS_APPROVAL else "applying"


def _refused(survey: Survey) -> PermanentError:
    text = "; ".join(survey.plan.refusals)
    if survey.findings.refusals:
        return UnsafeTargetError(f"nothing was written: {text}")
    return PlanRefusedError(text)


async def _announce(context: RunContext, stored: StoredPlan) -> None:
    """Say in the log what became of a run that wrote nothing."""
    get_logger().info(
        "refresh_planned",
        run_id=context.run.run_id,
        plan_id=stored.plan.plan_id,
        status=stored.status,
        tables=len(stored.plan.tables),
        refusals=list(stored.plan.refusals),
    )


ParametersT = TypeVar("ParametersT", bound=BaseModel)


def _read(model: type[ParametersT], run: Run) -> ParametersT:
    try:
        return model.model_validate(run.parameters)
    except ValidationError as error:
        names = ", ".join(".".join(map(str, item["loc"])) for item in error.errors())
        raise PermanentError(
            f"the run's parameters are wrong: {names}", category=ErrorCategory.CONFIG_VALIDATION
        ) from error
