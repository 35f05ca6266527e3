"""Makes the silver tables that the rules fill, so that a new entity needs YAML and no migration.

Only ever adds: a table, a column, an index. Whatever else differs (a column of another type, one
that must be filled and is not) is told in a sentence and left to people.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from chassis.db import Connection
from transformer.domain.entity import ChildRules, Entity
from transformer.domain.provenance import column_rules
from transformer.domain.rules import ColumnType
from transformer.errors import SilverSchemaError

_LOCK = 7_364_018_226  # any constant: all who make tables in one database wait for each other

PG_TYPES: Mapping[ColumnType, str] = {
    kind: kind.value
    for kind in ColumnType
    if kind not in (ColumnType.DOUBLE, ColumnType.TIMESTAMPTZ)
} | {
    ColumnType.DOUBLE: "double precision",
    ColumnType.TIMESTAMPTZ: "timestamp with time zone",
}
"""Column types as PostgreSQL spells them."""

_STANDARD: Mapping[str, str] = {
    "version_count": "integer not null",
    "version_ids": "text[] not null",
    "data_quality_score": "numeric(3, 2) not null",
    "quality_flags": "text[] not null",
    "version": "integer not null",
    "content_hash": "text not null",
    "ruleset_version": "integer not null",
    "updated_at": "timestamptz not null",
}
_ABSENT_IN_HISTORY = tuple(name for name in _STANDARD if name != "version")
_HISTORY: Mapping[str, str] = {
    "operation": "text not null",
    "valid_from": "timestamptz not null",
    "valid_to": "timestamptz",
    "known_from": "timestamptz not null default clock_timestamp()",
}
_MAX_NAME_BYTES = 63


@dataclass(frozen=True, slots=True)
class Table:
    """A table as the rules want it."""

    name: str
    create: str
    """What makes it where it is missing."""

    columns: Mapping[str, ColumnType]
    """The columns that the rules fill; these can be added later."""

    machinery: frozenset[str]
    """The other columns that it has by construction."""


@dataclass(frozen=True, slots=True)
class _Column:
    type: str
    is_required: bool
    """Not null and without a default: an insert must fill it."""


async def may_create(connection: Connection) -> bool:
    """Tell whether this role may make tables in `silver`; a hardened service's may not."""
    allowed: bool = await connection.fetchval("select has_schema_privilege('silver', 'create')")
    return allowed


async def make_tables(connection: Connection, entities: Iterable[Entity]) -> list[str]:
    """Add what the rules need and the database lacks, all or nothing; return the statements.

    Raises:
        SilverSchemaError: something differs that adding cannot mend; nothing was changed.
    """
    wanted = list(entities)
    async with connection.transaction():
        await connection.execute("select pg_advisory_xact_lock($1)", _LOCK)
        statements = await _plan(connection, wanted)
        for statement in statements:
            await connection.execute(statement)
        for entity in wanted:
            await _register(connection, entity)
            await _describe(connection, entity)
    return statements


async def check_tables(connection: Connection, entities: Iterable[Entity]) -> None:
    """Prove that the tables fit the rules, and note which rules they are.

    Raises:
        SilverSchemaError: says what is missing, and how to get it.
    """
    wanted = list(entities)
    await _check(connection, wanted)
    for entity in wanted:
        await _register(connection, entity)


async def check_rules(connection: Connection, entity: Entity) -> None:
    """Do as `check_tables` for rules that are not at work (yet): readers are not told of them.

    Raises:
        SilverSchemaError: says what is missing, and how to get it.
    """
    await _check(connection, [entity])
    await _register_rules(connection, entity)


async def _check(connection: Connection, entities: list[Entity]) -> None:
    if missing := await _plan(connection, entities):
        what = "; ".join(statement.split("(")[0].strip() for statement in missing)
        raise SilverSchemaError(
            f"silver lacks what the rules fill ({what}); run `penstock migrate`", missing=missing
        )


async def _plan(connection: Connection, entities: Iterable[Entity]) -> list[str]:
    """Return the statements that are needed."""
    statements: list[str] = []
    problems: list[str] = []
    for entity in entities:
        for table in tables_of(entity):
            found = await _columns(connection, table.name)
            if not found:
                statements.append(table.create)
                continue
            problems.extend(_problems(table, found))
            statements.extend(
                f"alter table {table.name} add column {name} {PG_TYPES[kind]}"
                for name, kind in table.columns.items()
                if name not in found
            )
        for name, statement in _indexes(entity).items():
            if await connection.fetchval("select to_regclass($1)", f"silver.{name}") is None:
                statements.append(statement)
    if problems:
        raise SilverSchemaError(
            f"{'; '.join(problems)}; tables are only ever extended: write a migration, or correct "
            "the rules",
            problems=problems,
        )
    return statements


