"""The statements that make, compare and promote a shadow: a constant number, however many entities.

Table and column names come from rules whose patterns let nothing but plain names pass.
"""

# ruff: noqa: S608 - see above; values are always parameters

from dataclasses import dataclass

from transformer.domain.entity import ChildRules, Entity

STANDARD = ("version_count", "version_ids", "data_quality_score", "quality_flags")
"""What readers see of every record, beside what the rules fill."""


@dataclass(frozen=True, slots=True)
class ChildStatements:
    """The statement about one child table."""

    table: str
    differences: str
    """How many rows differ among the changed entities, with `$2` examples of each kind."""


@dataclass(frozen=True, slots=True)
class ShadowStatements:
    """The statements about one entity's own tables; `$1` is its type throughout."""

    clear: tuple[str, ...]
    add_strangers: str
    """Notes what stands in silver and was not met in bronze."""

    compare: str
    """Judges the entities `$2`, and counts them by verdict and status."""

    fields: str
    """How often each column differs, with `$2` examples of each."""

    scores: str
    arrivals: str
    """`$2` examples each of records that come and go."""

    children: tuple[ChildStatements, ...]


def build_shadow_statements(entity: Entity) -> ShadowStatements:
    """Write the statements of an entity."""
    table = entity.config.table
    children = tuple(_child(child) for child in entity.children)
    return ShadowStatements(
        clear=tuple(f"delete from shadow.{name}" for name in (*(c.table for c in children), table)),
        add_strangers=f"""
            insert into shadow.heads (entity_type, entity_id)
            select $1, entity_id from silver.heads where entity_type = $1 and status <> 'retired'
            union select $1, entity_id from silver.{table}
            on conflict do nothing""",
        compare=_compare(entity),
        fields=_FIELDS.format(table=table),
        scores=_SCORES.format(table=table),
        arrivals=_ARRIVALS.format(table=table, labels=_labels(entity)),
        children=children,
    )


def _labels(entity: Entity) -> str:
    """Return pairs of what people know a record by, and its value, for `jsonb_build_object`."""
    names = [*entity.config.find_by, "data_quality_score"]
    return ", ".join(f"'{name}', coalesce(n.{name}, o.{name})" for name in names)


def _compare(entity: Entity) -> str:
    table = entity.config.table
    differs = [
        f"case when n.{name} is distinct from o.{name} then '{name}' end"
        for name in (*entity.columns, *STANDARD)
    ]
    differs += [
        f"case when exists ({_child_rows(child, 's.entity_id')}) then '{child.config.table}' end"
        for child in entity.children
    ]
    return f"""
        with found as (
            select s.entity_id, n.entity_id is not null as is_live,
                o.entity_id is not null as was_live,
                array_remove(array[{", ".join(differs)}]::text[], null) as fields,
                (h.status, h.state_hash) is distinct from (s.status, s.state_hash)
                    or h.content_hash is distinct from n.content_hash
                    or (n.content_hash, n.ruleset_version, n.updated_at)
                        is distinct from (o.content_hash, o.ruleset_version, o.updated_at)
                    or (q.rules_hash, q.records, q.winners)
                        is distinct from (p.rules_hash, p.records, p.winners)
                    or exists (
                        select 1 from shadow.entity_xref a
                        left join meta.entity_xref b using (entity_type, record_id)
                        where a.entity_type = $1 and a.entity_id = s.entity_id
                          and (a.entity_id, a.group_id, a.rule, a.linked_to)
                            is distinct from (b.entity_id, b.group_id, b.rule, b.linked_to)
                    ) as differs_unseen,
                coalesce(h.bronze_versions, 0) <> s.bronze_versions as has_other_basis
            from shadow.heads s
            left join shadow.{table} n on n.entity_id = s.entity_id
            left join silver.{table} o on o.entity_id = s.entity_id
            left join silver.heads h
                on h.entity_type = s.entity_type and h.entity_id = s.entity_id
            left join shadow.origins q
                on q.entity_type = s.entity_type and q.entity_id = s.entity_id
            left join silver.origins p
                on p.entity_type = s.entity_type and p.entity_id = s.entity_id
            where s.entity_type = $1 and s.entity_id = any($2)
        ), judged as (
            select f.*, case
                when is_live and not was_live then 'added'
                when was_live and not is_live then 'removed'
                when is_live and fields <> '{{}}' then 'changed'
                else 'same' end as verdict
            from found f
        ), done as (
            update shadow.heads s
            set verdict = j.verdict, has_other_basis = j.has_other_basis,
                fields = case j.verdict when 'changed' then j.fields else '{{}}' end,
                is_stale = j.verdict <> 'same' or j.differs_unseen
            from judged j
            where s.entity_type = $1 and s.entity_id = j.entity_id
            returning s.verdict, s.status
        )
        select verdict, status, count(*)::integer as count from done group by 1, 2"""


