"""Polls on a real database, of a source that a test scripts, with a clock that a test holds."""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from chassis.blobs.port import BlobStore
from contracts.envelope import Event
from contracts.records import RecordChanged
from contracts.runs import RunCounts
from contracts.topics import RECORD_CHANGED
from scanner.adapters.missing import PostgresMissing
from scanner.adapters.record_announcements import PostgresRecordAnnouncements
from scanner.adapters.record_inventory import PostgresRecordInventory
from scanner.adapters.record_polls import PostgresPolls
from scanner.adapters.scans import PostgresAuditTrail
from scanner.handlers.answers import RepeatAnnouncements
from scanner.handlers.poll import PollPorts, PollSource
from scanner.handlers.record_announcer import RecordAnnouncer
from scanner.handlers.record_answers import RecordsAgain
from scanner.handlers.record_catalog import RecordCatalog, RecordSourceEntry
from scanner.ports import Answer
from scanner.ports.records import RecordList, RecordSource, RepeatedRecord
from scanner.settings.records import RecordSections
from tests.integration.scanner.harness import Runs
from tests.support.clocks import HandClock
from tests.support.record_sources import ScriptedSource

SOURCE = "staff"


@dataclass(slots=True)
class Outcome:
    """What one poll did."""

    counts: RunCounts
    events: list[Event[RecordChanged]]

    @property
    def changes(self) -> list[tuple[str, str]]:
        return sorted((event.data.change.value, event.data.external_id) for event in self.events)


@dataclass(slots=True)
class RecordHarness(Runs):
    """One record source, ready to be polled."""

    target = SOURCE
    topic = RECORD_CHANGED

    clock: HandClock = field(default_factory=HandClock)
    source: RecordSource = field(default_factory=ScriptedSource)
    scan: dict[str, Any] = field(default_factory=dict)
    batch_size: int = 1000
    max_records: int = 0
    blobs: BlobStore | None = None
    written: RecordList | None = None
    is_guarded: bool = True

    @property
    def scripted(self) -> ScriptedSource:
        assert isinstance(self.source, ScriptedSource)
        return self.source

    def tell(self, **rows: dict[str, Any]) -> None:
        """Have the source tell these records, and no others."""
        self.scripted.rows = {name: {"id": name, **row} for name, row in rows.items()}

    def entry(self) -> RecordSourceEntry:
        sections = RecordSections.model_validate(
            {
                "records": {"kind": "sql", "url": "env:UNUSED", "query": "select 1"},
                "scan": {"entity_type": "user", "id": ["id"], **self.scan},
            }
        )
        return RecordSourceEntry(
            SOURCE, sections.records, sections.scan, self.batch_size, self.max_records
        )

    def job(self) -> PollSource:
        database = self.database
        ports = PollPorts(
            inventory=PostgresRecordInventory(database),
            missing=PostgresMissing.records(database),
            polls=PostgresPolls(database, "scanner"),
            audit=PostgresAuditTrail("scanner"),
            announcer=RecordAnnouncer(self.blobs),
            clock=self.clock,
            open_list=lambda _: self.written,
        )
        catalog = RecordCatalog({SOURCE: self.entry()})
        return PollSource(catalog, lambda _: self.source, ports, is_guarded=self.is_guarded)

    async def poll(
        self, mode: str = "auto", *, releases: bool = False, dry_run: bool = False
    ) -> Outcome:
        """Run one poll to its end, and take the events it published."""
        parameters = {"mode": mode, "release_held_deletions": releases}
        async with self.claimed(parameters, dry_run=dry_run) as context:
            counts = await self.job()(context)
        return Outcome(counts, await self.take_events())

    async def polls(self, times: int) -> Outcome:
        """Poll so often, an hour apart; return the last."""
        outcome = await self.poll()
        for _ in range(times - 1):
            self.clock.advance(3600)
            outcome = await self.poll()
        return outcome

    async def answer(self, *event_ids: str) -> int:
        """Answer announcements, as bronze does."""
        answers = [Answer(SOURCE, "any", event_id, is_tombstone=False) for event_id in event_ids]
        async with self.database.transaction() as transaction:
            return await PostgresRecordAnnouncements(self.database).answer(
                transaction, answers, now=self.clock.now()
            )

    async def states(self) -> dict[str, str]:
        rows = await self.fetch("select external_id, state from scanner.records order by 1")
        return {row["external_id"]: row["state"] for row in rows}

    async def last_poll(self) -> dict[str, Any]:
        rows = await self.fetch("select * from scanner.polls order by started_at desc limit 1")
        return rows[0]

    def repeater(
        self, *, after_seconds: float = 3600, limit: int = 3
    ) -> RepeatAnnouncements[RepeatedRecord]:
        return RepeatAnnouncements(
            self.database,
            PostgresRecordAnnouncements(self.database),
            RecordsAgain(lambda _: "user"),
            clock=self.clock,
            after=timedelta(seconds=after_seconds),
            limit=limit,
        )
