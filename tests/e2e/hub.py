"""A hub of the test's own: a stack, the three services as processes, and ways to look at them."""

import contextlib
import json
import shutil
from collections import Counter
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import yaml
from aiokafka import AIOKafkaConsumer, TopicPartition

from chassis.blobs.open import open_blobs
from chassis.bus.records import Record
from chassis.migrations import migrate
from chassis.settings import BlobSettings, KafkaSettings
from contracts import dead_letters as header
from penstock.messages import reading
from penstock.processes import ServiceProcesses
from penstock.stack import RunningStack
from tests.support.eventually import eventually
from tests.support.paths import PROJECT

SOURCE = "transcripts"
SILVER_COLUMNS = (
    "entity_id, ticker, company, institution_type, title, call_date, fiscal_quarter, "
    "is_earnings_call, transcript_type, participant_count, section_count, turn_count, word_count, "
    "version_count"
)
_FLOW = (
    ("scanner", (("ingestor", "file.changed"),)),
    ("ingestor", (("transformer", "bronze.stored"), ("scanner", "bronze.stored"))),
    ("transformer", ()),
)
"""Whose outbox must be empty, and who must then have read what it held."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A dead letter."""

    topic: str
    path: str
    category: str
    error_class: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """What stood in the hub once nothing was on its way any more."""

    changes: dict[tuple[str, str], int]
    """How many events of `file.changed` there were, by path and change."""

    heads: dict[str, dict[str, Any]]
    """Rows of `bronze.heads`, by path."""

    versions: int
    """Rows of `bronze.raw_entities`."""

    silver: list[dict[str, Any]]
    turns: dict[str, int]
    """How many speaker turns each call has."""

    turns_digest: str
    retired: list[str]
    quality: dict[str, tuple[str, set[str]]]
    """Score and flags, by call."""

    blobs: set[str]
    dead_letters: set[Refusal]
    record_errors: set[str]
    """Paths in `meta.record_errors`."""

    runs: dict[str, int]
    """How many runs ended how."""


