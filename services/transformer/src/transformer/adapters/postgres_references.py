"""References between silver tables in PostgreSQL."""

# ruff: noqa: S608 - table and column names come from rules whose patterns let plain names pass only

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from chassis.db import Connection
from transformer.domain.entity import Entity
from transformer.domain.references import Use


class PostgresReferences:
    """The table `meta.entity_references`, and the columns to which entities refer."""

    def __init__(self, entities: Mapping[str, Entity]) -> None:
        self._tables = {key: f"silver.{item.config.table}" for key, item in entities.items()}

    async def hold(self, connection: Connection, entity_type: str) -> None:
        """Keep the values of a type from coming and going until the transaction ends."""
        await connection.execute(_HOLD, entity_type)

    async def own(self, connection: Connection, entity_type: str) -> None:
        """Wait for all who hold the values of a type, and keep others away until the end."""
        await connection.execute(_OWN, entity_type)

    async def missing(
        self, connection: Connection, entity: Entity, uses: Sequence[Use]
    ) -> set[tuple[str, str]]:
        """Return which references find no value; a statement per reference of the rules."""
        missing: set[tuple[str, str]] = set()
        for reference in entity.config.references:
            wanted = sorted({item.value for item in uses if item.reference.name == reference.name})
            table, column = self._tables[reference.entity_type], reference.column
            rows = await connection.fetch(
                f"select distinct {column}::text as value from {table} "
                f"where {column}::text = any($1)",
                wanted,
            )
            found = {row["value"] for row in rows}
            missing |= {(reference.name, value) for value in wanted if value not in found}
        return missing

    async def save(
        self,
        connection: Connection,
        entity: Entity,
        entity_ids: Sequence[str],
        *,
        uses: Sequence[Use],
    ) -> None:
        """Write down to what entities refer, and nothing else of theirs."""
        columns = (
            [item.entity_id for item in uses],
            [item.reference.name for item in uses],
            [item.reference.entity_type for item in uses],
            [item.reference.column for item in uses],
            [item.value for item in uses],
        )
        await connection.execute(_DELETE, entity.entity_type, list(entity_ids), *columns[:2])
        await connection.execute(_SAVE, entity.entity_type, *columns)

    async def values(
        self,
        connection: Connection,
        entity: Entity,
        entity_ids: Sequence[str],
        *,
        columns: Iterable[str],
    ) -> set[tuple[str, str]]:
        """Return columns and values that stand in the table for entities."""
        listed = ", ".join(f"('{column}', t.{column}::text)" for column in sorted(columns))
        rows = await connection.fetch(
            f"select v.name, v.value from {self._tables[entity.entity_type]} t "
            f"cross join lateral (values {listed}) as v (name, value) "
            "where t.entity_id = any($1) and v.value is not null",
            list(entity_ids),
        )
        return {(row["name"], row["value"]) for row in rows}

    async def users_of(
        self, connection: Connection, entity_type: str, values: Iterable[tuple[str, str]]
    ) -> dict[str, list[str]]:
        """Return the entities that refer to values, by type."""
        pairs = sorted(values)
        rows = await connection.fetch(
            _USERS, entity_type, [name for name, _ in pairs], [value for _, value in pairs]
        )
        found: dict[str, list[str]] = defaultdict(list)
        for row in rows:
            found[row["entity_type"]].append(row["entity_id"])
        return dict(found)


_HOLD = "select pg_advisory_xact_lock_shared(hashtextextended('transformer.references/' || $1, 0))"
_OWN = "select pg_advisory_xact_lock(hashtextextended('transformer.references/' || $1, 0))"

_DELETE = """
delete from meta.entity_references r
where r.entity_type = $1 and r.entity_id = any($2) and not exists (
    select 1 from unnest($3::text[], $4::text[]) as n (entity_id, name)
    where n.entity_id = r.entity_id and n.name = r.name)
"""

_SAVE = """
insert into meta.entity_references as r
    (entity_type, entity_id, name, target_type, target_column, value)
select $1, entity_id, name, target_type, target_column, value
from unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[])
    as n (entity_id, name, target_type, target_column, value)
on conflict (entity_type, entity_id, name) do update
set target_type = excluded.target_type, target_column = excluded.target_column,
    value = excluded.value
where (r.target_type, r.target_column, r.value)
    is distinct from (excluded.target_type, excluded.target_column, excluded.value)
"""

_USERS = """
select distinct r.entity_type, r.entity_id
from unnest($2::text[], $3::text[]) as n (target_column, value)
join meta.entity_references r on r.target_type = $1 and r.target_column = n.target_column
    and r.value = n.value
order by r.entity_type, r.entity_id
"""
