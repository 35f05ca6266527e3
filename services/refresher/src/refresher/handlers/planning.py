"""Looks at both databases and at our history, and has the plan made."""

import asyncio
import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from chassis.clock import Clock
from chassis.db import Database
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

SERVICE = "refresher"


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """A plan, and what it was made of."""

    plan: Plan
    findings: Findings
    drifts: tuple[Drift, ...] = ()
    """What has changed in the schemas, told or not."""

    target: VerifiedTarget | None = None
    """The proof that the target may be written to, if nothing spoke against it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """What our own database says."""

    sources: list[str]
    history: Mapping[str, LastRefresh]
    schemas: Mapping[str, KnownSchema]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """What one of the two databases says."""

    identity: Identity
    catalog: Catalog
    extents: dict[str, Extent]


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
        known, source, target = await self._look(engine, request)
        catalogs = {Side.SOURCE: source.catalog, Side.TARGET: target.catalog}
        request, drifts = await self._judge_schemas(engine, request, catalogs, known=known)
        verdict = self._judge(source.identity, target.identity, known.sources)
        findings = Findings(
            source=source.catalog,
            target=target.catalog,
            source_extents=source.extents,
            target_extents=target.extents,
            history=known.history,
            source_fingerprint=source.identity.fingerprint,
            target_fingerprint=target.identity.fingerprint,
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
        proven = verdict if isinstance(verdict, VerifiedTarget) else None
        return Survey(plan=plan, findings=findings, drifts=drifts, target=proven)

    async def _look(self, engine: Engine, request: Request) -> tuple["_Known", "_Seen", "_Seen"]:
        """Ask our own database and the two others at the same time."""
        refs = list(refs_of(self._config, request.keys).values())

        async def look(side: Side, wanted: list[TableRef]) -> _Seen:
            identity = await engine.identify(side)
            catalog = await engine.read_catalog(side, wanted)
            going_on = self._going_on(request, (await knowing).history)
            extents = await self._measure(engine, side, catalog, going_on=going_on)
            return _Seen(identity=identity, catalog=catalog, extents=extents)

        with first_failure():
            async with asyncio.TaskGroup() as group:
                knowing = group.create_task(self._remember(request))
                source = group.create_task(look(Side.SOURCE, [pair[0] for pair in refs]))
                target = group.create_task(look(Side.TARGET, [pair[1] for pair in refs]))
        return knowing.result(), source.result(), target.result()

    async def _remember(self, request: Request) -> "_Known":
        async with self._database.connection() as connection:
            return _Known(
                sources=await self._ledger.known_sources(connection),
                history=await self._ledger.last_refreshes(connection, request.keys),
                schemas=await known_schemas(connection, SERVICE, request.keys),
            )

    async def _judge_schemas(
        self,
        engine: Engine,
        request: Request,
        catalogs: Mapping[Side, Catalog],
        *,
        known: "_Known",
    ) -> tuple[Request, tuple[Drift, ...]]:
        """Return the request with what was decided about schemas, and the drift there is."""
        drifts = {
            key: drift
            for key, pair in refs_of(self._config, request.keys).items()
            if (
                drift := self._drift_of(
                    key, pair, engine, catalogs=catalogs, known=known.schemas.get(key)
                )
            )
        }
        breaking = {key: drift for key, drift in drifts.items() if drift.kind is DriftKind.BREAKING}
        accepted = {key: schema.columns for key, schema in known.schemas.items()}
        stopped = await self._stops(breaking) if breaking else {}
        return replace(request, accepted=accepted, stopped=stopped), tuple(drifts.values())

    async def _stops(self, drifts: Mapping[str, Drift]) -> dict[str, Stop]:
        async with self._database.connection() as connection:
            return {
                key: _stop(drift, await standing(connection, drift.drift_id))
                for key, drift in drifts.items()
            }

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
        with first_failure():
            async with asyncio.TaskGroup() as group:
                knowing = group.create_task(self._known_sources())
                asking = [group.create_task(engine.identify(side)) for side in Side]
        source, target = (task.result() for task in asking)
        verdict = self._judge(source, target, knowing.result())
        if not isinstance(verdict, VerifiedTarget):
            raise UnsafeTargetError(
                "nothing was written: " + "; ".join(item.sentence for item in verdict),
                codes=[item.code for item in verdict],
            )
        met = {Side.SOURCE: source.fingerprint, Side.TARGET: target.fingerprint}
        async with self._database.connection() as connection:
            await self._ledger.meet(connection, met)
        return verdict

    async def _known_sources(self) -> list[str]:
        async with self._database.connection() as connection:
            return await self._ledger.known_sources(connection)

    def _judge(
        self, source: Identity, target: Identity, known_sources: Collection[str]
    ) -> VerifiedTarget | tuple[guards.Refusal, ...]:
        databases = self._config.databases
        pins = Pins(source=databases.source.fingerprint, target=databases.target.fingerprint)
        return guards.verify(source, target, pins=pins, known_sources=known_sources)

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
        catalog: Catalog,
        *,
        going_on: frozenset[str],
    ) -> dict[str, Extent]:
        questions = {
            name: replace(question, counts_rows=name not in going_on)
            for name, question in self._questions(side, catalog).items()
        }
        extents = await engine.measure(side, list(questions.values()))
        return dict(zip(questions, extents, strict=True))

    def _questions(self, side: Side, catalog: Catalog) -> dict[str, Question]:
        questions = {}
        for table in self._config.tables:
            pair = refs_of(self._config, [table.name])[table.name]
            ref = pair[0] if side is Side.SOURCE else pair[1]
            found = catalog.tables.get(ref)
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
