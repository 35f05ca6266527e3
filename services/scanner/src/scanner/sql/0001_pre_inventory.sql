-- What is known about the files of each source, and what was announced of it.
create schema if not exists scanner;

create table scanner.inventory (
    source text not null,
    path text collate "C" not null,
    directory text collate "C" not null,
    modified_us bigint not null,
    size_bytes bigint not null,
    settling_since timestamptz,
    is_present boolean not null default true,
    state text not null default 'seen',
    announced_change text,
    announced_modified_us bigint,
    announced_size_bytes bigint,
    previous_modified_us bigint,
    previous_size_bytes bigint,
    announced_event_id text,
    announced_scan_id uuid,
    announced_at timestamptz,
    announcements integer not null default 0,
    answered_at timestamptz,
    missing_mark text,
    missing_since timestamptz,
    missing_scans integer not null default 0,
    first_seen_at timestamptz not null,
    constraint inventory_pkey primary key (source, path),
    constraint inventory_size_check check (size_bytes >= 0),
    constraint inventory_state_check check (state in ('seen', 'announced', 'ingested', 'retired')),
    constraint inventory_change_check check (announced_change in ('added', 'modified', 'deleted')),
    constraint inventory_announced_check check (
        (state = 'seen') = (announced_change is null)
        and (announced_change is null) = (announced_modified_us is null)
        and (announced_modified_us is null) = (announced_size_bytes is null)),
    constraint inventory_present_check check (is_present = (announced_change is distinct from 'deleted')),
    constraint inventory_retired_check check (state <> 'retired' or not is_present)
);
comment on table scanner.inventory is
    'One row per path: the state listed last, the state announced last, and how far its announcement got.';
comment on column scanner.inventory.modified_us is
    'Last write as the share tells it, microseconds since 1970 UTC; compared for equality only.';
comment on column scanner.inventory.settling_since is
    'First sight of a state that is not announced yet; null once it is.';
comment on column scanner.inventory.state is
    'seen (never announced), announced (no answer yet), ingested (bronze has it), retired (bronze has the tombstone).';
comment on column scanner.inventory.answered_at is
    'When bronze last answered for this path; null if it never had it. Survives a modification.';
comment on column scanner.inventory.missing_mark is
    'The scan attempt that listed its directory without it; believed only at the end of a complete scan.';

create index inventory_directory on scanner.inventory (source, directory);
create index inventory_settling on scanner.inventory (source, directory) where settling_since is not null;
create index inventory_missing on scanner.inventory (source, missing_mark, path) where missing_mark is not null;
create index inventory_waiting on scanner.inventory (announced_at) where state = 'announced';
create unique index inventory_event on scanner.inventory (announced_event_id);
create index inventory_scan on scanner.inventory (announced_scan_id);

create table scanner.directories (
    source text not null,
    path text collate "C" not null,
    parent text collate "C",
    modified_us bigint,
    is_leaf boolean not null,
    is_settled boolean not null default false,
    gone_mark text,
    constraint directories_pkey primary key (source, path)
);
comment on table scanner.directories is
    'What the last listing of each directory left behind: lets a fast pass leave out unchanged leaves.';
comment on column scanner.directories.parent is 'Null for a scanned root.';
create index directories_parent on scanner.directories (source, parent);
create index directories_gone on scanner.directories (source, gone_mark) where gone_mark is not null;

create table scanner.scans (
    scan_id uuid primary key,
    source text not null,
    mode text not null,
    prefix text not null default '',
    outcome text,
    started_at timestamptz not null,
    finished_at timestamptz,
    directories bigint not null default 0,
    files bigint not null default 0,
    added bigint not null default 0,
    modified bigint not null default 0,
    deleted bigint not null default 0,
    held bigint not null default 0,
    failures jsonb not null default '[]',
    is_exported boolean not null default false,
    constraint scans_mode_check check (mode in ('fast', 'full')),
    constraint scans_outcome_check check (outcome in ('complete', 'partial', 'incomplete'))
);
comment on column scanner.scans.outcome is
    'complete; partial (all but what the server refused); incomplete (nothing may be concluded deleted).';
create index scans_recent on scanner.scans (source, started_at desc);

create table scanner.held_deletions (
    source text not null,
    path text collate "C" not null,
    scan_id uuid not null,
    reason text not null,
    held_at timestamptz not null,
    constraint held_deletions_pkey primary key (source, path)
);
comment on table scanner.held_deletions is
    'Missing files whose deletion waits for a person; a file that comes back leaves this table.';

create function scanner.lies_within(path text, directories text[]) returns boolean
language sql immutable parallel safe
return exists (
    select 1 from unnest(directories) as directory
    where directory = '' or path = directory or starts_with(path, directory || '/'));
comment on function scanner.lies_within is 'Whether a path is one of the directories or below one; the empty one is the root.';

create view scanner.missing_files as
select i.source, i.path, i.directory, i.announced_modified_us, i.announced_size_bytes,
       i.missing_mark, i.missing_since, i.missing_scans,
       exists (select 1 from scanner.held_deletions h where h.source = i.source and h.path = i.path) as is_held
from scanner.inventory i
where i.missing_mark is not null and i.is_present and i.announced_change is not null;
comment on view scanner.missing_files is 'Files that consumers know and that recent listings lack.';
