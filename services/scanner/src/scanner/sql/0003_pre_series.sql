-- The last bars of every series that was read: what the overlap of the next poll is compared with.
create table scanner.series_tails (
    series text not null,
    item text collate "C" not null,
    bars jsonb not null,
    told_at timestamptz not null default clock_timestamp(),
    constraint series_tails_pkey primary key (series, item)
);
comment on table scanner.series_tails is
    'A bar that moved since then was re-based (a split): the item is read again as a whole.';
comment on column scanner.series_tails.series is 'The address that tells the series, without its query.';
comment on column scanner.series_tails.bars is 'Day to the values that count, in the order of the configuration.';