def _child_rows(child: ChildRules, entity_id: str) -> str:
    """Select the rows of one entity that differ."""
    name, number = child.config.table, child.config.number
    return f"""
        select 1
        from (select * from silver.{name} c where c.entity_id = {entity_id}) o
        full join (select * from shadow.{name} c where c.entity_id = {entity_id}) n
            on n.{number} = o.{number}
        where {_differ(child)}"""


def _differ(child: ChildRules) -> str:
    return (
        f"(n.{child.config.number}, {', '.join(f'n.{name}' for name in child.config.fields)}) "
        f"is distinct from "
        f"(o.{child.config.number}, {', '.join(f'o.{name}' for name in child.config.fields)})"
    )


def _child(child: ChildRules) -> ChildStatements:
    table, number = child.config.table, child.config.number
    source = f"""
        select c.* from {{layer}}.{table} c
        join shadow.heads s on s.entity_type = $1 and s.entity_id = c.entity_id
        where s.verdict = 'changed' and '{table}' = any(s.fields)"""
    return ChildStatements(
        table,
        f"""
        with differing as (
            select coalesce(n.entity_id, o.entity_id) as entity_id,
                coalesce(n.{number}, o.{number}) as number,
                case when o.entity_id is null then 'added'
                    when n.entity_id is null then 'removed' else 'changed' end as verdict
            from ({source.format(layer="silver")}) o
            full join ({source.format(layer="shadow")}) n
                on n.entity_id = o.entity_id and n.{number} = o.{number}
            where {_differ(child)}
        ), placed as (
            select d.*, count(*) over (partition by verdict)::integer as total,
                row_number() over (partition by verdict order by entity_id, number) as place
            from differing d
        )
        select p.verdict, p.total, p.entity_id, p.number, (
                select jsonb_object_agg(key, array[
                    to_jsonb(o) -> key, to_jsonb(n) -> key])
                from unnest(array[{", ".join(f"'{name}'" for name in child.config.fields)}]) as key
                where to_jsonb(o) -> key is distinct from to_jsonb(n) -> key)::text as values
        from placed p
        left join silver.{table} o on o.entity_id = p.entity_id and o.{number} = p.number
        left join shadow.{table} n on n.entity_id = p.entity_id and n.{number} = p.number
        where p.place <= $2 order by p.verdict, p.place""",
    )


_FIELDS = """
with placed as (
    select s.entity_id, f.field, count(*) over (partition by f.field)::integer as total,
        row_number() over (partition by f.field order by s.entity_id) as place
    from shadow.heads s cross join unnest(s.fields) as f (field)
    where s.entity_type = $1 and s.verdict = 'changed'
)
select p.field, p.total, p.entity_id, (to_jsonb(o) -> p.field)::text as before,
    (to_jsonb(n) -> p.field)::text as after,
    was.source as was_source, was.source_system as was_system, was.external_id as was_id,
    was.rule as was_rule, now.source as now_source, now.source_system as now_system,
    now.external_id as now_id, now.rule as now_rule
from placed p
left join silver.{table} o on o.entity_id = p.entity_id
left join shadow.{table} n on n.entity_id = p.entity_id
left join silver.provenance was
    on was.entity_type = $1 and was.entity_id = p.entity_id and was.field = p.field
left join shadow.provenance now
    on now.entity_type = $1 and now.entity_id = p.entity_id and now.field = p.field
where p.place <= $2 order by p.field, p.place
"""

