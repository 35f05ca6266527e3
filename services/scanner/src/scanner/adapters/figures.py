"""What alerts ask of sources, measured in the tables: every replica says the same."""

from collections.abc import Callable, Collection

from chassis.db import Database
from chassis.periodic import repeat
from scanner import metrics

MEASURE_SECONDS = 15.0

_FIGURES = """
select name as source,
       (select count(*) from scanner.held_deletions h where h.source = name) as held,
       coalesce(extract(epoch from greatest(
           (select finished_at from scanner.scans s
            where s.source = name and s.outcome = 'complete' order by started_at desc limit 1),
           (select finished_at from scanner.polls p
            where p.source = name and p.outcome = 'complete' order by started_at desc limit 1)
       )), 0)::float as complete_at
from unnest($1::text[]) as name
"""


class SourceFigures:
    """Measures how fresh each source is, and what the deletion guard holds back."""

    def __init__(self, database: Database, names: Callable[[], Collection[str]]) -> None:
        self._database = database
        self._names = names

    async def run(self) -> None:
        """Measure for as long as the process lives."""
        await repeat(self.measure, every_seconds=MEASURE_SECONDS, event="sources_not_measured")

    async def measure(self) -> None:
        """Measure every source once."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(_FIGURES, list(self._names()))
        for row in rows:
            metrics.begin_source(row["source"])
            metrics.HELD_DELETIONS.labels(row["source"]).set(row["held"])
            metrics.LAST_COMPLETE.labels(row["source"]).set(row["complete_at"])
