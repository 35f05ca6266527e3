"""Shadows of silver in PostgreSQL: made page by page beside what readers see, compared in place."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import orjson

from chassis.db import Connection
from transformer.adapters import shadow_sql as sql
from transformer.adapters.shadow_diff import read_diff
from transformer.adapters.shadow_tables import check_shadow_tables
from transformer.adapters.silver_sql import ORIGIN_COLUMNS, row_columns
from transformer.domain.changes import Status
from transformer.domain.entity import Entity
from transformer.domain.records import Absent, Merged, Outcome, Rejected
from transformer.domain.rules import ColumnType
from transformer.domain.shadow import Compared, Shadow, Slice, Verdict

SERVICE = "transformer"
SEPARATOR = "\x1f"


class PostgresShadow:
    """The tables of schema `shadow`.

    Args:
        keep: For how long a shadow waits to be promoted or discarded.
    """

    def __init__(self, *, keep: timedelta) -> None:
        self._keep = keep

    async def find(self, connection: Connection, entity_type: str) -> Shadow | None:
        """Lock and return the shadow of a type; None where there is none, or an expired one."""
        row = await connection.fetchrow(sql.FIND, entity_type)
        if row is None or row["is_expired"]:
            return None
        return Shadow(
            run_id=str(row["run_id"]),
            rules_hash=row["rules_hash"],
            ruleset_version=row["ruleset_version"],
            requester=row["requester"],
            is_ready=row["is_ready"],
            made_at=row["made_at"],
            expires_at=row["expires_at"],
        )

    async def begin(
        self,
        connection: Connection,
        entity: Entity,
        part: Slice,
        *,
        run_id: str,
        requester: str,
    ) -> None:
        """Forget what is there and begin a shadow by these rules.

        Links are made from nothing where everything is looked at; else those of silver go on.
        """
        await check_shadow_tables(connection, entity)
        await self.forget(connection, entity)
        await connection.execute(
            sql.BEGIN,
            entity.entity_type,
            run_id,
            entity.rules_hash,
            entity.config.ruleset_version,
            part.as_json(),
            requester,
            self._keep,
        )
        if entity.identity is not None and not part.is_whole:
            for statement in sql.COPY_LINKS:
                await connection.execute(statement, entity.entity_type)

    async def take_page(
        self, connection: Connection, entity_type: str, part: Slice, *, after: str, limit: int
    ) -> list[str]:
        """Remember the heads of bronze's next entities behind `after`; return their ids."""
        if part.entity_ids:
            ids = sorted(item for item in set(part.entity_ids) if item > after)[:limit]
        else:
            rows = await connection.fetch(
                sql.PAGE_NOW if part.until is None else sql.PAGE_THEN,
                entity_type,
                after,
                limit,
                part.changed_since,
                part.until,
            )
            ids = [row["entity_id"] for row in rows]
        await self.take(connection, entity_type, part, ids)
        return ids

    async def take(
        self, connection: Connection, entity_type: str, part: Slice, record_ids: Sequence[str]
    ) -> None:
        """Remember the heads of these of bronze's entities, unless they are remembered."""
        statement = sql.TAKE_NOW if part.until is None else sql.TAKE_THEN
        await connection.execute(statement, entity_type, list(record_ids), part.until)

    async def note(
        self, connection: Connection, entity_type: str, entity_ids: Sequence[str]
    ) -> None:
        """Note entities that the shadow is about."""
        await connection.execute(sql.NOTE, entity_type, list(entity_ids), False)

    async def note_stale(
        self, connection: Connection, entity_type: str, entity_ids: Sequence[str]
    ) -> None:
        """Note entities that promotion must write."""
        await connection.execute(sql.NOTE, entity_type, list(entity_ids), True)

    async def note_strangers(self, connection: Connection, entity: Entity) -> None:
        """Note what stands in silver and is not noted yet."""
        statements = sql.build_shadow_statements(entity)
        await connection.execute(statements.add_strangers, entity.entity_type)

    async def entities(
        self,
        connection: Connection,
        entity_type: str,
        *,
        after: str,
        limit: int,
        only_stale: bool = False,
    ) -> list[str]:
        """Return the next noted entities behind `after`, in order."""
        rows = await connection.fetch(sql.ENTITIES, entity_type, after, limit, only_stale)
        return [row["entity_id"] for row in rows]

    async def count(self, connection: Connection, entity_type: str) -> int:
        """Return how many entities are noted."""
        found: int = await connection.fetchval(sql.COUNT, entity_type)
        return found

    async def save(
        self, connection: Connection, entity: Entity, outcomes: Iterable[Outcome]
    ) -> None:
        """Write what the rules make of noted entities."""
        outcomes = list(outcomes)
        merged = [item for item in outcomes if isinstance(item, Merged)]
        await _copy(connection, entity.config.table, row_columns(entity), _rows(entity, merged))
        for child in entity.children:
            name = child.config.table
            rows = [(item.entity_id, *row) for item in merged for row in item.children[name]]
            await _copy(connection, name, ("entity_id", *child.columns), rows)
        await _copy(connection, "origins", ORIGIN_COLUMNS, _origins(entity, merged))
        await connection.execute(
            sql.SAVE_STATES,
            entity.entity_type,
            [item.entity_id for item in outcomes],
            [_status(item).value for item in outcomes],
            [item.state_hash for item in outcomes],
            [item.basis.bronze_versions for item in outcomes],
            [_reasons(item) for item in outcomes],
        )

    async def compare(
        self, connection: Connection, entity: Entity, entity_ids: Sequence[str]
    ) -> Compared:
        """Judge how entities differ from silver as it is now."""
        statements = sql.build_shadow_statements(entity)
        rows = await connection.fetch(statements.compare, entity.entity_type, list(entity_ids))
        return Compared(
            {(Verdict(row["verdict"]), Status(row["status"])): row["count"] for row in rows}
        )

    async def finish(
        self, connection: Connection, entity: Entity, *, examples: int
    ) -> dict[str, Any]:
        """Declare the shadow ready, and tell how silver differs, in words that JSON has."""
        await connection.execute(sql.FINISH, entity.entity_type)
        return await read_diff(connection, entity, examples=examples)

    async def forget(self, connection: Connection, entity: Entity) -> None:
        """Remove everything about the shadow of a type."""
        for statement in sql.build_shadow_statements(entity).clear:
            await connection.execute(statement)
        for statement in sql.CLEAR:
            await connection.execute(statement, entity.entity_type)


