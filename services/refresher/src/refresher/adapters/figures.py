"""What alerts ask of refreshes, measured in the tables: every replica says the same."""

from collections.abc import Collection

from chassis.db import Database
from chassis.periodic import repeat
from refresher import metrics

MEASURE_SECONDS = 15.0

_WAITING = """
select count(*) as waiting,
       coalesce(extract(epoch from clock_timestamp() - min(created_at)), 0)::float as age
from refresher.plans where status = 'waiting'
"""
_REFRESHED = """
select key, coalesce(extract(epoch from (
    select finished_at from refresher.refreshes r
    where r.table_key = key and r.undone_at is null order by finished_at desc limit 1
)), 0)::float as refreshed_at
from unnest($1::text[]) as key
"""


class RefreshFigures:
    """Measures the plans that wait for a person, and how fresh each table is."""

    def __init__(self, database: Database, tables: Collection[str]) -> None:
        self._database = database
        self._tables = list(tables)

    async def run(self) -> None:
        """Measure for as long as the process lives."""
        await repeat(self.measure, every_seconds=MEASURE_SECONDS, event="refreshes_not_measured")

    async def measure(self) -> None:
        """Measure everything once."""
        async with self._database.connection() as connection:
            waiting = await connection.fetchrow(_WAITING)
            tables = await connection.fetch(_REFRESHED, self._tables)
        assert waiting is not None  # noqa: S101 - aggregates always return a row
        metrics.PLANS_WAITING.set(waiting["waiting"])
        metrics.PLANS_OLDEST.set(waiting["age"])
        for row in tables:
            metrics.REFRESHED_AT.labels(row["key"]).set(row["refreshed_at"])
