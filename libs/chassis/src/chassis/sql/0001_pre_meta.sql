-- What every service shares: delivery, leases, runs, commands, failures, audit.
create schema if not exists meta;

create table meta.outbox (
    id bigint primary key,
    service text not null,
    topic text not null,
    key bytea not null,
    value bytea not null,
    headers jsonb not null default '{}',
    created_at timestamptz not null default clock_timestamp()
);
comment on table meta.outbox is
    'Events on their way to Kafka: written in the transaction of their cause, deleted once acknowledged.';
create sequence meta.outbox_id_seq as bigint cache 1 owned by meta.outbox.id;
create index outbox_service_id on meta.outbox (service, id);

create table meta.consumer_positions (
    consumer text not null,
    topic text not null,
    partition integer not null,
    next_offset bigint not null,
    anchor text,
    updated_at timestamptz not null default clock_timestamp(),
    primary key (consumer, topic, partition)
);
comment on column meta.consumer_positions.anchor is
    'Fingerprint of the record at next_offset - 1: tells a re-created topic from the one that was read.';

create table meta.leases (
    name text primary key,
    holder text not null,
    token bigint not null,
    acquired_at timestamptz not null default clock_timestamp(),
    expires_at timestamptz not null,
    -- Not decoration: with this key, the holder''s FOR KEY SHARE blocks a take-over until its transaction ends.
    constraint leases_name_token_key unique (name, token)
);

create table meta.commands (
    service text not null,
    topic text not null,
    command_id text not null,
    target text not null,
    requester text not null,
    reason text,
    dry_run boolean not null default false,
    body jsonb not null,
    outcome text not null,
    run_id uuid,
    received_at timestamptz not null default clock_timestamp(),
    -- Some topics have several owners, and people reuse ids across topics.
    primary key (service, topic, command_id)
);
create index commands_command_id on meta.commands (command_id);
comment on column meta.commands.outcome is
    'accepted, skipped (overlap) or expired; what was refused is a dead letter.';

create table meta.runs (
    run_id uuid primary key,
    command_id text,
    service text not null,
    kind text not null,
    target text not null,
    status text not null,
    parameters jsonb not null default '{}',
    dry_run boolean not null default false,
    requester text not null default 'schedule',
    reason text,
    counts jsonb not null default '{}',
    total bigint,
    message text,
    checkpoint jsonb,
    attempts integer not null default 0,
    failures integer not null default 0,
    cancel_requested boolean not null default false,
    queued_at timestamptz not null default clock_timestamp(),
    available_at timestamptz not null default clock_timestamp(),
    started_at timestamptz,
    heartbeat_at timestamptz,
    finished_at timestamptz,
    constraint runs_status_check check (status in (
        'queued', 'running', 'completed', 'completed-with-errors', 'failed', 'cancelled', 'abandoned'))
);
comment on column meta.runs.attempts is
    'How often a worker took it; each attempt may write only under its own number.';
comment on column meta.runs.failures is
    'Crashes and outages since the last progress; a worker that was stopped on purpose does not count.';
comment on column meta.runs.available_at is 'Not before: set by the back-off after an outage.';
create index runs_queue on meta.runs (service, queued_at) where status = 'queued';
create unique index runs_one_running on meta.runs (service, kind, target) where status = 'running';
create unique index runs_command on meta.runs (service, kind, target, command_id);
create index runs_history on meta.runs (service, kind, target, queued_at desc);
create index runs_finished on meta.runs (finished_at desc) where finished_at is not null;
create index runs_task on meta.runs (((kind || ':' || target)::varchar(100)), finished_at desc);

create view meta.ingestion_runs as
select run_id,
       service as source_system,
       target as entity_type,
       coalesce(started_at, queued_at) as started_at,
       finished_at as completed_at,
       case when status = 'queued' then 'running'
            when status in ('completed', 'completed-with-errors') then 'completed'
            when status = 'running' then 'running'
            else 'failed' end as status,
       coalesce((counts ->> 'processed')::bigint, 0) as records_processed,
       coalesce((counts ->> 'new')::bigint, 0) as records_created,
       coalesce((counts ->> 'changed')::bigint, 0) as records_updated,
       case when status in ('failed', 'cancelled', 'abandoned') then message end as error_message,
       parameters as metadata
from meta.runs;

create view meta.sync_logs as
select run_id as id,
       (kind || ':' || target)::varchar(100) as task_name,
       (case when status in ('completed', 'completed-with-errors') then 'success' else 'failed' end)::varchar(20)
           as status,
       coalesce((counts ->> 'new')::bigint, 0) + coalesce((counts ->> 'changed')::bigint, 0) as rows_updated,
       case when status not in ('completed', 'completed-with-errors') then message end as error_message,
       coalesce(started_at, queued_at) as started_at,
       finished_at as completed_at,
       extract(epoch from finished_at - coalesce(started_at, queued_at)) as duration_seconds,
       parameters as metadata
from meta.runs
where finished_at is not null;

create table meta.record_errors (
    id bigint generated always as identity primary key,
    service text not null,
    run_id uuid,
    source text not null,
    external_id text,
    category text not null,
    error_class text not null,
    message text not null,
    attempts integer not null default 1,
    event_id text,
    occurred_at timestamptz not null default clock_timestamp()
);
create index record_errors_recent on meta.record_errors (service, occurred_at desc);

create table meta.schemas (
    dataset text not null,
    version integer not null,
    columns jsonb not null,
    status text not null,
    observed_at timestamptz not null default clock_timestamp(),
    primary key (dataset, version)
);

create table meta.audit (
    id bigint generated always as identity primary key,
    service text not null,
    actor text not null,
    action text not null,
    subject text not null,
    details jsonb not null default '{}',
    at timestamptz not null default clock_timestamp()
);
create index audit_recent on meta.audit (at desc);
