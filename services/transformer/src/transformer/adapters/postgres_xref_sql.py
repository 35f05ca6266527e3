"""The statements about identity: a constant number, however many records and links."""

LOCK = "select pg_advisory_xact_lock(hashtextextended('transformer.identity/' || $1, 0))"

# A deleted record keeps the keys of its last version that said something.
RECORDS = """
select h.entity_id, h.source_system, h.external_id, h.version, h.is_deleted,
       h.ingested_at as stored_at, coalesce(r.raw_data, last.raw_data)::text as document,
       coalesce(x.first_raw_id, first.id) as first_raw_id
from bronze.heads h
join bronze.raw_entities r on r.ingested_at = h.ingested_at and r.id = h.raw_id
left join meta.entity_xref x on x.entity_type = h.entity_type and x.record_id = h.entity_id
left join lateral (
    select o.raw_data from bronze.raw_entities o
    where h.is_deleted and o.entity_type = h.entity_type and o.entity_id = h.entity_id
        and o.source_system = h.source_system and o.external_id = h.external_id
        and o.operation = 'stored' and o.version <= h.version
    order by o.version desc limit 1) last on true
left join lateral (
    select min(o.id) as id from bronze.raw_entities o
    where x.record_id is null and o.entity_type = h.entity_type and o.entity_id = h.entity_id
        and o.version = 1) first on true
where h.entity_type = $1 and h.entity_id = any($2)
"""

HOLDERS = """
with wanted as (
    select key, value from unnest($3::text[], $4::text[]) as t (key, value)
    union
    select key, value from meta.entity_keys where entity_type = $1 and record_id = any($2)
)
select w.key, w.value, h.record_id
from wanted w
join unnest($5::text[], $6::integer[]) as n (key, most) on n.key = w.key
left join lateral (
    select k.record_id from meta.entity_keys k
    where k.entity_type = $1 and k.key = w.key and k.value = w.value and k.record_id <> all($2)
    order by k.record_id limit n.most + 1) h on true
"""

KNOWN = """
with groups as (
    select distinct group_id from meta.entity_xref where entity_type = $1 and record_id = any($2)
)
select x.record_id, x.entity_id, x.group_id, x.first_raw_id, x.rule, x.linked_to, x.exclusive,
       k.keys, k.values, k.commons
from groups g
join meta.entity_xref x on x.entity_type = $1 and x.group_id = g.group_id
left join lateral (
    select array_agg(e.key) as keys, array_agg(e.value) as values,
        array_agg(c.key is not null) as commons
    from meta.entity_keys e
    left join meta.refused_keys c on c.entity_type = e.entity_type and c.key = e.key
        and c.value = e.value and c.reason = 'common'
    where e.entity_type = $1 and e.record_id = x.record_id) k on true
"""

MEMBERS = """
select entity_id, record_id from meta.entity_xref
where entity_type = $1 and entity_id = any($2) order by record_id
"""

STANDING = """
select entity_id from silver.heads
where entity_type = $1 and entity_id = any($2) and status <> 'retired'
"""

DELETE_KEYS = """
delete from meta.entity_keys k
where k.entity_type = $1 and k.record_id = any($2) and not exists (
    select 1 from unnest($3::text[], $4::text[], $5::text[]) as n (record_id, key, value)
    where n.record_id = k.record_id and n.key = k.key and n.value = k.value)
"""

INSERT_KEYS = """
insert into meta.entity_keys (entity_type, record_id, key, value)
select $1, record_id, key, value
from unnest($2::text[], $3::text[], $4::text[]) as n (record_id, key, value)
on conflict do nothing
"""

SAVE_LINKS = """
insert into meta.entity_xref as x
    (entity_type, record_id, entity_id, group_id, rule, linked_to, first_raw_id, exclusive)
select $1, record_id, entity_id, group_id, rule, linked_to, first_raw_id, exclusive::jsonb
from unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bigint[], $8::text[])
    as n (record_id, entity_id, group_id, rule, linked_to, first_raw_id, exclusive)
on conflict (entity_type, record_id) do update
set entity_id = excluded.entity_id, group_id = excluded.group_id, rule = excluded.rule,
    linked_to = excluded.linked_to, exclusive = excluded.exclusive,
    linked_at = case when x.entity_id = excluded.entity_id then x.linked_at
        else excluded.linked_at end
"""

DELETE_REFUSALS = """
delete from meta.refused_keys r
using unnest($2::text[], $3::text[]) as n (key, value)
where r.entity_type = $1 and r.key = n.key and r.value = n.value and not exists (
    select 1 from unnest($4::text[], $5::text[]) as still (key, value)
    where still.key = r.key and still.value = r.value)
"""

SAVE_REFUSALS = """
insert into meta.refused_keys as r (entity_type, key, value, reason, records)
select $1, key, value, reason, records::jsonb
from unnest($2::text[], $3::text[], $4::text[], $5::text[]) as n (key, value, reason, records)
on conflict (entity_type, key, value) do update
set reason = excluded.reason, records = excluded.records
where (r.reason, r.records) is distinct from (excluded.reason, excluded.records)
returning xmax = 0 as is_new
"""

POINT_TO_SURVIVORS = """
update silver.heads h
set merged_into = nullif(x.entity_id, h.entity_id)
from meta.entity_xref x
where h.entity_type = $1 and h.entity_id = any($2)
  and x.entity_type = h.entity_type and x.record_id = h.entity_id
  and h.merged_into is distinct from nullif(x.entity_id, h.entity_id)
"""
