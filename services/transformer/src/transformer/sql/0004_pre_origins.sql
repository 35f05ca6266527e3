-- What silver values are made of, a row per entity; it took a row per value before. The old table
-- stays for the old version and is replaced by a view once that is gone (0005).
create table silver.rules (
    entity_type text not null,
    rules_hash text not null,
    field text not null,
    position integer not null,
    rule text not null,
    unit integer,
    has_claims boolean not null,
    primary key (entity_type, rules_hash, field)
);
comment on table silver.rules is 'How each column is filled, for every set of rules that has ever been loaded.';
comment on column silver.rules.unit is
    'What the field is won with: its place, from 0, in silver.origins.winners; null for computed values.';
comment on column silver.rules.has_claims is 'Whether every record has a value of its own for the field.';

create table silver.origins (
    entity_type text not null,
    entity_id text collate "C" not null,
    rules_hash text not null,
    records jsonb not null,
    winners smallint[] not null,
    primary key (entity_type, entity_id)
);
comment on table silver.origins is
    'The bronze records behind each entity, strongest first, and which of them won what; read it as silver.provenance.';
