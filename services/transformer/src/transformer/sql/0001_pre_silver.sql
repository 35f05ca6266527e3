-- The silver layer: merged records, what they were made of, and how good they are.
create schema if not exists silver;
create schema if not exists quality;

-- Byte order ("C") everywhere: locks are taken in the order in which Python sorts.
create table silver.heads (
    entity_type text not null,
    entity_id text collate "C" not null,
    status text not null default 'retired',
    version integer not null default 0,
    content_hash text,
    state_hash text,
    data_quality_score numeric(3, 2),
    quality_flags text[] not null default '{}',
    ruleset_version integer,
    bronze_versions bigint not null default 0,
    updated_at timestamptz,
    primary key (entity_type, entity_id),
    constraint heads_status_check check (status in ('live', 'retired', 'rejected'))
);
comment on table silver.heads is
    'Every entity the transformer has seen, retired ones included; its row is locked while it is recomputed.';
comment on column silver.heads.version is
    'Counts the states that readers have seen; goes on after a retirement.';
comment on column silver.heads.bronze_versions is
    'Sum of the bronze versions that were looked at; a difference to bronze.heads means that an event is still to come.';
comment on column silver.heads.updated_at is
    'When bronze stored the newest of those versions.';

create table silver.transcripts (
    entity_id text collate "C" primary key,
    ticker text,
    company text,
    institution_name text,
    institution_type text,
    title text,
    call_date date,
    fiscal_quarter integer,
    fiscal_year integer,
    is_earnings_call boolean,
    transcript_type text,
    transcript_id text,
    event_id text,
    version_id text,
    companies text[],
    participant_count integer,
    section_count integer,
    turn_count integer,
    question_count integer,
    answer_count integer,
    word_count integer,
    version_count integer not null,
    version_ids text[] not null,
    data_quality_score numeric(3, 2) not null,
    quality_flags text[] not null,
    version integer not null,
    content_hash text not null,
    ruleset_version integer not null,
    updated_at timestamptz not null
);
comment on table silver.transcripts is 'One row per call, told by its best document.';
comment on column silver.transcripts.version_ids is
    'External ids (paths) of the live bronze records, strongest first.';
comment on column silver.transcripts.version is
    'Counts the states of the row. The one column that a replay of bronze into an empty silver numbers anew.';
comment on column silver.transcripts.updated_at is
    'When bronze stored the newest version of any of its records; not when the row was computed.';
create index transcripts_ticker on silver.transcripts (ticker, call_date);
create index transcripts_call_date on silver.transcripts (call_date);

create table silver.transcript_turns (
    entity_id text collate "C" not null references silver.transcripts on delete cascade,
    turn_number integer not null,
    section text,
    kind text,
    speaker_id text,
    speaker_name text,
    speaker_type text,
    speaker_affiliation text,
    speaker_title text,
    text text,
    word_count integer,
    primary key (entity_id, turn_number)
);
comment on table silver.transcript_turns is 'Who said what, in order; kind is question, answer or null.';

create table silver.transcripts_history (
    like silver.transcripts,
    operation text not null,
    valid_from timestamptz not null,
    valid_to timestamptz,
    known_from timestamptz not null default clock_timestamp(),
    primary key (entity_id, version),
    constraint transcripts_history_operation_check check (operation in ('upserted', 'retired', 'rejected'))
);
alter table silver.transcripts_history
    alter column version_count drop not null,
    alter column version_ids drop not null,
    alter column data_quality_score drop not null,
    alter column quality_flags drop not null,
    alter column content_hash drop not null,
    alter column ruleset_version drop not null,
    alter column updated_at drop not null;
comment on table silver.transcripts_history is
    'Every state of every row: true from valid_from to valid_to by bronze''s clock, known here since known_from.';

create table silver.provenance (
    entity_type text not null,
    entity_id text collate "C" not null,
    field text not null,
    rule text not null,
    source text,
    source_system text,
    external_id text,
    bronze_version integer,
    losers jsonb not null,
    primary key (entity_type, entity_id, field)
);
comment on table silver.provenance is
    'For every value in silver: the record that won it, the ones that lost, and the rule.';

create table quality.history (
    entity_type text not null,
    entity_id text collate "C" not null,
    version integer not null,
    ruleset_version integer not null,
    data_quality_score numeric(3, 2) not null,
    quality_flags text[] not null,
    valid_from timestamptz not null,
    known_from timestamptz not null default clock_timestamp(),
    primary key (entity_type, entity_id, version, ruleset_version)
);
comment on table quality.history is 'A row each time an entity''s score, flags or rules changed.';

create function silver.digest(relation regclass, ignored text[] default '{version}')
returns text
language plpgsql
stable
set timezone to 'UTC'
as $$
declare
    result text;
begin
    execute format(
        'select encode(sha256(convert_to(coalesce(string_agg(line, '''' order by line collate "C"), ''''), ''UTF8'')), ''hex'') '
        'from (select encode(sha256(convert_to((to_jsonb(t) - $1)::text, ''UTF8'')), ''hex'') as line from %s t) lines',
        relation)
    into result using ignored;
    return result;
end
$$;
comment on function silver.digest is
    'Fingerprint of a silver table without the columns that a replay may number anew: equal bronze, equal rules, equal digest.';
