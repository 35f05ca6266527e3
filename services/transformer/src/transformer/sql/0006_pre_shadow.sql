-- Shadow silver: what other rules, or another state of bronze, would make of it, beside what readers
-- see. Unlogged, because a shadow can be made again; a crash of the server forgets all of it at once.
-- The tables of rows (shadow.<table> for silver.<table>) follow from the rules, as silver's own do.
create schema if not exists shadow;
comment on schema shadow is 'Silver computed anew, to be compared, and promoted or discarded. No reader''s business.';

create unlogged table shadow.sets (
    entity_type text primary key,
    run_id uuid not null unique,
    is_ready boolean not null default false,
    rules_hash text not null,
    ruleset_version integer not null,
    slice jsonb not null,
    requester text not null,
    made_at timestamptz not null default clock_timestamp(),
    expires_at timestamptz not null
);
comment on table shadow.sets is 'One shadow per entity type: who had it made, of what, by which rules.';
comment on column shadow.sets.is_ready is 'False while it is being made, and if that was given up.';
comment on column shadow.sets.slice is 'Of what part of bronze; empty for all of it as it was.';

create unlogged table shadow.records (
    entity_type text not null,
    source_system text not null,
    external_id text not null,
    entity_id text not null,
    version integer not null,
    is_deleted boolean not null,
    ingested_at timestamptz not null,
    raw_id bigint not null,
    primary key (entity_type, source_system, external_id)
);
create index records_entity on shadow.records (entity_type, entity_id);
comment on table shadow.records is 'The heads of bronze that a shadow was made from: what must not have moved when it is promoted.';

create unlogged table shadow.entity_xref (like meta.entity_xref including all);
create unlogged table shadow.entity_keys (like meta.entity_keys including all);
create unlogged table shadow.refused_keys (like meta.refused_keys including all);
create unlogged table shadow.origins (like silver.origins including all);
comment on table shadow.entity_xref is 'Which records are one entity in the shadow.';

create unlogged table shadow.heads (
    entity_type text not null,
    entity_id text collate "C" not null,
    status text,
    state_hash text,
    bronze_versions bigint,
    reasons text[] not null default '{}',
    verdict text,
    fields text[] not null default '{}',
    is_stale boolean not null default false,
    has_other_basis boolean not null default false,
    primary key (entity_type, entity_id),
    constraint heads_status_check check (status in ('live', 'retired', 'rejected')),
    constraint heads_verdict_check check (verdict in ('added', 'removed', 'changed', 'same'))
);
comment on table shadow.heads is 'Every entity of a shadow, and how silver differed from it.';
comment on column shadow.heads.verdict is 'What promotion does to the record that readers see; null before it was compared.';
comment on column shadow.heads.fields is 'The columns, and child tables, that differ.';
comment on column shadow.heads.is_stale is 'Whether anything differs, also what readers do not see: rules, provenance, links.';
comment on column shadow.heads.has_other_basis is 'Whether silver was made from other versions of bronze.';

create view shadow.provenance as
select o.entity_type,
       o.entity_id,
       r.field,
       r.rule,
       w.record ->> 'source' as source,
       w.record ->> 'source_system' as source_system,
       w.record ->> 'external_id' as external_id,
       (w.record ->> 'bronze_version')::integer as bronze_version
from shadow.origins o
join silver.rules r on r.entity_type = o.entity_type and r.rules_hash = o.rules_hash
cross join lateral (select o.records -> (o.winners[r.unit + 1])::integer as record) w;
comment on view shadow.provenance is 'For every value of a shadow: the record that wins it, and the rule.';
