-- What was announced of each partition, so that an announcement that a crash swallowed is made up for.
create table wrds_sync.partitions (
    dataset text not null,
    year integer not null,
    path text not null,
    sha256 text,
    version bigint not null,
    fencing bigint not null,
    announced_at timestamptz not null default clock_timestamp(),
    constraint partitions_pkey primary key (dataset, year)
);
comment on table wrds_sync.partitions is
    'The file of each partition as `bronze.stored` last told it; written with the event.';
comment on column wrds_sync.partitions.year is '0 stands for a data set in one file.';
comment on column wrds_sync.partitions.sha256 is 'Null: the partition is gone.';
comment on column wrds_sync.partitions.fencing is 'Of the writer; one that was overtaken announces nothing.';
