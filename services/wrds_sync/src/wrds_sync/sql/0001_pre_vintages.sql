-- What the mirror holds, for everybody who does not read its files: the console, SQL, alerts.
create schema if not exists wrds_sync;

create table wrds_sync.vintages (
    dataset text not null,
    vintage text not null,
    previous text,
    written_at timestamptz not null,
    synced_at timestamptz not null,
    rows bigint not null,
    size_bytes bigint not null,
    partitions integer not null,
    source_modified text,
    constraint vintages_pkey primary key (dataset, vintage),
    constraint vintages_rows_check check (rows >= 0),
    constraint vintages_size_check check (size_bytes >= 0)
);
comment on table wrds_sync.vintages is
    'One row per published vintage of a data set; the files and their manifest are the truth.';
comment on column wrds_sync.vintages.synced_at is
    'When the mirror was last found equal to the archive; moves without a new vintage.';

create table wrds_sync.restatements (
    dataset text not null,
    vintage text not null,
    previous text not null,
    found_at timestamptz not null,
    rows_added bigint not null,
    rows_removed bigint not null,
    rows_changed bigint not null,
    report jsonb not null,
    constraint restatements_pkey primary key (dataset, vintage),
    constraint restatements_vintage_fkey foreign key (dataset, vintage)
    references wrds_sync.vintages (dataset, vintage) on delete cascade
);
comment on table wrds_sync.restatements is
    'How a vintage differs from the one before; `report` has every partition.';
