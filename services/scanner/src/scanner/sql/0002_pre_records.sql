-- What is known about the records of each record source, and what was announced of them.
create table scanner.records (
    source text not null,
    external_id text collate "C" not null,
    content_hash bytea,
    hash_spec_version integer not null,
    is_present boolean not null default true,
    state text not null default 'announced',
    announced_event_id text not null,
    announced_run_id uuid not null,
    announced_at timestamptz not null,
    announcements integer not null default 1,
    answered_at timestamptz,
    missing_mark text,
    missing_since timestamptz,
    missing_polls integer not null default 0,
    first_seen_at timestamptz not null,
    constraint records_pkey primary key (source, external_id),
    constraint records_hash_check check (octet_length(content_hash) = 32),
    constraint records_state_check check (state in ('announced', 'ingested', 'retired')),
    constraint records_retired_check check (state <> 'retired' or not is_present)
);
comment on table scanner.records is
    'One row per record of a source: the hash announced last, and how far its announcement got.';
comment on column scanner.records.content_hash is
    'SHA-256 of the significant fields under hash_spec_version; null: announce the record again when it is seen next.';
comment on column scanner.records.state is
    'announced (no answer yet), ingested (bronze has it), retired (bronze has the tombstone).';
comment on column scanner.records.missing_mark is
    'The poll attempt that was complete and lacked the record.';

create unique index records_event on scanner.records (announced_event_id) where state = 'announced';
create index records_waiting on scanner.records (announced_at) where state = 'announced';
create index records_missing on scanner.records (source, external_id) where missing_mark is not null;

create table scanner.hash_specs (
    source text not null,
    version integer not null,
    spec jsonb not null,
    created_at timestamptz not null default clock_timestamp(),
    constraint hash_specs_pkey primary key (source, version),
    constraint hash_specs_spec_key unique (source, spec)
);
comment on table scanner.hash_specs is
    'Every list of significant fields that a source ever had: a stored hash is compared under its own.';

create table scanner.polls (
    run_id uuid primary key,
    source text not null,
    mode text not null,
    outcome text,
    started_at timestamptz not null,
    finished_at timestamptz,
    asked_since text,
    high_water text,
    records bigint not null default 0,
    new bigint not null default 0,
    changed bigint not null default 0,
    unchanged bigint not null default 0,
    deleted bigint not null default 0,
    held bigint not null default 0,
    failed bigint not null default 0,
    gaps jsonb not null default '[]',
    constraint polls_mode_check check (mode in ('since', 'full')),
    constraint polls_outcome_check check (outcome in ('complete', 'partial', 'incomplete'))
);
comment on column scanner.polls.outcome is
    'complete; partial (some records failed, by name); incomplete (nothing may be concluded deleted).';
create index polls_recent on scanner.polls (source, started_at desc);

create table scanner.high_waters (
    source text primary key,
    mark text not null,
    run_id uuid not null,
    noted_at timestamptz not null
);
comment on table scanner.high_waters is
    'How far each source has told everything, in its own terms; written when a poll has succeeded.';

create table scanner.due_records (
    source text not null,
    external_id text collate "C" not null,
    reason text not null,
    noted_at timestamptz not null default clock_timestamp(),
    constraint due_records_pkey primary key (source, external_id)
);
comment on table scanner.due_records is
    'Records to be read again by the next poll: they failed, or their announcement was never answered.';

-- Of no use after a crash: the poll begins again.
create unlogged table scanner.poll_seen (
    source text not null,
    external_id text collate "C" not null,
    constraint poll_seen_pkey primary key (source, external_id)
);
comment on table scanner.poll_seen is 'What the poll in progress has been told so far.';

create view scanner.missing_records as
select r.source, r.external_id, r.missing_mark, r.missing_since, r.missing_polls,
       exists (select 1 from scanner.held_deletions h
               where h.source = r.source and h.path = r.external_id) as is_held
from scanner.records r
where r.missing_mark is not null and r.is_present;
comment on view scanner.missing_records is 'Records that consumers know and that complete polls lack.';

comment on table scanner.held_deletions is
    'Missing files and records whose deletion waits for a person; what comes back leaves this table.';
comment on column scanner.held_deletions.path is 'Of a file its path, of a record its external id.';