_SCORES = """
select count(*) filter (where n.data_quality_score > o.data_quality_score)::integer as raised,
    count(*) filter (where n.data_quality_score < o.data_quality_score)::integer as lowered,
    round(avg(o.data_quality_score), 4)::text as mean_before,
    round(avg(n.data_quality_score), 4)::text as mean_after
from shadow.heads s
left join shadow.{table} n on n.entity_id = s.entity_id
left join silver.{table} o on o.entity_id = s.entity_id
where s.entity_type = $1
"""

_ARRIVALS = """
with placed as (
    select s.*, row_number() over (partition by verdict order by s.entity_id) as place
    from shadow.heads s where s.entity_type = $1 and s.verdict in ('added', 'removed')
)
select s.verdict, s.entity_id, s.status, s.reasons, nullif(x.entity_id, s.entity_id) as merged_into,
    jsonb_build_object({labels})::text as labels
from placed s
left join shadow.{table} n on n.entity_id = s.entity_id
left join silver.{table} o on o.entity_id = s.entity_id
left join shadow.entity_xref x on x.entity_type = $1 and x.record_id = s.entity_id
where s.place <= $2 order by s.verdict, s.place
"""

FIND = """
select run_id, is_ready, rules_hash, ruleset_version, requester, made_at, expires_at,
    expires_at <= clock_timestamp() as is_expired
from shadow.sets where entity_type = $1 for update
"""

CLEAR = tuple(
    f"delete from shadow.{name} where entity_type = $1"
    for name in (
        "records",
        "entity_xref",
        "entity_keys",
        "refused_keys",
        "origins",
        "heads",
        "sets",
    )
)

BEGIN = """
insert into shadow.sets
    (entity_type, run_id, rules_hash, ruleset_version, slice, requester, expires_at)
values ($1, $2, $3, $4, $5, $6, clock_timestamp() + $7::interval)
"""

COPY_LINKS = tuple(
    f"insert into shadow.{name} select * from meta.{name} where entity_type = $1"
    for name in ("entity_xref", "entity_keys", "refused_keys")
)

PAGE_NOW = """
select distinct entity_id from bronze.heads
where entity_type = $1 and entity_id > $2 and ($4::timestamptz is null or ingested_at >= $4)
    and $5::timestamptz is null
order by entity_id limit $3
"""

PAGE_THEN = """
select distinct entity_id from bronze.raw_entities
where entity_type = $1 and entity_id > $2 and ($4::timestamptz is null or ingested_at >= $4)
    and ingested_at <= $5
order by entity_id limit $3
"""

TAKE_NOW = """
insert into shadow.records
select entity_type, source_system, external_id, entity_id, version, is_deleted, ingested_at, raw_id
from bronze.heads
where entity_type = $1 and entity_id = any($2) and $3::timestamptz is null on conflict do nothing
"""

TAKE_THEN = """
insert into shadow.records
select o.entity_type, o.source_system, o.external_id, o.entity_id, o.version,
    o.operation = 'tombstoned', o.ingested_at, o.id
from bronze.raw_entities o
where o.entity_type = $1 and o.entity_id = any($2) and o.ingested_at <= $3 and not exists (
    select 1 from bronze.raw_entities later
    where later.entity_type = o.entity_type and later.source_system = o.source_system
      and later.external_id = o.external_id and later.version > o.version
      and later.ingested_at <= $3)
on conflict do nothing
"""

