"""The statements that write one entity's silver: a constant number, however many records.

Rows travel by COPY into a staging table of the session, with everything that is known of a record,
and from there in one statement per table. Table and column names come from rules whose patterns let
nothing but plain names pass.
"""

# ruff: noqa: S608 - see above; values are always parameters, or staged

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from transformer.domain.entity import ChildRules, Entity
from transformer.domain.rules import RESERVED_COLUMNS

ORIGIN_COLUMNS = ("entity_type", "entity_id", "rules_hash", "records", "winners")

HEAD_COLUMNS = (
    "status",
    "version",
    "content_hash",
    "state_hash",
    "data_quality_score",
    "quality_flags",
    "ruleset_version",
    "bronze_versions",
    "updated_at",
)
"""What is written of a head each time."""

_STAGED = {
    "@state_hash": "text",
    "@bronze_versions": "bigint",
    "@records": "jsonb",
    "@winners": "smallint[]",
    "@is_visible": "boolean",
    "@is_new_quality": "boolean",
}
"""What is staged beside the columns of the row; rules cannot name these."""


@dataclass(frozen=True, slots=True)
class Stage:
    """A staging table of the session, and what is made of its rows."""

    name: str
    create: str
    columns: tuple[str, ...]
    merge: str
    """Writes everything that is staged. Without parameters, so it is planned anew each time: a plan
    that was made while a table was small would be kept while it grows."""


@dataclass(frozen=True, slots=True)
class ChildStage:
    """The same for a child table."""

    stage: Stage
    delete_rest: str
    """Deletes what is stored of the entities `$1` and was not staged."""


@dataclass(frozen=True, slots=True)
class SilverStatements:
    """The statements of one entity."""

    first_heads: str
    """Makes a row for each of the entities `$2`, and so locks it; none at all if there may be a
    history of one, and fails if one has a row."""

    ensure_heads: str
    """Makes a row for each that has none yet; versions go on where a history has them."""

    prepare: str
    """Makes the stages, the first time in a session, and empties them."""

    rows: Stage
    first_rows: str
    """Does as `rows.merge` if every staged row is the first state of its record."""

    children: tuple[ChildStage, ...]
    delete_rows: str
    record_absence: str
    close_history: str


def row_columns(entity: Entity) -> tuple[str, ...]:
    """Return the columns of the entity's own table, in the order of staged rows."""
    key, *standard = RESERVED_COLUMNS
    return (key, *entity.columns, *standard)


def build_statements(entity: Entity) -> SilverStatements:
    """Write the statements of an entity."""
    table = f"silver.{entity.config.table}"
    rows = _stage_rows(entity)
    children = tuple(_stage_children(child) for child in entity.children)
    stages = (rows, *(child.stage for child in children))
    return SilverStatements(
        first_heads=f"""
            insert into silver.heads (entity_type, entity_id)
            select $1, t.entity_id from unnest($2::text[]) with ordinality as t (entity_id, place)
            where coalesce(
                (select min(entity_id) from {table}_history where entity_id >=
                    (select min(n collate "C") from unnest($2::text[]) n))
                > (select max(n collate "C") from unnest($2::text[]) n), true)
            order by place""",
        ensure_heads=f"""
            insert into silver.heads (entity_type, entity_id, version)
            select $1, t.entity_id, coalesce((
                select max(version) from {table}_history h where h.entity_id = t.entity_id), 0)
            from unnest($2::text[]) with ordinality as t (entity_id, place)
            order by place on conflict do nothing""",
        prepare="; ".join(f"{item.create}; delete from {item.name}" for item in stages),
        rows=rows,
        first_rows=_write_rows(entity, rows.name, is_first=True),
        children=children,
        delete_rows=f"delete from {table} where entity_id = any($1)",
        record_absence=f"""
            insert into {table}_history (entity_id, version, operation, valid_from)
            select t.entity_id, t.version, t.operation, greatest(t.at, {_latest(table)})
            from unnest($1::text[], $2::integer[], $3::text[], $4::timestamptz[])
                as t (entity_id, version, operation, at)""",
        # Rows that were found by their keys are updated by their places: a join may read all.
        close_history=f"""
            update {table}_history old set valid_to = (
                select valid_from from {table}_history h where h.entity_id = old.entity_id
                order by version desc limit 1)
            where old.ctid = any(array(
                select place from unnest($1::text[]) as wanted (entity_id)
                cross join lateral (
                    select ctid as place from {table}_history h
                    where h.entity_id = wanted.entity_id and h.valid_to is null and h.version < (
                        select max(version) from {table}_history n
                        where n.entity_id = wanted.entity_id)
                    offset 0) earlier))""",
    )


def _stage_rows(entity: Entity) -> Stage:
    table = f"silver.{entity.config.table}"
    stage = f"stage_{entity.config.table}"
    columns = row_columns(entity)
    extra = ", ".join(f'"{name}" {type_}' for name, type_ in _STAGED.items())
    return Stage(
        name=stage,
        create=f"create temporary table if not exists {stage} (like {table}, {extra}) "
        "on commit delete rows",
        columns=(*columns, *_STAGED),
        merge=_write_rows(entity, stage, is_first=False),
    )


