-- Plans, what became of them table by table, and every database ever seen as a source.
create schema if not exists refresher;

create table refresher.plans (
    plan_id text primary key,
    run_id uuid not null,
    target text not null,
    status text not null,
    plan jsonb not null,
    digest text not null,
    requester text not null,
    reason text,
    is_forced boolean not null default false,
    created_at timestamptz not null default clock_timestamp(),
    decided_by text,
    decided_at timestamptz,
    applied_at timestamptz,
    undo_until timestamptz,
    message text,
    constraint plans_status_check check (status in (
        'planned', 'waiting', 'approved', 'applying', 'applied', 'refused', 'rejected', 'stale',
        'failed', 'cancelled', 'undone'))
);
create index plans_run on refresher.plans (run_id);
create index plans_recent on refresher.plans (created_at desc);
create index plans_undoable on refresher.plans (undo_until) where undo_until is not null;
comment on column refresher.plans.digest is
    'SHA-256 of the plan: what was approved is what is executed.';
comment on column refresher.plans.undo_until is
    'Until then the replaced rows are kept; null once they are gone.';

create table refresher.refreshes (
    id bigint generated always as identity primary key,
    plan_id text not null references refresher.plans (plan_id),
    run_id uuid not null,
    table_key text not null,
    asked_mode text not null,
    mode text not null,
    mode_reason text not null,
    strategy text not null,
    swap text not null,
    window_low text,
    window_high text,
    watermark jsonb,
    is_sweep boolean not null,
    rows_read bigint not null,
    bytes_read bigint not null,
    rows_inserted bigint not null,
    rows_updated bigint not null,
    rows_deleted bigint not null,
    rows_kept bigint not null,
    masked jsonb not null,
    phases jsonb not null,
    schema_hash text not null,
    checksum text,
    swap_attempts integer not null,
    finished_at timestamptz not null default clock_timestamp(),
    undone_at timestamptz,
    constraint refreshes_plan_table_key unique (plan_id, table_key)
);
create index refreshes_table on refresher.refreshes (table_key, finished_at desc);
comment on column refresher.refreshes.phases is 'Seconds: read, build, verify, wait, lock.';
comment on column refresher.refreshes.is_sweep is
    'Whether rows that production had deleted were looked for in the whole table.';

create table refresher.databases (
    fingerprint text not null,
    role text not null,
    first_seen_at timestamptz not null default clock_timestamp(),
    last_seen_at timestamptz not null default clock_timestamp(),
    primary key (fingerprint, role),
    constraint databases_role_check check (role in ('source', 'target'))
);
comment on table refresher.databases is
    'A database that was ever a source is never written to, whatever a configuration says.';

create sequence refresher.fence_seq as bigint cache 1;
comment on sequence refresher.fence_seq is
    'Drawn after the leases of a refresh were taken, so a later holder always has a higher number.';