class Hub:
    """The hub as a test sees it."""

    def __init__(
        self,
        env: Mapping[str, str],
        services: ServiceProcesses,
        connection: "asyncpg.Connection[asyncpg.Record]",
    ) -> None:
        self.env = env
        self.services = services
        self._db = connection
        self._share = Path(env["PENSTOCK_SHARE_PATH"])

    # --- the share
    def put(self, files: Mapping[str, bytes]) -> None:
        """Write files as a careful writer does: elsewhere first, then under their names."""
        drafts = []
        for path, data in files.items():
            target = self._share / path
            target.parent.mkdir(parents=True, exist_ok=True)
            draft = target.with_name(f".{target.name}.part")
            draft.write_bytes(data)
            drafts.append((draft, target))
        for draft, target in drafts:
            draft.replace(target)

    def remove(self, *paths: str) -> None:
        for path in paths:
            (self._share / path).unlink()

    # --- waiting
    async def until_quiet(self) -> None:
        """Return once everything that is on the share now has had all its effects.

        Asked in the order in which changes flow: what an earlier place has let go cannot come back.
        """
        now = await self._db.fetchval("select clock_timestamp()")
        await eventually(lambda: self._is_scanned_since(now), timeout=90)
        for producer, readers in _FLOW:
            await eventually(lambda name=producer: self._has_sent_all(name), timeout=60)  # type: ignore[misc]
            for consumer, topic in readers:
                await eventually(
                    lambda consumer=consumer, topic=topic: self._has_read_all(consumer, topic),  # type: ignore[misc]
                    timeout=60,
                )

    async def _is_scanned_since(self, moment: object) -> bool:
        """Whether a complete scan began since, and nothing that it saw is pending."""
        done = await self._db.fetchval(
            "select exists (select 1 from scanner.scans where started_at > $1 "
            "and outcome = 'complete' and mode = 'full')",
            moment,
        )
        pending = await self._db.fetchval(
            "select count(*) from scanner.inventory where is_present "
            "and (settling_since is not null or missing_since is not null)"
        )
        return bool(done) and pending == 0

    async def _has_sent_all(self, service: str) -> bool:
        waiting = await self._db.fetchval(
            "select count(*) from meta.outbox where service = $1", service
        )
        return int(waiting) == 0

    async def _has_read_all(self, consumer: str, topic: str) -> bool:
        stored = {
            row["partition"]: row["next_offset"]
            for row in await self._db.fetch(
                "select partition, next_offset from meta.consumer_positions "
                "where consumer = $1 and topic = $2",
                consumer,
                topic,
            )
        }
        ends = await self._end_offsets(topic)
        return all(stored.get(partition, 0) == end for partition, end in ends.items())

    async def _end_offsets(self, topic: str) -> dict[int, int]:
        consumer = AIOKafkaConsumer(bootstrap_servers=self.env["KAFKA_BOOTSTRAP_SERVERS"])
        async with consumer:
            partitions = [TopicPartition(topic, number) for number in range(6)]
            ends = await consumer.end_offsets(partitions)
        return {partition.partition: end for partition, end in ends.items()}

    # --- looking
    async def snapshot(self) -> Snapshot:
        changes, refusals = await self._traffic()
        heads = await self._db.fetch("select * from bronze.heads")
        silver = await self._db.fetch(
            f"select {SILVER_COLUMNS} from silver.transcripts order by entity_id"
        )
        quality = await self._db.fetch(
            "select entity_id, data_quality_score, quality_flags from silver.transcripts"
        )
        return Snapshot(
            changes=changes,
            heads={row["external_id"]: dict(row) for row in heads},
            versions=await self._db.fetchval("select count(*) from bronze.raw_entities"),
            silver=[dict(row) for row in silver],
            turns=await self._counts("entity_id", "silver.transcript_turns"),
            turns_digest=await self._db.fetchval("select silver.digest('silver.transcript_turns')"),
            retired=sorted(
                await self._counts("entity_id", "silver.heads where status = 'retired'")
            ),
            quality={
                row["entity_id"]: (str(row["data_quality_score"]), set(row["quality_flags"]))
                for row in quality
            },
            blobs=await self._blobs(),
            dead_letters=refusals,
            record_errors=set(await self._counts("external_id", "meta.record_errors")),
            runs=await self._counts("status", "meta.runs"),
        )

    async def _counts(self, column: str, table: str) -> dict[str, int]:
        """Return how many rows there are of each value."""
        rows = await self._db.fetch(f"select {column}, count(*) as rows from {table} group by 1")
        return {row[column]: row["rows"] for row in rows}

    async def _traffic(self) -> tuple[dict[tuple[str, str], int], set[Refusal]]:
        """Return the events of `file.changed`, each counted once, and the dead letters."""
        changes: dict[str, tuple[str, str]] = {}
        refusals: set[Refusal] = set()
        for record in await self._read_topics("file.changed", "file.changed.ingestor.dead"):
            event = json.loads(record.value or b"")
            if record.topic == "file.changed":
                changes[event["id"]] = (event["data"]["path"], event["data"]["change"])
            else:
                refusals.add(_refusal(record, event["data"]["path"]))
        return dict(Counter(changes.values())), refusals

    async def last_command(self) -> dict[str, Any]:
        """Return the latest command that a person gave, with the run that it led to."""
        row = await self._db.fetchrow(
            "select c.reason, c.requester, r.status, r.counts from meta.commands c "
            "join meta.runs r using (run_id) order by c.received_at desc limit 1"
        )
        assert row is not None
        return dict(row) | {"counts": json.loads(row["counts"])}

    async def _read_topics(self, *topics: str) -> list[Record]:
        settings = KafkaSettings.model_validate(
            {"KAFKA_BOOTSTRAP_SERVERS": self.env["KAFKA_BOOTSTRAP_SERVERS"]}
        )
        async with reading(settings, topics) as reader:
            return await reader.read_to_end()

    async def _blobs(self) -> set[str]:
        names = {info.alias for info in BlobSettings.model_fields.values() if info.alias}
        settings = {name: value for name, value in self.env.items() if name in names}
        store = open_blobs(BlobSettings.model_validate(settings))
        try:
            return set(await store.list_keys("raw/"))
        finally:
            await store.close()


@contextlib.asynccontextmanager
async def running_hub(stack: RunningStack, institutions: Mapping[str, Any]) -> AsyncGenerator[Hub]:
    """Start the services on a migrated database."""
    folder = stack.stack.settings.state_dir
    config = write_config(folder / "config", institutions)
    env = dict(stack.env) | {"PENSTOCK_CONFIG_DIRECTORY": str(config)}
    await migrate(env["DATABASE_URL"])
    connection = await asyncpg.connect(env["DATABASE_URL"])
    try:
        async with ServiceProcesses(env, folder / "logs") as services:
            await services.start()
            yield Hub(env, services, connection)
    finally:
        await connection.close()


def write_config(folder: Path, institutions: Mapping[str, Any]) -> Path:
    shutil.copytree(PROJECT / "config" / "entities", folder / "entities")
    monitored = {"monitored_institutions": dict(institutions)}
    (folder / "institutions.yaml").write_text(
        yaml.safe_dump(monitored, allow_unicode=True), "utf-8"
    )
    source = {
        "name": SOURCE,
        "share": {"kind": "smb"},
        "scan": {
            "paths": ["Data", "InvalidTitle"],
            "layout": ["year", "quarter", "type", "company"],
            "interval_seconds": 1,
            "full_interval_seconds": 1,
            "settle_seconds": 5,
            "institutions_file": "institutions.yaml",
            "deletions": {"confirm_after_seconds": 1},
        },
        "ingest": {"entity_type": "transcript", "parser": "transcript_xml"},
    }
    (folder / "sources.yaml").write_text(yaml.safe_dump({"version": 1, "sources": [source]}))
    return folder


def _refusal(record: Record, path: str) -> Refusal:
    return Refusal(
        topic=record.topic,
        path=path,
        category=record.header(header.CATEGORY) or "",
        error_class=record.header(header.ERROR_CLASS) or "",
    )
