-- What was rejected, so that people can list, read, replay and discard it (docs/decisions/0028).
create table meta.dead_letters (
    id uuid primary key,
    service text not null,
    consumer text not null,
    topic text not null,
    partition integer not null,
    "offset" bigint not null,
    fingerprint text not null,
    key bytea,
    value bytea,
    size bigint not null,
    is_cut boolean not null,
    original_headers jsonb not null,
    headers jsonb not null,
    category text not null,
    error_class text not null,
    message text not null,
    chain text not null,
    attempts integer not null,
    event_id text,
    drift_id uuid,
    replay_of uuid,
    replays integer not null,
    failed_at timestamptz not null,
    status text not null default 'open',
    decided_at timestamptz,
    decided_by text,
    decision_reason text,
    run_id uuid,
    constraint dead_letters_status_check check (status in ('open', 'replayed', 'discarded')),
    -- A log that is read again rejects the same records again; those of a re-created topic are others.
    constraint dead_letters_record_key unique (consumer, topic, partition, "offset", fingerprint)
);
comment on table meta.dead_letters is
    'Rejected messages, byte by byte; the same as in the topic <topic>.<consumer>.dead, with what was decided.';
comment on column meta.dead_letters.topic is 'Where the message came from, and where a replay sends it.';
comment on column meta.dead_letters.size is 'Bytes of the original''s value.';
comment on column meta.dead_letters.is_cut is
    'The original was larger than any topic takes and only its beginning is kept: it cannot be replayed.';
comment on column meta.dead_letters.original_headers is
    'All headers of the original: {"base64": [[name, value]]}; null where a header has no value.';
comment on column meta.dead_letters.headers is 'What can be read of them, and the reason (x-dlq-*).';
comment on column meta.dead_letters.replay_of is 'The letter whose replay failed again.';
comment on column meta.dead_letters.replays is 'How often the message had been replayed when it failed.';
comment on column meta.dead_letters.run_id is 'The run that replayed or discarded it.';
-- A relay that publishes a replay twice makes one letter of it, not two.
create unique index dead_letters_replay_of on meta.dead_letters (consumer, replay_of)
    where replay_of is not null;
create index dead_letters_open on meta.dead_letters (consumer, topic, partition, "offset")
    where status = 'open';
create index dead_letters_recent on meta.dead_letters (failed_at desc);
create index dead_letters_drift on meta.dead_letters (drift_id) where drift_id is not null;

-- A replay sends out what came in, which may have had no key or no value.
alter table meta.outbox alter column key drop not null, alter column value drop not null;
comment on column meta.outbox.headers is
    'Texts by name; or, to be sent byte by byte, {"base64": [[name, value]]}.';

-- For trimming.
create index commands_received on meta.commands (received_at);

create trigger dead_letters_announce
after insert or update or delete on meta.dead_letters
for each statement execute function meta.announce_change('dead-letters');
