-- Which silver entities the loaded rules describe: lets readers find tables without the rules.
create table silver.entities (
    entity_type text primary key,
    table_name text not null unique,
    find_by text[] not null default '{}',
    ruleset_version integer not null
);
comment on table silver.entities is
    'One row per entity of config/entities, written when its tables are made or checked.';
comment on column silver.entities.find_by is 'Columns by which people look for a record.';
