-- Who looks at the hub is told that something changed, not what: they read it again.
create function meta.announce_change() returns trigger
language plpgsql
as $$
begin
    -- Equal notifications of one transaction are sent once.
    perform pg_notify('penstock_changes', tg_argv[0]);
    return null;
end
$$;
comment on function meta.announce_change() is
    'For statement-level triggers: execute function meta.announce_change(''runs''); the argument says what changed.';

-- Not for heartbeats: they change nothing that anybody looks at.
create trigger runs_announce
after insert or update of status, counts, total, message, cancel_requested on meta.runs
for each statement execute function meta.announce_change('runs');

create index runs_recent on meta.runs (queued_at desc, run_id desc);
