"""Looks at both databases and at our history, and has the plan made."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace

from chassis.clock import Clock
from chassis.db import Database
from refresher.domain import guards
from refresher.domain.catalog import Catalog, Extent, Side, TypeKind
from refresher.domain.config import RefreshConfig, SyncMode
from refresher.domain.guards import Identity, Pins, VerifiedTarget
from refresher.domain.modes import LastRefresh
from refresher.domain.plan import Plan
from refresher.domain.planner import Findings, Request, make_plan, refs_of
from refresher.errors import UnsafeTargetError
from refresher.ports import Engine, Ledger, Question

__all__ = ["Planning", "Survey"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """A plan, and what it was made of."""

    plan: Plan
    findings: Findings


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
        catalogs = {
            side: await engine.read_catalog(side, [pair[index] for pair in refs.values()])
            for index, side in enumerate((Side.SOURCE, Side.TARGET))
        }
        async with self._database.connection() as connection:
            history = await self._ledger.last_refreshes(connection, request.keys)
        going_on = self._going_on(request, history)
        extents = {
            side: await self._measure(engine, side, catalogs, going_on=going_on)
            for side in catalogs
        }
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
        return Survey(plan=plan, findings=findings)

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
        source = await engine.identify(Side.SOURCE)
        target = await engine.identify(Side.TARGET)
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
