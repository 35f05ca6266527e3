-- Where each data set stands, for everybody who does not read the mirror's files and locks.
create table wrds_sync.states (
    dataset text primary key,
    vendor text not null,
    frequency text not null,
    source_table text not null,
    vintage text,
    is_complete boolean,
    synced_at timestamptz,
    rows bigint,
    size_bytes bigint,
    source_modified text,
    partitions jsonb not null default '[]',
    kept text[] not null default '{}',
    progress jsonb,
    lock jsonb,
    problem text,
    observed_at timestamptz not null default clock_timestamp()
);
comment on table wrds_sync.states is
    'One row per data set of the configuration, written anew every minute; files, manifests and locks are the truth.';
comment on column wrds_sync.states.partitions is
    'Of the present vintage, the latest year first: year, file, rows, bytes, checksum, dates.';
comment on column wrds_sync.states.kept is 'Vintages whose files are still there, oldest first.';
comment on column wrds_sync.states.problem is 'Why the manifest cannot be used.';

create table wrds_sync.volumes (
    name text primary key,
    total_bytes bigint not null,
    free_bytes bigint not null,
    level text not null,
    observed_at timestamptz not null default clock_timestamp()
);
comment on table wrds_sync.volumes is 'The file system that the mirror writes to; `level` as the alerts say it.';
