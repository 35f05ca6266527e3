"""Looks at both databases and at our history, and has the plan made."""

import asyncio
import uuid
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from chassis.clock import Clock
from chassis.db import Connection, Database
from chassis.drift import Drift, KnownSchema, Standing, known_schemas, standing
from contracts.drifts import DriftStatus, FieldEffect
from contracts.schemas import DriftKind
from refresher.domain import guards
from refresher.domain.catalog import Catalog, Extent, Side, TableRef, TypeKind
from refresher.domain.config import RefreshConfig, SyncMode
from refresher.domain.drift import Stop, compare_columns, field_changes, with_accepted
from refresher.domain.failures import first_failure
from refresher.domain.guards import Identity, Pins, VerifiedTarget
from refresher.domain.modes import LastRefresh
from refresher.domain.plan import Plan
from refresher.domain.planner import Findings, Request, make_plan, refs_of
from refresher.errors import UnsafeTargetError
from refresher.ports import Engine, Ledger, Question

__all__ = ["Planning", "Survey"]

_Answer = TypeVar("_Answer")

SERVICE = "refresher"


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """A plan, and what it was made of."""

    plan: Plan
    findings: Findings
    drifts: tuple[Drift, ...] = ()
    """What has changed in the schemas, told or not."""


class Planning:
    """Plans for one configuration."""

    def __init__(
        self, config: RefreshConfig, *, ledger: Ledger, database: Database, clock: Clock
    ) -> None:
        self._config = config
        self._ledger = ledger
        self._database = database
        self._clock = clock

    async def survey(self, engine: Engine, request: Request) -> Survey:
        """Return the plan for a request."""
        source, target, verdict = await self._judge(engine)
        refs = refs_of(self._config, request.keys)
        catalogs = await _on_both(
            lambda side: engine.read_catalog(
                side, [pair[0 if side is Side.SOURCE else 1] for pair in refs.values()]
            )
        )
        async with self._database.connection() as connection:
            history = await self._ledger.last_refreshes(connection, request.keys)
            request, drifts = await self._judge_schemas(connection, engine, request, catalogs)
        going_on = self._going_on(request, history)
        extents = await _on_both(
            lambda side: self._measure(engine, side, catalogs, going_on=going_on)
        )
        findings = Findings(
            source=catalogs[Side.SOURCE],
            target=catalogs[Side.TARGET],
            source_extents=extents[Side.SOURCE],
            target_extents=extents[Side.TARGET],
            history=history,
            source_fingerprint=source.fingerprint,
            target_fingerprint=target.fingerprint,
            refusals=() if isinstance(verdict, VerifiedTarget) else verdict,
        )
        plan = make_plan(
            self._config,
            engine.dialect,
            request=request,
            findings=findings,
            plan_id=str(uuid.uuid4()),
            now=self._clock.now(),
        )
        return Survey(plan=plan, findings=findings, drifts=drifts)

    async def _judge_schemas(
        self,
        connection: Connection,
        engine: Engine,
        request: Request,
        catalogs: Mapping[Side, Catalog],
    ) -> tuple[Request, tuple[Drift, ...]]:
        """Return the request with what was decided about schemas, and the drift there is."""
        known = await known_schemas(connection, SERVICE, request.keys)
        accepted = {key: schema.columns for key, schema in known.items()}
        drifts: list[Drift] = []
        stopped: dict[str, Stop] = {}
        for key, pair in refs_of(self._config, request.keys).items():
            drift = self._drift_of(key, pair, engine, catalogs=catalogs, known=known.get(key))
            if drift is None:
                continue
            drifts.append(drift)
            if drift.kind is DriftKind.BREAKING:
                stopped[key] = _stop(drift, await standing(connection, drift.drift_id))
        return replace(request, accepted=accepted, stopped=stopped), tuple(drifts)

    def _drift_of(
        self,
        key: str,
        pair: tuple[TableRef, TableRef],
        engine: Engine,
        *,
        catalogs: Mapping[Side, Catalog],
        known: KnownSchema | None,
    ) -> Drift | None:
        source = catalogs[Side.SOURCE].tables.get(pair[0])
        target = catalogs[Side.TARGET].tables.get(pair[1])
        table = self._config.table(key)
        if source is None or target is None or table is None:
            return None
        compare_types = engine.dialect.compare_types
        table = with_accepted(
            table,
            source,
            target,
            compare_types=compare_types,
            accepted=known.columns if known else None,
        )
        found = compare_columns(
            source, target, compare_types=compare_types, not_carried=table.not_carried
        )
        changes = field_changes(found)
        if not changes:
            return None
        return Drift(
            service=SERVICE,
            dataset=key,
            version=known.version if known else 0,
            old={column.name: column.type for column in target.columns},
            new={column.name: column.type for column in source.columns},
            changes=changes,
        )

    async def verified(self, engine: Engine) -> VerifiedTarget:
        """Return the proof that the target may be written to.

        Raises:
            UnsafeTargetError: it is not proven; says every reason.
        """
        source, target, verdict = await self._judge(engine)
        if not isinstance(verdict, VerifiedTarget):
            raise UnsafeTargetError(
                "nothing was written: " + "; ".join(item.sentence for item in verdict),
                codes=[item.code for item in verdict],
            )
        async with self._database.transaction() as transaction:
            await self._ledger.meet(transaction.connection, source.fingerprint, Side.SOURCE)
            await self._ledger.meet(transaction.connection, target.fingerprint, Side.TARGET)
        return verdict

    async def _judge(
        self, engine: Engine
    ) -> tuple[Identity, Identity, VerifiedTarget | tuple[guards.Refusal, ...]]:
        found = await _on_both(engine.identify)
        source, target = found[Side.SOURCE], found[Side.TARGET]
        async with self._database.connection() as connection:
            known = await self._ledger.known_sources(connection)
        databases = self._config.databases
        pins = Pins(source=databases.source.fingerprint, target=databases.target.fingerprint)
        verdict = guards.verify(source, target, pins=pins, known_sources=known)
        return source, target, verdict

    def _going_on(self, request: Request, history: Mapping[str, LastRefresh]) -> frozenset[str]:
        """Return the tables of which a window is read, if nothing unforeseen is found."""
        return frozenset(
            table.name
            for table in self._config.tables
            if (request.mode or table.sync_mode) is not SyncMode.FULL_REPLACE
            and (last := history.get(table.name)) is not None
            and last.watermark is not None
        )

    async def _measure(
        self,
        engine: Engine,
        side: Side,
        catalogs: Mapping[Side, Catalog],
        *,
        going_on: frozenset[str],
    ) -> dict[str, Extent]:
        questions = {
            name: replace(question, counts_rows=name not in going_on)
            for name, question in self._questions(side, catalogs).items()
        }
        extents = await engine.measure(side, list(questions.values()))
        return dict(zip(questions, extents, strict=True))

    def _questions(self, side: Side, catalogs: Mapping[Side, Catalog]) -> dict[str, Question]:
        questions = {}
        for table in self._config.tables:
            pair = refs_of(self._config, [table.name])[table.name]
            ref = pair[0] if side is Side.SOURCE else pair[1]
            found = catalogs[side].tables.get(ref)
            if found is None:
                continue
            column = found.column(table.incremental_column or "")
            key = found.primary_key
            cut = (
                key is not None
                and side is Side.SOURCE
                and table.parallel > 1
                and len(key.columns) == 1
                and (first := found.column(key.columns[0])) is not None
                and first.kind is TypeKind.INTEGER
            )
            questions[table.name] = Question(
                ref=ref,
                column=column.name if column else None,
                counts_nulls=side is Side.SOURCE and column is not None and column.is_nullable,
                key=key.columns[0] if cut and key else None,
                predicate=table.row_filter if side is Side.SOURCE else None,
            )
        return questions


def _stop(drift: Drift, standing: Standing | None) -> Stop:
    where = standing or Standing(status=DriftStatus.WAITING)
    return Stop(
        sentence=f"schema drift {drift.drift_id} ({drift.describe()}) is {where}",
        is_rejected=where.status is DriftStatus.REJECTED,
        has_conflict=any(change.effect is FieldEffect.RETYPED for change in drift.changes),
    )


async def _on_both(
    ask: Callable[[Side], Coroutine[Any, Any, _Answer]],
) -> dict[Side, _Answer]:
    """Ask both databases at the same time."""
    with first_failure():
        async with asyncio.TaskGroup() as group:
            tasks = {side: group.create_task(ask(side)) for side in Side}
    return {side: task.result() for side, task in tasks.items()}
