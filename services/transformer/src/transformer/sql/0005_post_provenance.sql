-- Filled anew by the next `transform` run; until then it is empty for entities that nobody changed.
drop table silver.provenance;

create view silver.provenance as
select o.entity_type,
       o.entity_id,
       r.field,
       r.rule,
       w.record ->> 'source' as source,
       w.record ->> 'source_system' as source_system,
       w.record ->> 'external_id' as external_id,
       (w.record ->> 'bronze_version')::integer as bronze_version,
       case when r.has_claims then coalesce((
           select jsonb_agg(
               (l.record - 'values') || jsonb_build_object('value', l.record -> 'values' -> r.field)
               order by l.place)
           from jsonb_array_elements(o.records) with ordinality as l (record, place)
           where l.place - 1 is distinct from o.winners[r.unit + 1]
       ), '[]') else '[]' end as losers,
       r.position
from silver.origins o
join silver.rules r on r.entity_type = o.entity_type and r.rules_hash = o.rules_hash
cross join lateral (select o.records -> (o.winners[r.unit + 1])::integer as record) w;
comment on view silver.provenance is
    'For every value in silver: the record that won it, the ones that lost with their values, and the rule.';
