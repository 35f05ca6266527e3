"""What the hub shows: counted in its tables, its topics and its object store."""

import contextlib
import json
from collections import Counter
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal

import asyncpg

from chassis.blobs.open import open_blobs
from chassis.blobs.port import BlobStore
from chassis.bus.records import Record
from chassis.settings import BlobSettings, DatabaseSettings, KafkaSettings
from contracts import dead_letters as header
from contracts.topics import FILE_CHANGED, topic_specs
from penstock.demo.figures import Latency
from penstock.demo.ledger import Figures, Quality
from penstock.demo.records import RecordFigures, count_records, disputed_values
from penstock.messages import TopicReader, reading

_COUNTS = """
select
    (select count(*) from scanner.inventory where is_present) as files,
    (select count(*) from scanner.held_deletions) as held,
    (select count(*) from bronze.raw_entities
     where entity_type = 'transcript' and operation = 'stored') as versions,
    (select count(*) from bronze.raw_entities
     where entity_type = 'transcript' and operation = 'tombstoned') as tombstones,
    (select count(*) from silver.transcripts) as calls,
    (select count(*) from silver.transcript_turns) as turns,
    (select coalesce(sum(word_count), 0) from silver.transcript_turns) as words,
    (select count(*) from silver.heads
     where entity_type = 'transcript' and status = 'retired') as retired,
    (select coalesce(array_agg(data_quality_score order by data_quality_score), '{}')
     from silver.transcripts) as scores
"""
_FLAGS = """
select flag, count(*) as rows from silver.transcripts, unnest(quality_flags) as flag group by flag
"""
_STATES = """
select r.event_id, r.external_id as path, r.operation,
       (select min(h.known_from) from silver.transcripts_history h
        where h.entity_id = r.entity_id and h.known_from > r.ingested_at) as in_silver_at
from bronze.raw_entities r
where r.entity_type = 'transcript'
order by r.id
"""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A file that the hub refused."""

    topic: str
    path: str
    category: str
    reason: str


@dataclass(slots=True)
class Traffic:
    """What has passed on the bus so far; an event that was published twice counts once."""

    changes: dict[str, str] = field(default_factory=dict)
    """What each event of `file.changed` says, by its id."""

    announced_at: dict[str, datetime] = field(default_factory=dict)
    paths: dict[str, str] = field(default_factory=dict)
    dead: dict[str, DeadLetter] = field(default_factory=dict)
    """By the id of the event that was refused."""

    def take(self, record: Record) -> None:
        """Take note of a message."""
        if record.topic == FILE_CHANGED.name:
            self._take_change(record)
        else:
            self._take_dead_letter(record)

    def _take_change(self, record: Record) -> None:
        event = json.loads(record.value or b"{}")
        self.changes[event["id"]] = event["data"]["change"]
        self.paths[event["id"]] = event["data"]["path"]
        self.announced_at[event["id"]] = datetime.fromisoformat(event["time"])

    def _take_dead_letter(self, record: Record) -> None:
        event = json.loads(record.value or b"{}")
        place = f"{record.topic}/{record.partition}/{record.offset}"
        self.dead[record.header(header.EVENT_ID) or place] = DeadLetter(
            topic=record.topic,
            path=event.get("data", {}).get("path", "?"),
            category=record.header(header.CATEGORY) or "?",
            reason=record.header(header.MESSAGE) or "?",
        )


@dataclass(frozen=True, slots=True)
class Latencies:
    """From a file to its silver row, over all files that were laid or edited."""

    from_share: Latency | None
    """Counted from the moment the file lay on the share, complete."""

    from_event: Latency | None
    """Counted from the time in the event that announced it."""


class Observer:
    """Looks at a running hub and disturbs nothing."""

    def __init__(
        self,
        connection: "asyncpg.Connection[asyncpg.Record]",
        reader: TopicReader,
        blobs: BlobStore,
    ) -> None:
        self._connection = connection
        self._reader = reader
        self._blobs = blobs
        self.traffic = Traffic()

    async def figures(self) -> Figures:
        """Return everything that is counted, as it is now."""
        for record in await self._reader.read():
            self.traffic.take(record)
        changes = Counter(self.traffic.changes.values())
        row = await self._connection.fetchrow(_COUNTS, timeout=30)
        flags = await self._connection.fetch(_FLAGS, timeout=30)
        assert row is not None  # noqa: S101 - a query of counts has one row
        counts = {name: value for name, value in row.items() if name != "scores"}
        figures = Figures(
            **counts,
            added=changes["added"],
            modified=changes["modified"],
            deleted=changes["deleted"],
            quality=Quality(
                tuple(Decimal(score) for score in row["scores"]),
                {item["flag"]: item["rows"] for item in flags},
            ),
            refused=tuple(sorted(letter.path for letter in self.traffic.dead.values())),
        )
        return replace(figures, blobs=len(await self._blobs.list_keys("raw/")))

    async def records(self) -> RecordFigures:
        """Return what is counted of records, as it is now."""
        return await count_records(self._connection)

    async def disputes(self) -> list[str]:
        """Return sentences about values on which the sources disagree."""
        return await disputed_values(self._connection)

    async def missing_blobs(self, keys: frozenset[str]) -> frozenset[str]:
        """Return which of these the object store lacks."""
        return keys - set(await self._blobs.list_keys("raw/"))

    async def latencies(self, laid_at: Mapping[str, list[datetime]]) -> Latencies:
        """Measure how long the laid and edited files took.

        Args:
            laid_at: When each file was written, as often as it was, by path.
        """
        rows = await self._connection.fetch(_STATES, timeout=30)
        since_share: list[float] = []
        since_event: list[float] = []
        for row in rows:
            if row["operation"] != "stored" or row["in_silver_at"] is None:
                continue
            announced = self.traffic.announced_at[row["event_id"]]
            written = max(moment for moment in laid_at[row["path"]] if moment <= announced)
            since_share.append((row["in_silver_at"] - written).total_seconds())
            since_event.append((row["in_silver_at"] - announced).total_seconds())
        return Latencies(Latency.of(since_share), Latency.of(since_event))


@contextlib.asynccontextmanager
async def observing(env: Mapping[str, str]) -> AsyncGenerator[Observer]:
    """Open an observer of the hub that `env` leads to."""
    kafka = KafkaSettings.model_validate(_only(env, "KAFKA_BOOTSTRAP_SERVERS"))
    url = DatabaseSettings.model_validate(_only(env, "DATABASE_URL")).url.get_secret_value()
    names = {info.alias for info in BlobSettings.model_fields.values() if info.alias}
    blobs = open_blobs(BlobSettings.model_validate(_only(env, *names)))
    topics = [FILE_CHANGED.name]
    topics += [spec.name for spec in topic_specs() if spec.name.endswith(".dead")]
    connection = await asyncpg.connect(url, timeout=30)
    try:
        async with reading(kafka, topics) as reader:
            yield Observer(connection, reader, blobs)
    finally:
        await connection.close(timeout=10)
        await blobs.close()


def _only(env: Mapping[str, str], *names: str) -> dict[str, str]:
    return {name: env[name] for name in names if name in env}
