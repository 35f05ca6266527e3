"""The statements that write one entity's silver: a constant number, however many records.

Rows travel by COPY into a staging table of the session and from there in one merge. Table and
column names come from rules whose patterns let nothing but plain names pass.
"""

# ruff: noqa: S608 - see above; values are always parameters

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from transformer.domain.entity import Entity
from transformer.domain.rules import RESERVED_COLUMNS, ColumnType

ORIGIN_COLUMNS = ("entity_type", "entity_id", "rules_hash", "records", "winners")


@dataclass(frozen=True, slots=True)
class StagedTable:
    """A table that is filled by COPY and one merge."""

    stage: str
    create: str
    columns: tuple[str, ...]
    merge: str
    delete_rest: str | None
    """Deletes what is stored of the entities `$1` and was not staged."""


@dataclass(frozen=True, slots=True)
class SilverStatements:
    """The statements of one entity."""

    ensure_heads: str
    """Makes a row to lock for every entity `$2`; versions go on where a history has them."""

    create_stages: str
    clear_stages: str
    row: StagedTable
    children: tuple[StagedTable, ...]
    origins: StagedTable
    delete_rows: str
    record_history: str
    record_absence: str
    close_history: str
    record_quality: str
    update_live_heads: str


def row_columns(entity: Entity) -> tuple[str, ...]:
    """Return the columns of the entity's own table, in the order of staged rows."""
    key, *standard = RESERVED_COLUMNS
    return (key, *entity.columns, *standard)


def build_statements(entity: Entity) -> SilverStatements:
    """Write the statements of an entity."""
    table = f"silver.{entity.config.table}"
    columns = row_columns(entity)
    row = _staged(table, columns, key=("entity_id",), types=entity.config.stored_columns())
    children = tuple(
        _staged(
            f"silver.{child.config.table}",
            ("entity_id", *child.columns),
            key=("entity_id", child.config.number),
            rest="true",
            types={name: field.type for name, field in child.config.fields.items()},
        )
        for child in entity.children
    )
    origins = _staged("silver.origins", ORIGIN_COLUMNS, key=("entity_type", "entity_id"))
    stages = (row, *children, origins)
    listed = ", ".join(columns)
    return SilverStatements(
        ensure_heads=f"""
            insert into silver.heads (entity_type, entity_id, version)
            select $1, t.entity_id, coalesce((
                select max(version) from {table}_history h where h.entity_id = t.entity_id), 0)
            from unnest($2::text[]) with ordinality as t (entity_id, place)
            where not exists (
                select 1 from silver.heads h where h.entity_type = $1 and h.entity_id = t.entity_id)
            order by place on conflict do nothing""",
        create_stages="; ".join(item.create for item in stages),
        clear_stages="; ".join(f"delete from {item.stage}" for item in stages),
        row=row,
        children=children,
        origins=origins,
        delete_rows=f"delete from {table} where entity_id = any($1)",
        record_history=f"""
            insert into {table}_history ({listed}, operation, valid_from)
            select {listed}, 'upserted', greatest(t.updated_at, {_latest(table)})
            from {table} t where t.entity_id = any($1)""",
        record_absence=f"""
            insert into {table}_history (entity_id, version, operation, valid_from)
            select t.entity_id, t.version, t.operation, greatest(t.at, {_latest(table)})
            from unnest($1::text[], $2::integer[], $3::text[], $4::timestamptz[])
                as t (entity_id, version, operation, at)""",
        close_history=f"""
            update {table}_history old set valid_to = new.valid_from
            from {table}_history new
            where new.entity_id = any($1) and new.valid_to is null
              and old.entity_id = new.entity_id and old.version < new.version
              and old.valid_to is null
              and not exists (
                  select 1 from {table}_history later
                  where later.entity_id = new.entity_id and later.version > new.version)""",
        record_quality=f"""
            insert into quality.history (entity_type, entity_id, version, ruleset_version,
                data_quality_score, quality_flags, valid_from)
            select $1, entity_id, version, ruleset_version, data_quality_score, quality_flags,
                updated_at
            from {table} where entity_id = any($2) on conflict do nothing""",
        update_live_heads=f"""
            update silver.heads h
            set status = 'live', version = t.version, content_hash = t.content_hash,
                state_hash = n.state_hash, data_quality_score = t.data_quality_score,
                quality_flags = t.quality_flags, ruleset_version = t.ruleset_version,
                bronze_versions = n.bronze_versions, updated_at = t.updated_at
            from unnest($2::text[], $3::text[], $4::bigint[])
                as n (entity_id, state_hash, bronze_versions)
            join {table} t on t.entity_id = n.entity_id
            where h.entity_type = $1 and h.entity_id = n.entity_id""",
    )