NOTE = """
insert into shadow.heads (entity_type, entity_id, is_stale)
select $1, unnest($2::text[]), $3
on conflict (entity_type, entity_id) do update set is_stale = excluded.is_stale
where excluded.is_stale
"""

ENTITIES = """
select entity_id from shadow.heads
where entity_type = $1 and entity_id > $2 and (is_stale or not $4) order by entity_id limit $3
"""

COUNT = "select count(*)::integer from shadow.heads where entity_type = $1"

SAVE_STATES = """
update shadow.heads s
set status = n.status, state_hash = n.state_hash, bronze_versions = n.bronze_versions,
    reasons = string_to_array(n.reasons, chr(31))
from unnest($2::text[], $3::text[], $4::text[], $5::bigint[], $6::text[])
    as n (entity_id, status, state_hash, bronze_versions, reasons)
where s.entity_type = $1 and s.entity_id = n.entity_id
"""

FINISH = "update shadow.sets set is_ready = true where entity_type = $1"

TOTALS = """
select count(*) filter (where verdict = 'added')::integer as added,
    count(*) filter (where verdict = 'removed')::integer as removed,
    count(*) filter (where verdict = 'changed')::integer as changed,
    count(*) filter (where verdict = 'same')::integer as same,
    count(*) filter (where verdict = 'same' and is_stale)::integer as unseen,
    count(*) filter (where verdict <> 'same' and has_other_basis)::integer as other_basis,
    count(*) filter (where status = 'rejected')::integer as rejected
from shadow.heads where entity_type = $1
"""

# Versions count up, so sums that are equal mean that nothing was stored. Bronze sorts as its
# database does, links by bytes; an index is used by its own order only.
MOVED = """
select s.entity_id
from shadow.heads s
cross join lateral (
    select x.record_id from shadow.entity_xref x
    where x.entity_type = $1 and x.entity_id = s.entity_id
    union select s.entity_id) r
cross join lateral (
    select coalesce(sum(h.version), 0) as versions from bronze.heads h
    where h.entity_type = $1 and h.entity_id = r.record_id collate "default") b
cross join lateral (
    select coalesce(sum(h.version), 0) as versions from shadow.records h
    where h.entity_type = $1 and h.entity_id = r.record_id collate "default") t
where s.entity_type = $1 and s.verdict <> 'same' and b.versions <> t.versions
group by s.entity_id order by s.entity_id
"""

RECORDS_OF = """
select record_id from shadow.entity_xref where entity_type = $1 and entity_id = any($2)
union
select record_id from meta.entity_xref where entity_type = $1 and entity_id = any($2)
order by record_id
"""

LOCK = """
select count(*) from (
    select 1 from silver.heads h
    where h.entity_type = $1 and exists (
        select 1 from shadow.heads s
        where s.entity_type = $1 and s.entity_id = h.entity_id and s.is_stale)
    order by h.entity_id for update) locked
"""

FORGET_REFUSALS = "delete from meta.refused_keys where entity_type = $1 and key <> all($2)"

SURVIVORS = """
select record_id, entity_id from meta.entity_xref
where entity_type = $1 and record_id = any($2) and entity_id <> record_id
"""

NEWEST = "select max(ingested_at) from shadow.records where entity_type = $1"

BROKEN = """
select s.entity_id from shadow.heads s
left join silver.heads h on h.entity_type = s.entity_type and h.entity_id = s.entity_id
where s.entity_type = $1 and s.verdict <> 'same'
    and (h.status, h.state_hash) is distinct from (s.status, s.state_hash)
order by s.entity_id
"""

AUDIT = (
    "insert into meta.audit (service, actor, action, subject, details) values ($1, $2, $3, $4, $5)"
)

EXPIRED = """
select entity_type from shadow.sets
where expires_at <= clock_timestamp() for update skip locked
"""
