-- Identity: which bronze records are one silver entity, and why.
create table meta.entity_xref (
    entity_type text not null,
    record_id text collate "C" not null,
    entity_id text collate "C" not null,
    group_id text collate "C" not null,
    first_raw_id bigint not null,
    rule text,
    linked_to text collate "C",
    exclusive jsonb not null default '[]',
    linked_at timestamptz not null default clock_timestamp(),
    primary key (entity_type, record_id)
);
create index entity_xref_entity on meta.entity_xref (entity_type, entity_id);
create index entity_xref_group on meta.entity_xref (entity_type, group_id);
comment on table meta.entity_xref is
    'To which silver entity each bronze record belongs; a deleted record stays a member, so ids do not move.';
comment on column meta.entity_xref.record_id is 'Bronze''s entity_id.';
comment on column meta.entity_xref.entity_id is
    'Silver''s: the record_id of the anchor, which is the member that bronze knew first.';
comment on column meta.entity_xref.group_id is
    'The oldest record that keys could reach, contradictions aside: a change matters within its group only.';
comment on column meta.entity_xref.rule is 'The key that ties the record to linked_to; null for the anchor.';
comment on column meta.entity_xref.exclusive is
    'Pairs of name and value: records that differ in one are never one entity.';

create table meta.entity_keys (
    entity_type text not null,
    key text not null,
    value text collate "C" not null,
    record_id text collate "C" not null,
    primary key (entity_type, key, value, record_id)
);
create index entity_keys_record on meta.entity_keys (entity_type, record_id);
comment on table meta.entity_keys is 'The normalised key values by which records are linked.';

create table meta.refused_keys (
    entity_type text not null,
    key text not null,
    value text collate "C" not null,
    reason text not null,
    records jsonb not null,
    first_seen_at timestamptz not null default clock_timestamp(),
    primary key (entity_type, key, value),
    constraint refused_keys_reason_check check (reason in ('common', 'contradiction'))
);
comment on table meta.refused_keys is
    'Key values that link nothing: too many records have them, or they would join records that contradict each other.';
comment on column meta.refused_keys.records is 'Who has it; for a common value the first few, by record_id.';

create table meta.proposed_links (
    entity_type text not null,
    record_id text collate "C" not null,
    other_id text collate "C" not null,
    proposed_by text not null,
    score numeric(5, 4) not null,
    reason jsonb not null default '{}',
    proposed_at timestamptz not null default clock_timestamp(),
    decision text,
    decided_by text,
    decided_at timestamptz,
    primary key (entity_type, record_id, other_id, proposed_by),
    constraint proposed_links_order_check check (record_id < other_id),
    constraint proposed_links_score_check check (score between 0 and 1),
    constraint proposed_links_decision_check check (decision in ('accepted', 'declined'))
);
create index proposed_links_open on meta.proposed_links (entity_type, score desc) where decision is null;
comment on table meta.proposed_links is
    'Pairs that a probabilistic matcher takes for one entity, for people to review. Nothing is linked by it: rules link.';

create view meta.entity_sources as
select h.entity_type, h.source_system, h.external_id, x.entity_id, x.record_id, h.is_deleted, x.rule, x.linked_to
from bronze.heads h
join meta.entity_xref x on x.entity_type = h.entity_type and x.record_id = h.entity_id;
comment on view meta.entity_sources is 'The silver entity of every (source system, external id).';

create table meta.entity_references (
    entity_type text not null,
    entity_id text collate "C" not null,
    name text not null,
    target_type text not null,
    target_column text not null,
    value text collate "C" not null,
    primary key (entity_type, entity_id, name)
);
create index entity_references_target on meta.entity_references (target_type, target_column, value);
comment on table meta.entity_references is
    'Which values of other silver tables entities need, rejected entities included: whom to look at again when a value comes or goes.';

alter table silver.heads add column merged_into text collate "C";
comment on column silver.heads.merged_into is
    'The entity that this one has become part of; its record and its history end here and go on there.';
