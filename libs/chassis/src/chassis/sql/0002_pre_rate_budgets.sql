-- How many requests may still be sent with a credential, for all replicas of all services together.
create table meta.rate_budgets (
    credential text primary key,
    per_second double precision not null,
    burst double precision not null,
    tokens double precision not null,
    refilled_at timestamptz not null,
    constraint rate_budgets_rate_check check (per_second > 0 and burst >= 1)
);
comment on table meta.rate_budgets is
    'Token buckets. Below zero, tokens are reserved for requests that wait for their turn.';
comment on column meta.rate_budgets.credential is
    'What the credential is called in the configuration; never the credential itself.';
comment on column meta.rate_budgets.refilled_at is
    'In the future while an API has asked everybody to wait.';
