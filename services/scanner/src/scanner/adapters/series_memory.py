"""`SeriesMemory` in PostgreSQL."""

from collections.abc import Mapping, Sequence

from chassis.db import Database
from scanner.domain.series import Tail

_RECALL = "select item, bars from scanner.series_tails where series = $1 and item = any($2::text[])"

_REMEMBER = """
insert into scanner.series_tails as known (series, item, bars)
select $1, told.item, told.bars from unnest($2::text[], $3::jsonb[]) as told (item, bars)
on conflict (series, item) do update set bars = excluded.bars, told_at = clock_timestamp()
where known.bars is distinct from excluded.bars
"""


class PostgresSeriesMemory:
    """Remembers in `scanner.series_tails`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def recall(self, series: str, items: Sequence[str]) -> Mapping[str, Tail]:
        """Return what was told of these items; one that was never told is left out."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(_RECALL, series, list(items))
        return {row["item"]: row["bars"] for row in rows}

    async def remember(self, series: str, tails: Mapping[str, Tail]) -> None:
        """Replace what is remembered of these items."""
        if not tails:
            return
        async with self._database.connection() as connection:
            await connection.execute(_REMEMBER, series, list(tails), list(tails.values()))