def _write_rows(entity: Entity, stage: str, *, is_first: bool) -> str:
    """Write what is staged of entities into every table that has a row of them.

    Where it is the first state of all of them, nothing is looked for that could stand there.
    """
    table = f"silver.{entity.config.table}"
    columns = row_columns(entity)
    listed, heads = ", ".join(columns), ", ".join(HEAD_COLUMNS)
    kind = f"'{entity.entity_type}'"
    rows = f"insert into {table} as t ({listed}) select {listed} from {stage}"
    origins = f"""
        insert into silver.origins as t ({", ".join(ORIGIN_COLUMNS)})
        select {kind}, entity_id, '{entity.rules_hash}', "@records", "@winners" from {stage}"""
    quality = f"""
        insert into quality.history (entity_type, entity_id, version, ruleset_version,
            data_quality_score, quality_flags, valid_from)
        select {kind}, entity_id, version, ruleset_version, data_quality_score, quality_flags,
            updated_at
        from {stage} where "@is_new_quality" """
    if not is_first:
        rows += _or_update(columns, key=("entity_id",))
        origins += _or_update(ORIGIN_COLUMNS, key=("entity_type", "entity_id"))
        quality += " on conflict do nothing"
    return ";".join(
        (
            rows,
            origins,
            # The first state of a record has none before it that could be later.
            f"""
        insert into {table}_history ({listed}, operation, valid_from)
        select {listed}, 'upserted', case when version = 1 then updated_at
            else greatest(updated_at, {_latest(table)}) end
        from {stage} t where t."@is_visible" """,
            quality,
            # They exist and are locked: so each is looked up by its key, while a join may read all.
            f"""
        insert into silver.heads as h (entity_type, entity_id, {heads})
        select {kind}, entity_id, 'live', version, content_hash, "@state_hash", data_quality_score,
            quality_flags, ruleset_version, "@bronze_versions", updated_at from {stage}
        on conflict (entity_type, entity_id) do update set {_excluded(HEAD_COLUMNS)}""",
        )
    )


def _stage_children(child: ChildRules) -> ChildStage:
    config = child.config
    table, stage = f"silver.{config.table}", f"stage_{config.table}"
    columns = ("entity_id", *child.columns)
    key = ("entity_id", config.number)
    same_key = " and ".join(f"s.{column} = t.{column}" for column in key)
    return ChildStage(
        Stage(
            name=stage,
            # With a key, because rows are looked up in it: a staging table has no statistics.
            create=f"create temporary table if not exists {stage} "
            f"(like {table}, primary key ({', '.join(key)})) on commit delete rows",
            columns=columns,
            merge=_merge(table, stage, columns, key=key),
        ),
        delete_rest=f"""
            delete from {table} t where t.entity_id = any($1)
            and not exists (select 1 from {stage} s where {same_key})""",
    )


def _merge(table: str, stage: str, columns: Sequence[str], *, key: Sequence[str]) -> str:
    listed = ", ".join(columns)
    insert = f"insert into {table} as t ({listed}) select {listed} from {stage}"
    return insert + _or_update(columns, key=key)


def _or_update(columns: Sequence[str], *, key: Sequence[str]) -> str:
    """Write the rows that stand there already only where they differ."""
    values = [column for column in columns if column not in key]
    return f"""
        on conflict ({", ".join(key)}) do update set {_excluded(values)}
        where ({", ".join(f"t.{column}" for column in values)})
            is distinct from ({", ".join(f"excluded.{column}" for column in values)})"""


def _excluded(columns: Iterable[str]) -> str:
    return ", ".join(f"{column} = excluded.{column}" for column in columns)


def _latest(table: str) -> str:
    """Keep valid times in order even where the clocks of two bronze writers differ."""
    return f"(select max(valid_from) from {table}_history h where h.entity_id = t.entity_id)"


LOCK = """
select h.* from unnest($2::text[]) as wanted (entity_id)
cross join lateral (
    select entity_id, status, version, content_hash, state_hash,
           data_quality_score, quality_flags, ruleset_version
    from silver.heads where entity_type = $1 and entity_id = wanted.entity_id
    offset 0 for update) h
where (
    select min(entity_id) from silver.heads where entity_type = $1
    and entity_id >= (select min(n collate "C") from unnest($2) n)
) <= (select max(n collate "C") from unnest($2) n)
"""
"""In the order of `$2`, and each by its key: joined in any other way, all heads may be read. Where
none lies in the range of the keys, as in a load, none is looked for.
"""

READ = LOCK.replace("for update", "")

UPDATE_ABSENT_HEADS = f"""
insert into silver.heads (entity_type, ruleset_version,
    entity_id, status, version, state_hash, bronze_versions, updated_at)
select $1, $2, n.*
from unnest($3::text[], $4::text[], $5::integer[], $6::text[], $7::bigint[], $8::timestamptz[]) as n
on conflict (entity_type, entity_id) do update set {_excluded(HEAD_COLUMNS)}
"""

DELETE_ORIGINS = "delete from silver.origins where entity_type = $1 and entity_id = any($2)"

RECORD_ERRORS = """
insert into meta.record_errors
    (service, run_id, source, external_id, category, error_class, message)
select $1, $2::text::uuid, $3, entity_id, $4, $5, message
from unnest($6::text[], $7::text[]) as t (entity_id, message)
"""