def tables_of(entity: Entity) -> Iterator[Table]:
    """Return the tables of one entity, in the order in which they can be made."""
    config = entity.config
    name = f"silver.{config.table}"
    stored = config.stored_columns()
    columns = [*_typed(stored), *(f"{column} {kind}" for column, kind in _STANDARD.items())]
    yield Table(
        name,
        f'create table {name} (entity_id text collate "C" primary key, {", ".join(columns)})',
        stored,
        frozenset({"entity_id", *_STANDARD}),
    )
    extra = [f"{column} {kind}" for column, kind in _HISTORY.items()]
    nullable = ", ".join(f"alter column {column} drop not null" for column in _ABSENT_IN_HISTORY)
    yield Table(
        f"{name}_history",
        f"create table {name}_history (like {name}, {', '.join(extra)}, "
        f"primary key (entity_id, version), constraint {config.table}_history_operation_check "
        "check (operation in ('upserted', 'retired', 'rejected'))); "
        f"alter table {name}_history {nullable}",
        stored,
        frozenset({"entity_id", *_STANDARD, *_HISTORY}),
    )
    for child in entity.children:
        yield _child_table(name, child)


def _child_table(parent: str, child: ChildRules) -> Table:
    config = child.config
    name = f"silver.{config.table}"
    stored = {column: field.type for column, field in config.fields.items()}
    return Table(
        name,
        f'create table {name} (entity_id text collate "C" not null references {parent} '
        f"on delete cascade, {config.number} integer not null, {', '.join(_typed(stored))}, "
        f"primary key (entity_id, {config.number}))",
        stored,
        frozenset({"entity_id", config.number}),
    )


def _typed(columns: Mapping[str, ColumnType]) -> list[str]:
    return [f"{name} {PG_TYPES[kind]}" for name, kind in columns.items()]


def _indexes(entity: Entity) -> dict[str, str]:
    """Return the statements that make the indexes which the rules declare, by index name."""
    config = entity.config
    wanted = [*((column,) for column in config.find_by), *config.indexes]
    found = {}
    for columns in dict.fromkeys(wanted):
        name = f"{config.table}_by_{'_'.join(columns)}"[:_MAX_NAME_BYTES]
        found[name] = f"create index {name} on silver.{config.table} ({', '.join(columns)})"
    return found


def _problems(table: Table, found: Mapping[str, _Column]) -> Iterator[str]:
    for name in sorted(table.machinery - found.keys()):
        yield f"`{table.name}.{name}` is missing"
    for name, kind in table.columns.items():
        if name in found and found[name].type != PG_TYPES[kind]:
            yield f"`{table.name}.{name}` must be {PG_TYPES[kind]}, is {found[name].type}"
    for name, column in found.items():
        if column.is_required and name not in table.columns and name not in table.machinery:
            yield f"`{table.name}.{name}` must not be null, and no rule fills it"


async def _columns(connection: Connection, table: str) -> dict[str, _Column]:
    rows = await connection.fetch(_COLUMNS, table)
    return {row["name"]: _Column(row["type"], row["is_required"]) for row in rows}


async def _register(connection: Connection, entity: Entity) -> None:
    """Tell readers without the rules (`penstock explain`) which entities there are."""
    config = entity.config
    await connection.execute(
        _REGISTER,
        entity.entity_type,
        config.table,
        list(config.find_by),
        config.ruleset_version,
    )
    await _register_rules(connection, entity)


async def _register_rules(connection: Connection, entity: Entity) -> None:
    rules = list(column_rules(entity))
    await connection.execute(
        _REGISTER_RULES,
        entity.entity_type,
        entity.rules_hash,
        [item.field for item in rules],
        [item.rule for item in rules],
        [item.unit for item in rules],
        [item.has_claims for item in rules],
    )


async def _describe(connection: Connection, entity: Entity) -> None:
    config = entity.config
    if config.description is not None:
        text = config.description.replace("'", "''")
        await connection.execute(f"comment on table silver.{config.table} is '{text}'")


_COLUMNS = """
select a.attname as name, format_type(a.atttypid, a.atttypmod) as type,
       a.attnotnull and not a.atthasdef as is_required
from pg_attribute a where a.attrelid = to_regclass($1) and a.attnum > 0 and not a.attisdropped
"""

_REGISTER = """
insert into silver.entities as e (entity_type, table_name, find_by, ruleset_version)
values ($1, $2, $3, $4)
on conflict (entity_type) do update
set table_name = excluded.table_name, find_by = excluded.find_by,
    ruleset_version = excluded.ruleset_version
where (e.table_name, e.find_by, e.ruleset_version)
    is distinct from (excluded.table_name, excluded.find_by, excluded.ruleset_version)
"""

_REGISTER_RULES = """
insert into silver.rules (entity_type, rules_hash, field, position, rule, unit, has_claims)
select $1, $2, field, position, rule, unit, has_claims
from unnest($3::text[], $4::text[], $5::integer[], $6::boolean[]) with ordinality
    as t (field, rule, unit, has_claims, position)
on conflict do nothing
"""
