"""Silver in PostgreSQL: locked per entity, written set-wise, seen whole or not at all."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import asyncpg
import polars as pl

from chassis.db import Connection
from transformer.adapters import silver_sql as sql
from transformer.adapters.copying import array, array_of_numbers, as_text, copy_frame
from transformer.domain.changes import (
    IS_NEW_QUALITY,
    IS_VISIBLE,
    VERSION,
    Changes,
    State,
    Status,
)
from transformer.domain.entity import ChildRules, Entity
from transformer.domain.frames import ENTITY
from transformer.domain.outcomes import (
    BRONZE_AT,
    BRONZE_VERSIONS,
    CONTENT_HASH,
    FLAGS,
    REASONS,
    RECORDS,
    SCORE,
    STATE_HASH,
    STATUS,
    VERSION_IDS,
    WINNERS,
)
from transformer.errors import RejectedRecordError

SERVICE = "transformer"


class PostgresSilver:
    """The silver tables of the entities whose rules were loaded."""

    def __init__(self, entities: Iterable[Entity]) -> None:
        self._statements = {item.entity_type: sql.build_statements(item) for item in entities}

    async def lock(
        self, connection: Connection, entity: Entity, entity_ids: Sequence[str]
    ) -> dict[str, State]:
        """Lock entities until the transaction ends, and return what is stored about them.

        Those that have no state yet are left out.
        """
        ids = sorted(entity_ids)
        states = _states(await connection.fetch(sql.LOCK, entity.entity_type, ids))
        new = [entity_id for entity_id in ids if entity_id not in states]
        if not new or await self._made_heads(connection, entity, new):
            return states
        await connection.execute(self._of(entity).ensure_heads, entity.entity_type, new)
        # Some have a history. Or somebody else has made some of the rows meanwhile; wait for him.
        return states | _states(await connection.fetch(sql.LOCK, entity.entity_type, new))

    async def _made_heads(
        self, connection: Connection, entity: Entity, entity_ids: Sequence[str]
    ) -> bool:
        """Make rows to lock, unless there are any already, or versions to go on with."""
        statement = self._of(entity).first_heads
        try:
            async with connection.transaction():
                made = await connection.execute(statement, entity.entity_type, entity_ids)
        except asyncpg.UniqueViolationError:
            return False
        return made == f"INSERT 0 {len(entity_ids)}"

    async def states(
        self, connection: Connection, entity: Entity, entity_ids: Sequence[str]
    ) -> dict[str, State]:
        """Return what is stored about entities, without locking; unknown ones are left out."""
        return _states(await connection.fetch(sql.READ, entity.entity_type, sorted(entity_ids)))

    async def apply(
        self,
        connection: Connection,
        entity: Entity,
        changes: Changes,
        *,
        run_id: str | None = None,
    ) -> None:
        """Write changes; readers see all of them at the commit."""
        upserted, absent = changes.upserted, changes.absent
        if not upserted.is_empty():
            await self._upsert(connection, entity, upserted, children=changes.children)
        if not absent.is_empty():
            await self._remove(connection, entity, absent)
        # A first state has none before it.
        later = changes.visible.filter(pl.col(VERSION) > 1)[ENTITY].to_list()
        if later:
            await connection.execute(self._of(entity).close_history, later)
        await _record_errors(connection, entity, changes.rejected, run_id=run_id)

    async def _upsert(
        self,
        connection: Connection,
        entity: Entity,
        records: pl.DataFrame,
        *,
        children: Mapping[str, pl.DataFrame],
    ) -> None:
        statements = self._of(entity)
        await connection.execute(statements.prepare)
        rows = statements.rows
        await copy_frame(connection, rows.name, _rows(entity, records), columns=rows.columns)
        are_first = records.select((pl.col(IS_VISIBLE) & (pl.col(VERSION) == 1)).all()).item()
        if not are_first or not await _wrote_first(connection, statements.first_rows):
            await connection.execute(rows.merge)
        for statement, child in zip(statements.children, entity.children, strict=True):
            stage = statement.stage
            frame = children[child.config.table].join(records, on=ENTITY, how="semi")
            await copy_frame(
                connection, stage.name, _child_rows(child, frame), columns=stage.columns
            )
            await connection.execute(stage.merge)
            await connection.execute(statement.delete_rest, records[ENTITY].to_list())

    async def _remove(self, connection: Connection, entity: Entity, records: pl.DataFrame) -> None:
        statements = self._of(entity)
        ids = records[ENTITY].to_list()
        await connection.execute(statements.delete_rows, ids)
        await connection.execute(sql.DELETE_ORIGINS, entity.entity_type, ids)
        await connection.execute(
            statements.record_absence,
            *_lists(records.filter(IS_VISIBLE), ENTITY, VERSION, STATUS, BRONZE_AT),
        )
        columns = (ENTITY, STATUS, VERSION, STATE_HASH, BRONZE_VERSIONS, BRONZE_AT)
        await connection.execute(
            sql.UPDATE_ABSENT_HEADS,
            entity.entity_type,
            entity.config.ruleset_version,
            *_lists(records, *columns),
        )

    def _of(self, entity: Entity) -> sql.SilverStatements:
        return self._statements[entity.entity_type]


async def _wrote_first(connection: Connection, statements: str) -> bool:
    """Write first states, unless rows stand already where none should: made by hand."""
    try:
        async with connection.transaction():
            await connection.execute(statements)
    except asyncpg.UniqueViolationError:
        return False
    return True


def _states(rows: Sequence[asyncpg.Record]) -> dict[str, State]:
    return {
        row["entity_id"]: State(
            status=Status(row["status"]),
            version=row["version"],
            content_hash=row["content_hash"],
            state_hash=row["state_hash"],
            quality=None
            if row["data_quality_score"] is None
            else (row["data_quality_score"], tuple(row["quality_flags"]), row["ruleset_version"]),
        )
        for row in rows
    }


def _rows(entity: Entity, records: pl.DataFrame) -> pl.DataFrame:
    """Return records in the form and order of the stage."""
    stored = entity.config.stored_columns()
    return records.select(
        ENTITY,
        *(as_text(kind, name) for name, kind in stored.items()),
        pl.col(VERSION_IDS).list.len().alias("version_count"),
        array(VERSION_IDS),
        SCORE,
        array(FLAGS),
        VERSION,
        CONTENT_HASH,
        pl.lit(entity.config.ruleset_version).alias("ruleset_version"),
        BRONZE_AT,
        STATE_HASH,
        BRONZE_VERSIONS,
        RECORDS,
        array_of_numbers(WINNERS),
        IS_VISIBLE,
        IS_NEW_QUALITY,
    )


def _child_rows(child: ChildRules, frame: pl.DataFrame) -> pl.DataFrame:
    fields = child.config.fields
    return frame.select(
        ENTITY, child.config.number, *(as_text(item.type, name) for name, item in fields.items())
    )


def _lists(records: pl.DataFrame, *columns: str) -> list[list[Any]]:
    return [records[column].to_list() for column in columns]


async def _record_errors(
    connection: Connection, entity: Entity, records: pl.DataFrame, *, run_id: str | None
) -> None:
    if records.is_empty():
        return
    await connection.execute(
        sql.RECORD_ERRORS,
        SERVICE,
        run_id,
        entity.entity_type,
        RejectedRecordError.default_category.value,
        RejectedRecordError.__name__,
        records[ENTITY].to_list(),
        records[REASONS].list.join("; ").to_list(),
    )
