-- Bronze: every version of everything that was ever ingested, and the latest of each.
create schema if not exists bronze;

create sequence bronze.raw_entities_id_seq as bigint;

create table bronze.raw_entities (
    id bigint not null default nextval('bronze.raw_entities_id_seq'),
    entity_type text not null,
    entity_id text not null,
    source_system text not null,
    external_id text not null,
    version integer not null,
    operation text not null,
    raw_data jsonb,
    content_hash text,
    blob_key text,
    blob_sha256 text,
    size_bytes bigint,
    source_modified_at timestamptz,
    sequence bigint,
    event_id text,
    correlation_id text,
    derived_from bigint,
    ingestion_run_id uuid,
    ingested_at timestamptz not null default statement_timestamp(),
    constraint raw_entities_pkey primary key (ingested_at, id),
    constraint raw_entities_version_check check (version >= 1),
    constraint raw_entities_operation_check check (
        case operation
            when 'stored' then raw_data is not null and content_hash is not null
            when 'tombstoned' then raw_data is null and content_hash is null
            else false
        end)
) partition by range (ingested_at);
alter sequence bronze.raw_entities_id_seq owned by bronze.raw_entities.id;
comment on table bronze.raw_entities is
    'Append-only: a change is a new version, a deletion a tombstone, an enrichment a version with derived_from.';
comment on column bronze.raw_entities.external_id is
    'The identity at the source (a file: its path). Versions count per (source_system, entity_type, external_id).';
comment on column bronze.raw_entities.content_hash is 'SHA-256 of the canonical JSON of raw_data.';
comment on column bronze.raw_entities.blob_key is
    'Where the bytes that raw_data was read from lie in the object store; null where the record is its own raw form.';
comment on column bronze.raw_entities.sequence is 'Of the event that led to the version; grows per source and external_id.';
comment on column bronze.raw_entities.derived_from is 'The id of the version that was enriched to make this one.';

create index raw_entities_entity on bronze.raw_entities (entity_type, entity_id, ingested_at);

-- A new month's rows find their partition ready; should nobody have made it, they lie here and are moved later.
create table bronze.raw_entities_default partition of bronze.raw_entities default;
-- One version once. Per partition, because an index over all would need ingested_at; across months the head's row lock
-- and its version number see to it.
create unique index raw_entities_default_version_key
    on bronze.raw_entities_default (source_system, entity_type, external_id, version);

create table bronze.entities (
    entity_type text not null,
    entity_id text not null,
    first_seen_at timestamptz not null default statement_timestamp(),
    constraint entities_pkey primary key (entity_type, entity_id)
);
comment on table bronze.entities is
    'One row per entity. Whoever appends a version holds the lock on it until commit, so versions, and the events about '
    'them, have one order per entity even where several files contribute to it.';

create table bronze.heads (
    entity_type text not null,
    source_system text not null,
    external_id text not null,
    entity_id text not null,
    version integer not null,
    sequence bigint,
    content_hash text,
    blob_sha256 text,
    is_deleted boolean not null,
    ingested_at timestamptz not null,
    raw_id bigint not null,
    constraint heads_pkey primary key (entity_type, source_system, external_id)
) with (fillfactor = 85);
comment on table bronze.heads is 'The latest version of each external id: what "changed?" is asked of.';
comment on column bronze.heads.sequence is
    'Of the last event applied, also where it changed nothing; an event at or below it was applied before.';
comment on column bronze.heads.ingested_at is 'With raw_id, the key of the row in bronze.raw_entities.';
create index heads_entity on bronze.heads (entity_type, entity_id);

create function bronze.create_partitions(months_ahead integer default 3) returns integer
language plpgsql
-- The service may not create tables; this much of it, it may.
security definer
set search_path = ''
set timezone = 'UTC'
as $$
declare
    first_month constant timestamptz := date_trunc('month', clock_timestamp());
    starts timestamptz;
    ends timestamptz;
    name text;
    created integer := 0;
begin
    perform pg_advisory_xact_lock(hashtext('bronze.create_partitions'));
    for number in 0..months_ahead loop
        starts := first_month + make_interval(months => number);
        ends := first_month + make_interval(months => number + 1);
        name := 'raw_entities_' || to_char(starts, 'YYYY_MM');
        continue when to_regclass('bronze.' || name) is not null;
        execute format('create table bronze.%I (like bronze.raw_entities including all)', name);
        execute format(
            'create unique index %I on bronze.%I (source_system, entity_type, external_id, version)',
            name || '_version_key', name);
        execute format(
            'with moved as (delete from bronze.raw_entities_default '
            'where ingested_at >= %L and ingested_at < %L returning *) insert into bronze.%I select * from moved',
            starts, ends, name);
        execute format(
            'alter table bronze.raw_entities attach partition bronze.%I for values from (%L) to (%L)',
            name, starts, ends);
        created := created + 1;
    end loop;
    return created;
end
$$;
comment on function bronze.create_partitions is
    'Creates the partitions of this month and the next ones, and returns how many were missing.';
revoke execute on function bronze.create_partitions from public;

select bronze.create_partitions();
