-- The roles of the hub's database. Run once by an administrator, connected to that database:
--     psql --no-psqlrc --set ON_ERROR_STOP=1 --file deploy/postgres/roles.sql "$ADMINISTRATOR_URL"
-- Running it again changes nothing that is right already. It sets no passwords: a role cannot log on before it has one
-- (`\password penstock_scanner`, or the operator that keeps the Secrets).
-- What each role may do with which table stands in cli/src/penstock/sql/grants.sql; `penstock migrate`, run as the
-- owner, lays it after the migrations. See docs/operations/security.md.

do $roles$
declare
    role record;
begin
    for role in
        select * from (values
            -- Makes and owns everything; for `penstock migrate` only. No service logs on as it.
            ('penstock_owner', true, 5),
            -- What all services share; nobody logs on as it.
            ('penstock_service', false, -1),
            -- A pool of 15 connections a replica.
            ('penstock_scanner', true, 60),
            ('penstock_ingestor', true, 100),
            ('penstock_transformer', true, 100),
            ('penstock_refresher', true, 40),
            ('penstock_wrds_sync', true, 40),
            ('penstock_console', true, 40),
            -- The `penstock` command: looks at everything but people's secrets, changes nothing.
            ('penstock_operator', true, 20),
            -- Analysts and dashboards: results, never raw input.
            ('penstock_reporting', true, 20)
        ) as wanted (name, may_log_on, connections)
    loop
        if not exists (select from pg_roles where rolname = role.name) then
            execute format('create role %I', role.name);
        end if;
        execute format(
            'alter role %I with %s nosuperuser nocreatedb nocreaterole noreplication nobypassrls connection limit %s',
            role.name, case when role.may_log_on then 'login' else 'nologin' end, role.connections);
    end loop;
end
$roles$;

grant penstock_service to
    penstock_scanner, penstock_ingestor, penstock_transformer, penstock_refresher, penstock_wrds_sync;

-- Nobody gets anything by being somebody.
revoke all on schema public from public;
do $database$
declare
    name constant text := current_database();
    role text;
begin
    execute format('revoke all on database %I from public', name);
    execute format('alter database %I owner to penstock_owner', name);
    execute format(
        'grant connect on database %I to penstock_service, penstock_console, penstock_operator, penstock_reporting', name);
    -- Staging tables of a batch; they cannot outlive the session.
    execute format('grant temporary on database %I to penstock_transformer', name);

    foreach role in array array[
        'penstock_scanner', 'penstock_ingestor', 'penstock_transformer', 'penstock_refresher', 'penstock_wrds_sync',
        'penstock_console', 'penstock_operator', 'penstock_reporting']
    loop
        -- Every statement names its schema; a table that somebody planted elsewhere is never meant.
        execute format('alter role %I in database %I set search_path = %L', role, name, '');
        execute format('alter role %I in database %I set statement_timeout = %L', role, name, '10min');
        execute format('alter role %I in database %I set lock_timeout = %L', role, name, '30s');
        execute format(
            'alter role %I in database %I set idle_in_transaction_session_timeout = %L', role, name, '60s');
    end loop;
    foreach role in array array['penstock_operator', 'penstock_reporting']
    loop
        -- A seat belt, which the session can undo; the barrier is that they are granted nothing but SELECT.
        execute format('alter role %I in database %I set default_transaction_read_only = on', role, name);
        execute format('alter role %I in database %I set statement_timeout = %L', role, name, '60s');
    end loop;
end
$database$;

-- A hub that ran with one user before: what that user owned becomes the owner's.
do $owner$
declare
    item record;
begin
    for item in
        select format('alter schema %I owner to penstock_owner', n.nspname) as statement
        from pg_namespace n
        where n.nspname in (
            'meta', 'scanner', 'bronze', 'silver', 'shadow', 'quality', 'refresher', 'wrds_sync', 'console')
          and n.nspowner <> 'penstock_owner'::regrole
        union all
        select format('alter %s %I.%I owner to penstock_owner',
                      case c.relkind when 'v' then 'view' when 'S' then 'sequence' else 'table' end,
                      n.nspname, c.relname)
        from pg_class c join pg_namespace n on n.oid = c.relnamespace
        where n.nspname in (
            'meta', 'scanner', 'bronze', 'silver', 'shadow', 'quality', 'refresher', 'wrds_sync', 'console')
          and c.relowner <> 'penstock_owner'::regrole
          and (c.relkind in ('r', 'p', 'v')
               -- A sequence that belongs to a column follows its table.
               or c.relkind = 'S' and not exists (
                   select from pg_depend d
                   where d.objid = c.oid and d.classid = 'pg_class'::regclass and d.deptype in ('a', 'i')))
        union all
        select format('alter function %s owner to penstock_owner', p.oid::regprocedure)
        from pg_proc p join pg_namespace n on n.oid = p.pronamespace
        where n.nspname in (
            'meta', 'scanner', 'bronze', 'silver', 'shadow', 'quality', 'refresher', 'wrds_sync', 'console')
          and p.proowner <> 'penstock_owner'::regrole
    loop
        execute item.statement;
    end loop;
end
$owner$;
