"""Silver in PostgreSQL: locked per entity, written set-wise, seen whole or not at all."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import asyncpg
import orjson

from chassis.db import Connection
from transformer.adapters import silver_sql as sql
from transformer.domain.changes import Change, Changes, State, Status
from transformer.domain.entity import Entity
from transformer.domain.records import Absent, Merged, Rejected
from transformer.errors import RejectedRecordError

SERVICE = "transformer"


class PostgresSilver:
    """The silver tables of the entities whose rules were loaded."""

    def __init__(self, entities: Iterable[Entity]) -> None:
        self._statements = {item.entity_type: sql.build_statements(item) for item in entities}

    async def lock(
        self, connection: Connection, entity: Entity, entity_ids: Sequence[str]
    ) -> dict[str, State]:
        """Lock entities until the transaction ends, and return what is stored about them."""
        ids = sorted(entity_ids)
        await connection.execute(self._of(entity).ensure_heads, entity.entity_type, ids)
        return _states(await connection.fetch(sql.LOCK, entity.entity_type, ids))

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
        if changes.upserted:
            await self._upsert(connection, entity, changes.upserted)
        absent: list[tuple[Change, Absent | Rejected]] = [*changes.retired, *changes.rejected]
        if absent:
            await self._remove(connection, entity, absent)
        # A first state has none before it.
        later = [item.entity_id for item in changes.all if item.is_visible and item.version > 1]
        if later:
            await connection.execute(self._of(entity).close_history, later)
        if changes.rejected:
            await _record_errors(connection, entity, changes.rejected, run_id=run_id)

    async def _upsert(
        self, connection: Connection, entity: Entity, pairs: Sequence[tuple[Change, Merged]]
    ) -> None:
        statements = self._of(entity)
        ids = [change.entity_id for change, _ in pairs]
        visible = [change.entity_id for change, _ in pairs if change.is_visible]
        await connection.execute(f"{statements.create_stages}; {statements.clear_stages}")
        await _write(connection, statements.row, map(_row, pairs), ids)
        for table, child in zip(statements.children, entity.children, strict=True):
            await _write(connection, table, _child_rows(pairs, child.config.table), ids)
        await _write(connection, statements.origins, _origin_rows(entity, pairs), ids)
        await connection.execute(statements.record_history, visible)
        await connection.execute(
            statements.record_quality,
            entity.entity_type,
            [change.entity_id for change, _ in pairs if change.is_new_quality],
        )
        await connection.execute(
            statements.update_live_heads,
            entity.entity_type,
            ids,
            [record.state_hash for _, record in pairs],
            [record.basis.bronze_versions for _, record in pairs],
        )

    async def _remove(
        self,
        connection: Connection,
        entity: Entity,
        pairs: Sequence[tuple[Change, Absent | Rejected]],
    ) -> None:
        statements = self._of(entity)
        visible = [(change, outcome) for change, outcome in pairs if change.is_visible]
        ids = [change.entity_id for change, _ in pairs]
        await connection.execute(statements.delete_rows, ids)
        await connection.execute(sql.DELETE_ORIGINS, entity.entity_type, ids)
        await connection.execute(
            statements.record_absence,
            [change.entity_id for change, _ in visible],
            [change.version for change, _ in visible],
            [_status(outcome) for _, outcome in visible],
            [outcome.basis.bronze_at for _, outcome in visible],
        )
        await connection.execute(
            sql.UPDATE_ABSENT_HEADS,
            entity.entity_type,
            entity.config.ruleset_version,
            ids,
            [_status(outcome) for _, outcome in pairs],
            [change.version for change, _ in pairs],
            [outcome.state_hash for _, outcome in pairs],
            [outcome.basis.bronze_versions for _, outcome in pairs],
            [outcome.basis.bronze_at for _, outcome in pairs],
        )

    def _of(self, entity: Entity) -> sql.SilverStatements:
        return self._statements[entity.entity_type]


async def _write(
    connection: Connection,
    table: sql.StagedTable,
    rows: Iterable[tuple[Any, ...]],
    entity_ids: list[str],
) -> None:
    await connection.copy_records_to_table(
        table.stage, records=rows, columns=table.columns, schema_name="pg_temp"
    )
    await connection.execute(table.merge)
    if table.delete_rest is not None:
        await connection.execute(table.delete_rest, entity_ids)


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


def _row(pair: tuple[Change, Merged]) -> tuple[Any, ...]:
    change, record = pair
    return (
        record.entity_id,
        *record.values,
        len(record.version_ids),
        record.version_ids,
        record.score,
        record.flags,
        change.version,
        record.content_hash,
        record.ruleset_version,
        record.basis.bronze_at,
    )


def _child_rows(pairs: Iterable[tuple[Change, Merged]], table: str) -> Iterator[tuple[Any, ...]]:
    for _, record in pairs:
        for row in record.children[table]:
            yield (record.entity_id, *row)


def _origin_rows(
    entity: Entity, pairs: Iterable[tuple[Change, Merged]]
) -> Iterator[tuple[Any, ...]]:
    for _, record in pairs:
        yield (
            entity.entity_type,
            record.entity_id,
            record.rules_hash,
            orjson.Fragment(record.origins.records),
            record.origins.winners,
        )


def _status(outcome: Absent | Rejected) -> str:
    status = Status.REJECTED if isinstance(outcome, Rejected) else Status.RETIRED
    return status.value


async def _record_errors(
    connection: Connection,
    entity: Entity,
    pairs: Sequence[tuple[Change, Rejected]],
    *,
    run_id: str | None,
) -> None:
    await connection.execute(
        sql.RECORD_ERRORS,
        SERVICE,
        run_id,
        entity.entity_type,
        RejectedRecordError.default_category.value,
        RejectedRecordError.__name__,
        [outcome.entity_id for _, outcome in pairs],
        ["; ".join(outcome.reasons) for _, outcome in pairs],
    )