def _latest(table: str) -> str:
    """Keep valid times in order even where the clocks of two bronze writers differ."""
    return f"(select max(valid_from) from {table}_history h where h.entity_id = t.entity_id)"


def _staged(
    table: str,
    columns: Sequence[str],
    *,
    key: Sequence[str],
    rest: str | None = None,
    types: Mapping[str, ColumnType] | None = None,
) -> StagedTable:
    """Write the statements of one table; `rest` says which of its rows a merge may delete."""
    stage = f"stage_{table.partition('.')[2]}"
    values = [column for column in columns if column not in key]
    listed = ", ".join(columns)
    selected = ", ".join(_selected(column, types or {}) for column in columns)
    # With a key where rows are looked up in it, by index: a staging table has no statistics.
    index = f", primary key ({', '.join(key)})" if rest else ""
    same_key = " and ".join(f"s.{column} = t.{column}" for column in key)
    return StagedTable(
        stage=stage,
        create=f"create temporary table if not exists {stage} (like {table}{index}) "
        "on commit delete rows",
        columns=tuple(columns),
        merge=f"""
            insert into {table} as t ({listed}) select {selected} from {stage}
            on conflict ({", ".join(key)}) do update
            set {", ".join(f"{column} = excluded.{column}" for column in values)}
            where ({", ".join(f"t.{column}" for column in values)})
                is distinct from ({", ".join(f"excluded.{column}" for column in values)})""",
        delete_rest=rest
        and f"""
            delete from {table} t where t.entity_id = any($1) and {rest}
            and not exists (select 1 from {stage} s where {same_key})""",
    )


def _selected(column: str, types: Mapping[str, ColumnType]) -> str:
    # polars pads decimals to their scale; readers see 12.5 and not 12.500000000000.
    return f"trim_scale({column})" if types.get(column) is ColumnType.NUMERIC else column


LOCK = """
select entity_id, status, version, content_hash, state_hash,
       data_quality_score, quality_flags, ruleset_version
from silver.heads where entity_type = $1 and entity_id = any($2)
order by entity_id for update
"""

READ = LOCK.replace("for update", "")

UPDATE_ABSENT_HEADS = """
update silver.heads h
set status = n.status, version = n.version, content_hash = null, state_hash = n.state_hash,
    data_quality_score = null, quality_flags = '{}', ruleset_version = $2,
    bronze_versions = n.bronze_versions, updated_at = n.at
from unnest($3::text[], $4::text[], $5::integer[], $6::text[], $7::bigint[], $8::timestamptz[])
    as n (entity_id, status, version, state_hash, bronze_versions, at)
where h.entity_type = $1 and h.entity_id = n.entity_id
"""

DELETE_ORIGINS = "delete from silver.origins where entity_type = $1 and entity_id = any($2)"

RECORD_ERRORS = """
insert into meta.record_errors
    (service, run_id, source, external_id, category, error_class, message)
select $1, $2::text::uuid, $3, entity_id, $4, $5, message
from unnest($6::text[], $7::text[]) as t (entity_id, message)
"""
