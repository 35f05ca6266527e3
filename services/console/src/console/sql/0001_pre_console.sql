-- Who may use the console, who does at present, and what they asked for.
create schema if not exists console;

create table console.users (
    user_id uuid primary key default gen_random_uuid(),
    name text not null,
    origin text not null,
    subject text,
    password_hash text,
    must_change_password boolean not null default false,
    role text not null,
    is_active boolean not null default true,
    created_at timestamptz not null default clock_timestamp(),
    last_login_at timestamptz,
    constraint users_name_key unique (name),
    constraint users_subject_key unique (subject),
    constraint users_origin_check check (origin in ('local', 'file', 'oidc')),
    constraint users_role_check check (role in ('viewer', 'operator', 'approver', 'admin'))
);
comment on column console.users.subject is
    'Issuer and subject of an identity provider; a name alone proves nothing there.';

create table console.sessions (
    token_hash bytea primary key,
    user_id uuid not null references console.users on delete cascade,
    created_at timestamptz not null default clock_timestamp(),
    last_seen_at timestamptz not null default clock_timestamp(),
    address text not null default '',
    agent text not null default ''
);
comment on column console.sessions.token_hash is
    'SHA-256 of the cookie: whoever reads the table cannot take over a session.';
create index sessions_user on console.sessions (user_id);
create index sessions_created on console.sessions (created_at);

create table console.api_tokens (
    token_id uuid primary key default gen_random_uuid(),
    token_hash bytea not null,
    user_id uuid not null references console.users on delete cascade,
    label text not null,
    role text not null,
    created_at timestamptz not null default clock_timestamp(),
    expires_at timestamptz not null,
    last_used_at timestamptz,
    revoked_at timestamptz,
    constraint api_tokens_hash_key unique (token_hash),
    constraint api_tokens_role_check check (role in ('viewer', 'operator', 'approver', 'admin'))
);
create index api_tokens_user on console.api_tokens (user_id);

-- In the database, so that replicas count together.
create table console.login_attempts (
    id bigint generated always as identity primary key,
    name text not null,
    address text not null,
    at timestamptz not null default clock_timestamp()
);
create index login_attempts_name on console.login_attempts (name, at);
create index login_attempts_address on console.login_attempts (address, at);
create index login_attempts_at on console.login_attempts (at);

create table console.oidc_logins (
    state_hash bytea primary key,
    nonce text not null,
    verifier text not null,
    next text not null,
    created_at timestamptz not null default clock_timestamp()
);
comment on table console.oidc_logins is 'Log-ons that are at the identity provider at present; each is used once.';

create table console.commands (
    command_id text primary key,
    topic text not null,
    target text not null,
    actor text not null,
    sent_at timestamptz not null default clock_timestamp()
);
create index commands_sent on console.commands (sent_at);
comment on table console.commands is
    'What was asked for here; meta.commands and meta.runs tell what came of it.';
