"""The statements about silver and bronze; names in braces are quoted names of `silver.entities`."""

KINDS = """
select e.entity_type, e.table_name as table, e.find_by, e.ruleset_version,
    greatest(coalesce(c.reltuples, 0), 0)::bigint as about
from silver.entities e
left join pg_class c on c.oid = to_regclass(format('silver.%I', e.table_name))
where $1::text is null or e.table_name = $1 or e.entity_type = $1
order by e.table_name limit 200
"""

_LINE = """
h.entity_id, h.status, h.version, h.data_quality_score::float as score, h.quality_flags as flags,
h.updated_at, h.merged_into
"""

BY_ID = f"""
select {_LINE} from silver.heads h
where h.entity_type = $1 and ($2::text is null or h.status = $2)
  and ($3::text is null or h.entity_id > $3)
order by h.entity_id limit $4
"""  # noqa: S608 - the parts are constants of this module

SEARCH = """
with named as (
    select 1 as place, entity_id from silver.heads where entity_type = $1 and entity_id = $2
    union all
    (select 2, entity_id from {table} where {by_column} limit 200)
    union all
    (select 3, coalesce(x.entity_id, h.entity_id)
    from bronze.heads h
    left join meta.entity_xref x on x.entity_type = h.entity_type and x.record_id = h.entity_id
    where h.entity_type = $1 and (h.external_id = $2 or h.entity_id = $2) limit 200)
), found as (
    select min(n.place) as place, coalesce(h.merged_into, n.entity_id) as entity_id
    from named n
    left join silver.heads h on h.entity_type = $1 and h.entity_id = n.entity_id
    group by 2
)
select h.entity_id, h.status, h.version, h.data_quality_score::float as score,
    h.quality_flags as flags, h.updated_at, h.merged_into,
    case f.place when 1 then 'id' when 2 then 'key' else 'source' end as found_by
from found f
join silver.heads h on h.entity_type = $1 and h.entity_id = f.entity_id
where $3::text is null or h.status = $3
order by f.place, h.entity_id limit $4
"""

HEAD = f"""
select {_LINE}, case when h.status = 'rejected' then (
    select message from (
        select source, external_id, message, occurred_at from meta.record_errors
        where service = 'transformer' order by occurred_at desc limit 20000) recent
    where source = h.entity_type and external_id = h.entity_id
    order by occurred_at desc limit 1) end as rejected_because
from silver.heads h where h.entity_type = $1 and h.entity_id = $2
"""  # noqa: S608 - as above

VALUES = """
select field, rule, source, source_system, external_id, bronze_version, losers
from silver.provenance where entity_type = $1 and entity_id = $2 order by position limit 500
"""

CHAIN = """
select l.record ->> 'source' as source, h.source_system, h.external_id,
       r.version as bronze_version, r.operation, r.event_id, r.correlation_id, r.blob_key,
       r.blob_sha256, r.size_bytes, r.ingestion_run_id::text as run_id,
       x.rule as linked_by, r.source_modified_at, r.ingested_at as stored_at
from silver.origins o
cross join jsonb_array_elements(o.records) with ordinality as l (record, place)
join bronze.heads h on h.entity_type = o.entity_type
    and h.source_system = l.record ->> 'source_system'
    and h.external_id = l.record ->> 'external_id'
join bronze.raw_entities r on r.entity_type = o.entity_type and r.entity_id = h.entity_id
    and r.source_system = h.source_system and r.external_id = h.external_id
    and r.version = (l.record ->> 'bronze_version')::integer
left join meta.entity_xref x on x.entity_type = o.entity_type and x.record_id = h.entity_id
where o.entity_type = $1 and o.entity_id = $2 order by l.place limit $3
"""

QUALITY = """
select valid_from, data_quality_score::float as score from quality.history
where entity_type = $1 and entity_id = $2 order by valid_from desc, version desc limit $3
"""

HISTORY = """
select version, operation, valid_from, valid_to, known_from, to_jsonb(t) as state
from {table} t
where entity_id = $1 and ($2::integer is null or version < $2)
order by version desc limit $3
"""

BRONZE = """
select r.entity_type, r.source_system, r.external_id, r.version, h.version as versions,
    r.operation, left(jsonb_pretty(r.raw_data), $5) as raw, r.content_hash, r.blob_key,
    r.blob_sha256, r.size_bytes, r.source_modified_at, r.event_id, r.correlation_id, r.ingested_at
from bronze.heads h
join bronze.raw_entities r on r.entity_type = h.entity_type and r.entity_id = h.entity_id
    and r.source_system = h.source_system and r.external_id = h.external_id
where h.entity_type = $1 and h.source_system = $2 and h.external_id = $3 and r.version = $4
"""
