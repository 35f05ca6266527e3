"""Looking without refreshing: how both databases compare, and a few rows of one.

The console has no way into the databases; it asks for a look, and reads what was seen from tables
of ours. Rows of production pass the masks of a refresh before they are stored anywhere.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from chassis.db import Database
from chassis.errors import PermanentError, TransientError
from chassis.logs import get_logger
from chassis.runs import RunContext
from contracts.errors import ErrorCategory
from contracts.runs import RunCounts
from refresher.domain.catalog import Catalog, Column, Side, Table
from refresher.domain.classify import classify
from refresher.domain.config import RefreshConfig, TableConfig
from refresher.domain.drift import compare_columns
from refresher.domain.observations import TableObservation, observed
from refresher.domain.plan import Mask
from refresher.domain.planner import refs_of
from refresher.domain.previews import MAX_COLUMNS, Preview, Sample, preview_of
from refresher.errors import PlanRefusedError
from refresher.handlers.planning import Planning
from refresher.ports import (
    Engine,
    EngineFactory,
    Ledger,
    Observations,
    Sampler,
    SamplerFactory,
)

ALL = "all"
COUNTED_ROWS = 1_000_000
"""Up to so many rows are counted; beyond it the statistics' estimate is told."""

PREVIEW_LASTS = timedelta(minutes=15)

_HIDDEN_SETTINGS = {"name", "hooks", "row_filter", "keep_rows"}