class PostgresPromotion:
    """What stands in `shadow`, beside what stands in bronze and silver now."""

    async def moved(self, connection: Connection, entity_type: str) -> list[str]:
        """Return the differing entities of which bronze has stored more since."""
        rows = await connection.fetch(sql.MOVED, entity_type)
        return [row["entity_id"] for row in rows]

    async def records_of(
        self, connection: Connection, entity_type: str, entity_ids: Sequence[str]
    ) -> list[str]:
        """Return the records of entities, by the links of the shadow and by those of silver."""
        rows = await connection.fetch(sql.RECORDS_OF, entity_type, list(entity_ids))
        return [row["record_id"] for row in rows]

    async def lock(self, connection: Connection, entity_type: str) -> None:
        """Lock all that must be written, in order, until the transaction ends."""
        await connection.execute(sql.LOCK, entity_type)

    async def forget_refusals(
        self, connection: Connection, entity_type: str, keys: Collection[str]
    ) -> None:
        """Forget what other keys than these refused to link."""
        await connection.execute(sql.FORGET_REFUSALS, entity_type, list(keys))

    async def survivors(
        self, connection: Connection, entity_type: str, entity_ids: Sequence[str]
    ) -> dict[str, str]:
        """Return of which other entities these are part now."""
        rows = await connection.fetch(sql.SURVIVORS, entity_type, list(entity_ids))
        return {row["record_id"]: row["entity_id"] for row in rows}

    async def newest(self, connection: Connection, entity_type: str) -> datetime | None:
        """Return when bronze stored the newest record of the shadow."""
        found: datetime | None = await connection.fetchval(sql.NEWEST, entity_type)
        return found

    async def broken(self, connection: Connection, entity_type: str) -> list[str]:
        """Return the differing entities that are not what the shadow says."""
        rows = await connection.fetch(sql.BROKEN, entity_type)
        return [row["entity_id"] for row in rows]

    async def audit(
        self,
        connection: Connection,
        entity_type: str,
        *,
        actor: str,
        action: str,
        details: Mapping[str, Any],
    ) -> None:
        """Write down who decided about a shadow."""
        await connection.execute(sql.AUDIT, SERVICE, actor, action, entity_type, dict(details))


async def _copy(
    connection: Connection, table: str, columns: Sequence[str], rows: Sequence[tuple[Any, ...]]
) -> None:
    await connection.copy_records_to_table(
        table, records=rows, columns=list(columns), schema_name="shadow"
    )


def _rows(entity: Entity, merged: Sequence[Merged]) -> list[tuple[Any, ...]]:
    kinds = list(entity.config.stored_columns().values())
    return [
        (
            item.entity_id,
            *(_plain(kind, value) for kind, value in zip(kinds, item.values, strict=True)),
            len(item.version_ids),
            item.version_ids,
            item.score,
            item.flags,
            0,  # numbers of states belong to what readers see
            item.content_hash,
            item.ruleset_version,
            item.basis.bronze_at,
        )
        for item in merged
    ]


def _plain(kind: ColumnType, value: Any) -> Any:
    """Take away the zeros to which polars pads decimals, as silver does."""
    if kind is ColumnType.NUMERIC and value is not None:
        return Decimal(f"{value.normalize():f}")
    return value


def _origins(entity: Entity, merged: Sequence[Merged]) -> list[tuple[Any, ...]]:
    return [
        (
            entity.entity_type,
            item.entity_id,
            item.rules_hash,
            orjson.Fragment(item.origins.records),
            item.origins.winners,
        )
        for item in merged
    ]


def _status(outcome: Outcome) -> Status:
    match outcome:
        case Merged():
            return Status.LIVE
        case Absent():
            return Status.RETIRED
        case Rejected():
            return Status.REJECTED


def _reasons(outcome: Outcome) -> str:
    return SEPARATOR.join(outcome.reasons) if isinstance(outcome, Rejected) else ""
