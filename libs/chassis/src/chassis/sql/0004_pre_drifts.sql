-- Changes of schemas at the sources: seen by a service, decided by a person.
create table meta.drifts (
    id uuid primary key,
    service text not null,
    dataset text not null,
    kind text not null,
    old jsonb not null,
    new jsonb not null,
    changes jsonb not null,
    sample jsonb,
    affected jsonb not null default '[]',
    status text not null,
    run_id uuid,
    detected_at timestamptz not null default clock_timestamp(),
    decided_at timestamptz,
    decided_by text,
    reason text,
    constraint drifts_kind_check check (kind in ('additive', 'breaking')),
    constraint drifts_status_check check (
        status = 'noted' and kind = 'additive'
        or status in ('waiting', 'accepted', 'rejected') and kind = 'breaking')
);
create index drifts_recent on meta.drifts (detected_at desc);
create index drifts_waiting on meta.drifts (detected_at) where status = 'waiting';
comment on table meta.drifts is
    'A new field is noted; what breaks its readers waits, with its part held back, until somebody accepts or rejects it.';
comment on column meta.drifts.id is
    'Follows from service, data set, known version and changes: the same change is one entry, however often it is seen.';
comment on column meta.drifts.changes is 'List of {field, effect, old, new}; effect: added, widened, retyped, removed.';
comment on column meta.drifts.affected is 'Silver fields that are made of the changed ones, as table.field.';

-- Nothing has written here so far. Two services may call their data sets alike.
alter table meta.schemas add column service text not null default '';
alter table meta.schemas alter column service drop default;
alter table meta.schemas drop constraint schemas_pkey;
alter table meta.schemas add constraint schemas_pkey primary key (service, dataset, version);
comment on column meta.schemas.columns is
    'Field to its type; several types, and `absent`, stand side by side, separated by |.';
comment on column meta.schemas.status is 'How the version came to be: learnt, extended or accepted.';

create trigger drifts_announce after insert or update on meta.drifts
for each statement execute function meta.announce_change('drifts');