class PreviewParameters(BaseModel):
    """What a look is about."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    table: str
    side: Side | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Looking:
    """Everything that looking needs."""

    config: RefreshConfig
    open_engine: EngineFactory
    open_sampler: SamplerFactory
    observations: Observations
    ledger: Ledger
    database: Database
    planning: Planning
    key: bytes
    """Of the masks; empty when there is none."""

    async def register(self) -> None:
        """Say which tables there are, so that people see them before the first look."""
        tables = [(table.name, _settings(table)) for table in self.config.tables]
        async with self.database.transaction() as transaction:
            await self.observations.register(transaction.connection, tables)
            await self.observations.purge(transaction.connection)

    async def preview(self, context: RunContext) -> RunCounts:
        """Count a table, or all; or fetch a few rows of one.

        Raises:
            PlanRefusedError: rows are not classified, or cannot be masked.
        """
        try:
            asked = PreviewParameters.model_validate(context.run.parameters)
        except ValidationError as error:
            raise PermanentError(
                "the run's parameters are wrong", category=ErrorCategory.CONFIG_VALIDATION
            ) from error
        if asked.side is None:
            return RunCounts(processed=await self.observe(self._names(asked.table)))
        table = self.config.table(asked.table)
        if table is None:
            raise PlanRefusedError("rows are fetched of one table, by its name")
        preview = await self._fetch(table, asked.side)
        await self._keep(context, preview, asked.side)
        return RunCounts(processed=len(preview.rows))

    # --- counting --------------------------------------------------------------------------
    async def observe_quietly(self, target: str) -> None:
        """Look after something has changed; a failure is told in the log only."""
        try:
            await self.observe(self._names(target))
        except (PermanentError, TransientError) as error:
            get_logger().warning("observation_failed", target=target, error=error)

    async def observe(self, keys: Collection[str]) -> int:
        """Compare tables in both databases and return how many there are."""
        try:
            seen = await self._look(keys)
        except (PermanentError, TransientError) as error:
            async with self.database.transaction() as transaction:
                await self.observations.fail(transaction.connection, keys, error.message)
            raise
        async with self.database.transaction() as transaction:
            await self.observations.observe(transaction.connection, seen)
        return len(seen)

    async def _look(self, keys: Collection[str]) -> list[TableObservation]:
        refs = refs_of(self.config, tuple(keys))
        async with self.open_engine() as engine, self.open_sampler() as sampler:
            source = await engine.read_catalog(Side.SOURCE, [pair[0] for pair in refs.values()])
            target = await engine.read_catalog(Side.TARGET, [pair[1] for pair in refs.values()])
            return [
                await self._observe_one(
                    key, {Side.SOURCE: source, Side.TARGET: target}, engine=engine, sampler=sampler
                )
                for key in refs
            ]

    async def _observe_one(
        self, key: str, catalogs: dict[Side, Catalog], *, engine: Engine, sampler: Sampler
    ) -> TableObservation:
        config = self._table(key)
        refs = dict(zip(Side, refs_of(self.config, (key,))[key], strict=True))
        tables = {side: catalogs[side].tables.get(refs[side]) for side in Side}
        counted = {
            side: await sampler.count(
                side,
                refs[side],
                predicate=config.row_filter if side is Side.SOURCE else None,
                limit=COUNTED_ROWS,
            )
            if tables[side]
            else None
            for side in Side
        }
        lacking = [side.value for side, table in tables.items() if table is None]
        return TableObservation(
            key=key,
            source=observed(tables[Side.SOURCE], counted[Side.SOURCE]),
            target=observed(tables[Side.TARGET], counted[Side.TARGET]),
            drift=_drift(config, tables[Side.SOURCE], tables[Side.TARGET], engine),
            problem=f"the {' and the '.join(lacking)} has no such table" if lacking else None,
        )

    # --- rows ------------------------------------------------------------------------------
    async def _fetch(self, config: TableConfig, side: Side) -> Preview:
        refs = dict(zip(Side, refs_of(self.config, (config.name,))[config.name], strict=True))
        async with self.open_engine() as engine, self.open_sampler() as sampler:
            if side is Side.TARGET:
                # Unmasked, so it must be proven that this is not production.
                await self.planning.verified(engine)
            catalog = await engine.read_catalog(side, [refs[side]])
            table = catalog.tables.get(refs[side])
            if table is None:
                raise PlanRefusedError(f"the {side.value} has no table {refs[side]}")
            columns = _shown(table, config)
            masks = self._masks(config, columns) if side is Side.SOURCE else ()
            key = table.primary_key
            sample = Sample(
                side=side,
                ref=table.ref,
                columns=columns,
                order=key.columns if key else (),
                predicate=config.row_filter if side is Side.SOURCE else None,
            )
            return preview_of(columns, await sampler.rows(sample), masks=masks, key=self.key)

    def _masks(self, config: TableConfig, columns: Collection[Column]) -> tuple[Mask, ...]:
        classified = classify(config.name, columns, self.config.masking)
        if classified.problems:
            raise PlanRefusedError("; ".join(classified.problems))
        if classified.masks and not self.key:
            raise PlanRefusedError(
                f"{config.name}: columns are to be masked, and `REFRESHER_MASKING_KEY` is not set"
            )
        return classified.masks

    async def _keep(self, context: RunContext, preview: Preview, side: Side) -> None:
        run = context.run
        async with context.transaction() as transaction:
            await self.observations.keep(
                transaction.connection,
                run.run_id,
                preview,
                of=(run.target, side.value),
                requester=run.requester,
                lasting=PREVIEW_LASTS,
            )
            await self.ledger.audit(
                transaction.connection,
                actor=run.requester,
                action="refresh.previewed",
                subject=run.target,
                details={
                    "run_id": run.run_id,
                    "side": side.value,
                    "rows": len(preview.rows),
                    "masked": [item.name for item in preview.columns if item.mask_class],
                    "reason": run.reason,
                },
            )

    def _names(self, target: str) -> tuple[str, ...]:
        if target == ALL:
            return tuple(table.name for table in self.config.tables)
        return (self._table(target).name,)

    def _table(self, name: str) -> TableConfig:
        table = self.config.table(name)
        if table is None:
            raise PermanentError(
                f"{name!r} is not a table of the configuration",
                category=ErrorCategory.CONFIG_VALIDATION,
            )
        return table


def _settings(table: TableConfig) -> dict[str, Any]:
    return table.model_dump(mode="json", by_alias=True, exclude=_HIDDEN_SETTINGS)


def _shown(table: Table, config: TableConfig) -> tuple[Column, ...]:
    """Return the columns that a refresh would carry."""
    carried = (
        column
        for column in table.columns
        if not column.is_computed and column.name not in config.not_carried
    )
    return tuple(carried)[:MAX_COLUMNS]


def _drift(
    config: TableConfig, source: Table | None, target: Table | None, engine: Engine
) -> tuple[str, ...]:
    if source is None or target is None:
        return ()
    found = compare_columns(
        source,
        target,
        compare_types=engine.dialect.compare_types,
        not_carried=config.not_carried,
    )
    return tuple(str(item) for item in found)
