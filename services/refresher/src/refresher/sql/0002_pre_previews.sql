-- What people look at in the console: how both databases compare, and a few masked rows.
create table refresher.table_states (
    table_key text primary key,
    position integer not null,
    settings jsonb not null,
    source_rows bigint,
    source_is_estimate boolean not null default false,
    source_bytes bigint,
    source_hash text,
    target_rows bigint,
    target_is_estimate boolean not null default false,
    target_bytes bigint,
    target_hash text,
    drift jsonb not null default '[]',
    problem text,
    observed_at timestamptz
);
comment on table refresher.table_states is
    'One row per table of the configuration, and what was last seen of it in both databases.';
comment on column refresher.table_states.settings is 'The entry of the configuration, less its SQL.';
comment on column refresher.table_states.source_hash is 'Of the columns: name, type, nullability.';
comment on column refresher.table_states.problem is 'Why the last look failed; the numbers are older then.';

create table refresher.previews (
    run_id uuid primary key,
    table_key text not null,
    side text not null,
    requester text not null,
    columns jsonb not null,
    rows jsonb not null,
    taken_at timestamptz not null default clock_timestamp(),
    expires_at timestamptz not null,
    constraint previews_side_check check (side in ('source', 'target'))
);
create index previews_expiry on refresher.previews (expires_at);
comment on table refresher.previews is
    'A few rows of a table, those of production masked as by a refresh; gone after some minutes.';
comment on column refresher.previews.columns is 'Name, type, and the class of the mask where there is one.';
