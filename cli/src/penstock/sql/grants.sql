-- What each role may do with which table: the whole of it, laid anew by every `penstock migrate`, as the owner.
-- Whatever does not stand here is refused. Nobody may truncate, create, or change what bronze once stored.
-- The roles come from deploy/postgres/roles.sql; where they do not exist, nothing of this is run.
do $grants$
declare
    role text;
    schema text;
    item record;
    relation regclass;
begin
    foreach schema in array array[
        'meta', 'scanner', 'bronze', 'silver', 'shadow', 'quality', 'refresher', 'wrds_sync', 'console']
    loop
        continue when to_regnamespace(schema) is null;
        for role in select rolname from pg_roles where rolname like 'penstock\_%' and rolname <> 'penstock_owner'
        loop
            execute format('revoke all on all tables in schema %I from %I', schema, role);
            execute format('revoke all on all sequences in schema %I from %I', schema, role);
            execute format('revoke all on schema %I from %I', schema, role);
        end loop;
    end loop;

    for item in
        select * from (values
            -- What the chassis does for every service. FOR UPDATE and FOR KEY SHARE need the right to update.
            ('penstock_service', 'select', 'meta.migrations'),
            ('penstock_service', 'select, insert, delete', 'meta.outbox'),
            ('penstock_service', 'usage', 'meta.outbox_id_seq'),
            ('penstock_service', 'select, insert, update', 'meta.consumer_positions'),
            ('penstock_service', 'select, insert, update', 'meta.leases'),
            ('penstock_service', 'select, insert, update, delete', 'meta.commands'),
            ('penstock_service', 'select, insert, update, delete', 'meta.runs'),
            ('penstock_service', 'select, insert, update, delete', 'meta.record_errors'),
            ('penstock_service', 'select, insert, update, delete', 'meta.dead_letters'),
            ('penstock_service', 'select, insert, update', 'meta.drifts'),
            ('penstock_service', 'select, insert, update', 'meta.schemas'),
            ('penstock_service', 'select, insert, update', 'meta.rate_budgets'),
            -- Update and delete of old entries only: the policies below.
            ('penstock_service', 'select, insert, update, delete', 'meta.audit'),

            ('penstock_scanner', 'select, insert, update, delete', 'scanner.*'),

            -- Bronze is append-only. Its partitions are made by a function that runs as the owner.
            ('penstock_ingestor', 'select, insert', 'bronze.raw_entities'),
            ('penstock_ingestor', 'usage', 'bronze.raw_entities_id_seq'),
            ('penstock_ingestor', 'select, insert, update', 'bronze.entities'),
            ('penstock_ingestor', 'select, insert, update', 'bronze.heads'),
            ('penstock_ingestor', 'select, insert, update, delete', 'bronze.enrichments'),

            ('penstock_transformer', 'select', 'bronze.raw_entities'),
            ('penstock_transformer', 'select', 'bronze.heads'),
            ('penstock_transformer', 'select, insert, update, delete', 'silver.*'),
            ('penstock_transformer', 'select, insert, update, delete', 'shadow.*'),
            ('penstock_transformer', 'select, insert, update, delete', 'quality.*'),
            ('penstock_transformer', 'select, insert, update, delete', 'meta.entity_xref'),
            ('penstock_transformer', 'select, insert, update, delete', 'meta.entity_keys'),
            ('penstock_transformer', 'select, insert, update, delete', 'meta.entity_references'),
            ('penstock_transformer', 'select, insert, update, delete', 'meta.refused_keys'),
            ('penstock_transformer', 'select, insert, update, delete', 'meta.proposed_links'),

            ('penstock_refresher', 'select, insert, update', 'refresher.plans'),
            ('penstock_refresher', 'select, insert, update', 'refresher.refreshes'),
            ('penstock_refresher', 'select, insert, update', 'refresher.databases'),
            ('penstock_refresher', 'usage', 'refresher.fence_seq'),
            ('penstock_refresher', 'select, insert, update, delete', 'refresher.table_states'),
            ('penstock_refresher', 'select, insert, update, delete', 'refresher.previews'),

            ('penstock_wrds_sync', 'select, insert, update, delete', 'wrds_sync.*'),

            -- The console reads everything, asks for the rest by command, and keeps its own users.
            ('penstock_console', 'select, insert, update, delete', 'console.*'),
            ('penstock_console', 'select', 'meta.*'),
            ('penstock_console', 'insert, delete', 'meta.outbox'),
            ('penstock_console', 'usage', 'meta.outbox_id_seq'),
            ('penstock_console', 'insert, update', 'meta.leases'),
            ('penstock_console', 'insert', 'meta.audit'),
            ('penstock_console', 'select', 'scanner.*'),
            ('penstock_console', 'select', 'bronze.*'),
            ('penstock_console', 'select', 'silver.*'),
            ('penstock_console', 'select', 'quality.*'),
            ('penstock_console', 'select', 'refresher.*'),
            ('penstock_console', 'select', 'wrds_sync.*'),

            ('penstock_operator', 'select', 'meta.*'),
            ('penstock_operator', 'select', 'scanner.*'),
            ('penstock_operator', 'select', 'bronze.*'),
            ('penstock_operator', 'select', 'silver.*'),
            -- A shadow is for who decides about it; neither the console nor reporting reads it.
            ('penstock_operator', 'select', 'shadow.*'),
            ('penstock_operator', 'select', 'quality.*'),
            ('penstock_operator', 'select', 'refresher.plans'),
            ('penstock_operator', 'select', 'refresher.refreshes'),
            ('penstock_operator', 'select', 'refresher.databases'),
            ('penstock_operator', 'select', 'refresher.table_states'),
            ('penstock_operator', 'select', 'wrds_sync.*'),
            ('penstock_operator', 'select', 'console.commands'),

            ('penstock_reporting', 'select', 'silver.*'),
            ('penstock_reporting', 'select', 'quality.*'),
            ('penstock_reporting', 'select', 'wrds_sync.*'),
            ('penstock_reporting', 'select', 'meta.ingestion_runs'),
            ('penstock_reporting', 'select', 'meta.sync_logs'),
            ('penstock_reporting', 'select', 'refresher.refreshes')
        ) as granted (role, privileges, target)
    loop
        schema := split_part(item.target, '.', 1);
        -- An image may hold some of the services only.
        continue when to_regnamespace(schema) is null;
        execute format('grant usage on schema %I to %I', schema, item.role);
        if item.target like '%.*' then
            execute format('grant %s on all tables in schema %I to %I', item.privileges, schema, item.role);
            continue;
        end if;
        relation := to_regclass(item.target);
        continue when relation is null;
        execute format(
            'grant %s on %s %s to %I', item.privileges,
            case when item.privileges = 'usage' then 'sequence' else '' end, relation, item.role);
    end loop;

    if to_regnamespace('bronze') is not null then
        grant execute on function bronze.create_partitions(integer) to penstock_ingestor;
    end if;

    -- An entry of the audit can neither be changed nor removed before it is a month old, whoever asks.
    if to_regclass('meta.audit') is not null and not exists (
        select from pg_policy where polrelid = to_regclass('meta.audit'))
    then
        alter table meta.audit enable row level security;
        create policy audit_read on meta.audit for select using (true);
        create policy audit_append on meta.audit for insert with check (true);
        -- Locks rows that are about to be trimmed; no row may come out of it.
        create policy audit_lock on meta.audit for update
        using (at < clock_timestamp() - interval '30 days') with check (false);
        create policy audit_trim on meta.audit for delete
        using (at < clock_timestamp() - interval '30 days');
    end if;
end
$grants$;
