"""What waits in a service's tables, measured by every replica: outbox, queue, dead letters, drifts.

It is counted here and not where the work is done: whoever is stuck does not count either. Every
replica sees the same rows, so queries over these gauges take the maximum, never the sum.
"""

from collections.abc import Collection

from chassis import metrics
from chassis.db import Connection, Database
from chassis.periodic import repeat

MEASURE_SECONDS = 5.0

_MOST_ROWS = 100_000
"""Counting further would cost more than the figure is worth."""

_OUTBOX = """
select count(*) as pending,
       coalesce(extract(epoch from clock_timestamp() - min(created_at)), 0)::float as age
from (select created_at from meta.outbox where service = $1 order by id limit $2) as waiting
"""
_QUEUE = """
select kind, count(*) as queued,
       greatest(extract(epoch from clock_timestamp() - min(available_at)), 0)::float as age
from meta.runs where service = $1 and status = 'queued' group by kind
"""
_LETTERS = """
select topic, count(*) as open from meta.dead_letters
where service = $1 and status = 'open' group by topic
"""
_DRIFTS = "select count(*) from meta.drifts where service = $1 and status = 'waiting'"


class Backlog:
    """Measures one service's backlog."""

    def __init__(
        self,
        database: Database,
        *,
        kinds: Collection[str] = (),
        topics: Collection[str] = (),
    ) -> None:
        self._database = database
        self._service = database.service
        self._kinds = frozenset(kinds)
        """The kinds of runs that the service executes."""
        self._topics = set(topics)
        """What the service consumes, and whatever else has had dead letters."""
        metrics.begin_outbox(self._service)
        for kind in self._kinds:
            metrics.begin_runs(self._service, kind)

    async def run(self) -> None:
        """Measure for as long as the process lives."""
        await repeat(self.measure, every_seconds=MEASURE_SECONDS, event="backlog_not_measured")

    async def measure(self) -> None:
        """Measure everything once."""
        async with self._database.connection() as connection:
            await self._measure_outbox(connection)
            await self._measure_queue(connection)
            await self._measure_letters(connection)
            waiting = await connection.fetchval(_DRIFTS, self._service)
            metrics.WAITING_DRIFTS.labels(self._service).set(waiting)

    async def _measure_outbox(self, connection: Connection) -> None:
        row = await connection.fetchrow(_OUTBOX, self._service, _MOST_ROWS)
        assert row is not None  # noqa: S101 - aggregates always return a row
        metrics.OUTBOX_PENDING.labels(self._service).set(row["pending"])
        metrics.OUTBOX_OLDEST.labels(self._service).set(row["age"])

    async def _measure_queue(self, connection: Connection) -> None:
        rows = {row["kind"]: row for row in await connection.fetch(_QUEUE, self._service)}
        for kind in self._kinds:
            row = rows.get(kind)
            queued, age = (row["queued"], row["age"]) if row else (0, 0)
            metrics.RUNS_QUEUED.labels(self._service, kind).set(queued)
            metrics.RUNS_OLDEST_QUEUED.labels(self._service, kind).set(age)

    async def _measure_letters(self, connection: Connection) -> None:
        rows = await connection.fetch(_LETTERS, self._service)
        letters = {row["topic"]: row["open"] for row in rows}
        self._topics |= letters.keys()
        for topic in self._topics:
            metrics.OPEN_LETTERS.labels(self._service, topic).set(letters.get(topic, 0))
