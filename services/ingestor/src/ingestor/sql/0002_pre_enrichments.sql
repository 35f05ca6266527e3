-- Records whose full form is still to be fetched, and what a derived version is compared by.
create table bronze.enrichments (
    entity_type text not null,
    source_system text not null,
    external_id text not null,
    source text not null,
    raw_id bigint not null,
    correlation_id text,
    attempts integer not null default 0,
    next_at timestamptz not null default statement_timestamp(),
    requested_at timestamptz not null default statement_timestamp(),
    last_error text,
    constraint enrichments_pkey primary key (entity_type, source_system, external_id)
);
comment on table bronze.enrichments is
    'One row per record whose full form is to be fetched; a newer version of the record replaces the request.';
comment on column bronze.enrichments.raw_id is 'The version to complete; the new one will be derived from it.';
comment on column bronze.enrichments.next_at is
    'When it is tried next. Whoever takes it moves this ahead, so that nobody else does, and a crash gives it back.';
create index enrichments_due on bronze.enrichments (source, next_at);

alter table bronze.heads add column announced_hash text;
comment on column bronze.heads.announced_hash is
    'Of a derived version: the hash of what the source announced, by which the next announcement is compared.';
