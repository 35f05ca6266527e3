"""Changed schemas of records and files on a real database: noted, held back, decided, replayed."""

import asyncio
import itertools
import json
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from chassis.bus.applier import Applier
from chassis.bus.codec import encode_event
from chassis.bus.raw_headers import as_sent
from chassis.bus.records import Record
from chassis.clock import SystemClock
from chassis.db import Database
from chassis.dead_letters.replay import replay_jobs
from chassis.drift import Drift, decision_handler, report
from chassis.runs import RunWorker
from chassis.testing.blobs import MemoryBlobs
from contracts.drifts import FieldChange, FieldEffect
from contracts.envelope import Event
from contracts.files import FileChange
from contracts.records import RecordChange, RecordChanged
from contracts.topics import RECORD_CHANGED, SCHEMA_DECISION_REQUESTED
from ingestor.adapters.postgres_catalog import PostgresCatalog
from ingestor.adapters.postgres_enrichments import PostgresEnrichments
from ingestor.handlers.admission import Admission, Declared
from ingestor.handlers.decisions import accept
from ingestor.handlers.ingest_records import IngestRecords
from ingestor.settings import RecordSection
from tests.integration.ingestor.ingestion import MOMENT, Ingestion, open_ingestion
from tests.support.batches import bare, batch_of

ADA = {"FirstName": "Ada", "Age": 36, "Address": {"City": "London"}}
OBJECT = {"FirstName": {"given": "Ada"}, "Age": 36}
"""What was a text has become an object."""


async def no_wait(_: float) -> None:
    return


def affected(_: object, fields: Iterable[str]) -> list[str]:
    return [f"users.{name.lower()}" for name in fields]


async def replayed(
    database: Database, topic: str
) -> list[tuple[bytes, Sequence[tuple[str, bytes | None]]]]:
    """Execute the runs that wait; return what they send, and send it nowhere."""
    worker = RunWorker(database, replay_jobs(SystemClock(), sleep=no_wait), clock=SystemClock())
    while await worker.step():
        pass
    async with database.connection() as connection:
        sent = await connection.fetch(
            "delete from meta.outbox where topic = $1 returning value, headers", topic
        )
    return [(row["value"], as_sent(row["headers"])) for row in sent]


@dataclass(slots=True)
class Rig:
    """The handler of records and that of decisions; Kafka's part is played by the test."""

    database: Database
    declared: Declared = field(default_factory=Declared)
    judges: bool = True
    offsets: Any = field(default_factory=itertools.count)
    sequences: Any = field(default_factory=lambda: itertools.count(1))
    _applier: Applier | None = None

    @property
    def applier(self) -> Applier:
        if self._applier is None:
            self._applier = self.restarted()
        return self._applier

    def restarted(self) -> Applier:
        """Return a handler that remembers nothing: another replica, or the same one later."""
        schemas = Admission(self.database, {"tdx": self.declared}, affected=affected)
        ingest = IngestRecords(
            {"tdx": RecordSection("tdx")},
            catalog=PostgresCatalog(self.database),
            enrichments=PostgresEnrichments(self.database),
            blobs=MemoryBlobs(),
            schemas=schemas if self.judges else None,
        )
        return Applier(
            RECORD_CHANGED,
            ingest,
            consumer="ingestor",
            database=self.database,
            clock=SystemClock(),
            sleep=no_wait,
        )

    def message(self, external_id: str, record: Mapping[str, Any]) -> Record:
        number = next(self.sequences)
        event: Event[RecordChanged] = Event(
            id=f"event-{number}",
            type=RECORD_CHANGED.name,
            source="/scanner",
            time=MOMENT,
            sequence=number,
            data=RecordChanged(
                change=RecordChange.UPSERTED,
                source="tdx",
                entity_type="user",
                external_id=external_id,
                content_hash="a" * 64,
                record=dict(record),
                scan_id="scan-1",
            ),
        )
        value, headers = encode_event(event)
        return self.as_record(value, [(name, text.encode()) for name, text in headers.items()])

    def as_record(self, value: bytes, headers: Iterable[tuple[str, bytes | None]]) -> Record:
        number = next(self.offsets)
        kept = tuple((name, text) for name, text in headers if text is not None)
        return Record("record.changed", 0, number, b"k", value, kept, 1_767_323_045_000)

    async def tell(self, records: Mapping[str, Mapping[str, Any]]) -> None:
        """Have a batch of records applied."""
        await self.applier.drive([self.message(name, record) for name, record in records.items()])

    async def decide(self, **body: Any) -> list[str]:
        """Send a decision as any Kafka client would; return why it was refused, if it was."""
        batch = batch_of(
            self.database, [bare(SCHEMA_DECISION_REQUESTED, body, offset=next(self.offsets))]
        )
        await decision_handler(accept, service="ingestor", clock=SystemClock())(batch)
        return [str(error) for _, error in batch.rejected.values()]

    async def replay(self) -> int:
        """Execute the runs that wait, and hand what they send to the handler; return how many."""
        sent = await replayed(self.database, "record.changed")
        await self.applier.drive([self.as_record(value, kept) for value, kept in sent])
        return len(sent)

    async def rows(self, query: str, *args: Any) -> list[tuple[Any, ...]]:
        async with self.database.connection() as connection:
            return [tuple(row) for row in await connection.fetch(query, *args)]

    async def stored(self) -> list[str]:
        found = await self.rows("select external_id from bronze.heads order by 1")
        return [name for (name,) in found]

    async def held(self) -> list[str]:
        """Return the records that dead letters of a drift hold, while they do."""
        found = await self.rows(
            "select value from meta.dead_letters where status = 'open' and drift_id is not null "
            'order by "offset"'
        )
        return [json.loads(value)["data"]["external_id"] for (value,) in found]

    async def drift(self) -> dict[str, Any]:
        async with self.database.connection() as connection:
            (row,) = await connection.fetch("select * from meta.drifts")
        return dict(row)


@pytest.fixture
def rig(database: Database) -> Rig:
    return Rig(database)


async def test_a_new_field_is_noted_once_and_its_records_go_on(rig: Rig) -> None:
    await rig.tell({"u1": ADA})
    await rig.tell({f"v{number}": ADA | {"Email": "a@example.org"} for number in range(3)})
    rig._applier = rig.restarted()
    await rig.tell({"w1": ADA | {"Email": None}, "w2": ADA | {"Email": "b@example.org"}})

    drift = await rig.drift()
    assert (drift["service"], drift["dataset"]) == ("ingestor", "tdx.user")
    assert (drift["kind"], drift["status"]) == ("additive", "noted")
    assert drift["changes"] == [{"field": "Email", "effect": "added", "old": None, "new": "string"}]
    assert drift["affected"] == ["users.email"]
    assert drift["sample"] == {"external_id": "v0", "values": {"Email": '"a@example.org"'}}
    assert await rig.stored() == ["u1", "v0", "v1", "v2", "w1", "w2"]
    versions = await rig.rows("select version, status from meta.schemas order by 1")
    assert versions == [(1, "learnt"), (2, "extended")]
    announced = await rig.rows(
        "select convert_from(value, 'utf8')::jsonb -> 'data' from meta.outbox "
        "where topic = 'schema.drifted'"
    )
    assert [item["drift_id"] for (item,) in announced] == [str(drift["id"])]
    [refusal] = await rig.decide(drift_id=str(drift["id"]), decision="reject")
    assert refusal == (
        f"schema drift {drift['id']} of tdx.user only adds fields: it was accepted when it was "
        "seen, and there is nothing to decide"
    )


async def test_only_what_breaks_is_held_back_and_acceptance_replays_only_that(rig: Rig) -> None:
    await rig.tell({"u1": ADA, "u2": ADA})
    await rig.tell({"bad1": OBJECT, "u3": ADA, "bad2": OBJECT, "u4": ADA, "nul": {"x": "\0"}})
    assert await rig.stored() == ["u1", "u2", "u3", "u4"]
    assert await rig.held() == ["bad1", "bad2"]
    drift = await rig.drift()
    assert drift["status"] == "waiting"
    assert [item["field"] for item in drift["changes"] if item["effect"] == "retyped"] == [
        "FirstName"
    ]

    refused = await rig.decide(
        drift_id=str(drift["id"]), decision="accept", requester="ops", reason="they nest it now"
    )
    assert refused == []
    assert await rig.replay() == 2
    assert await rig.stored() == ["bad1", "bad2", "u1", "u2", "u3", "u4"]
    assert await rig.held() == []
    # Both forms are known now, here and in a replica that has slept through all of it.
    rig._applier = rig.restarted()
    await rig.tell({"later": OBJECT, "as-before": ADA})
    assert {"later", "as-before"} <= set(await rig.stored())

    drift = await rig.drift()
    assert (drift["status"], drift["decided_by"], drift["reason"]) == (
        "accepted",
        "ops",
        "they nest it now",
    )
    ((columns, status),) = await rig.rows(
        "select columns ->> 'FirstName', status from meta.schemas order by version desc limit 1"
    )
    assert (columns, status) == ("object|string", "accepted")
    # The letter that was here for another reason was left alone.
    letters = await rig.rows("select status, drift_id is null from meta.dead_letters order by 1")
    assert letters == [("open", True), ("replayed", False), ("replayed", False)]
    assert await rig.rows("select action, actor, subject from meta.audit order by id") == [
        ("schema.decision-requested", "ops", str(drift["id"])),
        ("dead-letters.replay", "ops", "record.changed.ingestor.dead"),
    ]


async def test_without_judgement_the_same_records_pass(database: Database) -> None:
    rig = Rig(database, judges=False)
    await rig.tell({"u1": ADA})
    await rig.tell({"bad1": OBJECT})
    assert await rig.stored() == ["bad1", "u1"]
    assert await rig.rows("select * from meta.drifts") == []


async def test_what_was_rejected_stays_and_is_not_asked_about_again(rig: Rig) -> None:
    await rig.tell({"u1": ADA})
    await rig.tell({"bad1": OBJECT})
    drift_id = str((await rig.drift())["id"])
    assert (
        await rig.decide(
            drift_id=drift_id, decision="reject", requester="ops", reason="a bug of theirs"
        )
        == []
    )
    await rig.tell({"bad2": OBJECT})

    assert await rig.replay() == 0
    assert await rig.held() == ["bad1", "bad2"]
    assert (await rig.drift())["status"] == "rejected"
    [refusal] = await rig.decide(drift_id=drift_id, decision="accept")
    assert refusal == (
        f"schema drift {drift_id} of tdx.user was rejected by ops: a bug of theirs; to accept it "
        "after all, say `reconsider`"
    )
    assert await rig.decide(drift_id=drift_id, decision="accept", reconsider=True) == []
    assert await rig.replay() == 2
    assert await rig.stored() == ["bad1", "bad2", "u1"]


async def test_a_decision_counts_once(rig: Rig) -> None:
    await rig.tell({"u1": ADA})
    await rig.tell({"bad1": OBJECT})
    drift_id = str((await rig.drift())["id"])
    for _ in range(2):
        assert await rig.decide(command_id="c1", drift_id=drift_id, decision="accept") == []
    assert await rig.decide(command_id="c2", drift_id=drift_id, decision="accept") == []
    [refusal] = await rig.decide(command_id="c3", drift_id=drift_id, decision="reject")
    assert "was accepted by anonymous" in refusal
    nobody = str(uuid.UUID(int=7))
    assert await rig.decide(drift_id=nobody, decision="accept") == [
        f"there is no schema drift {nobody}"
    ]
    assert await rig.rows("select command_id, outcome from meta.commands order by 1") == [
        ("c1", "accepted"),
        ("c2", "accepted before"),
    ]
    assert await rig.rows("select count(*) from meta.runs") == [(1,)]


async def test_replicas_that_learn_at_once_lose_nothing_of_it(rig: Rig) -> None:
    await rig.tell({"u1": ADA})
    replicas = [rig.restarted() for _ in range(3)]
    async with asyncio.TaskGroup() as group:
        for partition, replica in enumerate(replicas):
            found = rig.message(f"v{partition}", ADA | {f"Field{partition}": "x"})
            group.create_task(replica.drive([found._replace(partition=partition)]))

    assert await rig.stored() == ["u1", "v0", "v1", "v2"]
    ((columns, version),) = await rig.rows(
        "select columns, version from meta.schemas order by version desc limit 1"
    )
    assert {"Field0", "Field1", "Field2"} <= columns.keys()
    assert version == 4
    assert await rig.rows("select count(*) from meta.drifts") == [(3,)]


async def test_two_services_may_call_their_data_sets_alike(rig: Rig) -> None:
    change = FieldChange("FirstName", FieldEffect.RETYPED, "string", "object")
    other = Drift(
        service="wrds_sync",
        dataset="tdx.user",
        version=1,
        old={"FirstName": "string"},
        new={"FirstName": "object"},
        changes=(change,),
    )
    async with rig.database.transaction() as transaction:
        await report(transaction, other)
    await rig.tell({"u1": ADA})
    await rig.tell({"bad1": OBJECT})

    assert await rig.decide(drift_id=other.drift_id, decision="accept") == []
    assert await rig.rows("select service, status from meta.drifts order by 1") == [
        ("ingestor", "waiting"),
        ("wrds_sync", "waiting"),
    ]
    assert await rig.held() == ["bad1"]


async def test_a_declared_field_that_vanished_is_held_back(database: Database) -> None:
    rig = Rig(database, Declared({"Age": "integer"}, ("Age",)))
    await rig.tell({"u1": ADA, "lacks": {"FirstName": "Ada"}, "null": ADA | {"Age": None}})
    assert (await rig.stored(), await rig.held()) == (["null", "u1"], ["lacks"])
    drift = await rig.drift()
    assert await rig.decide(drift_id=str(drift["id"]), decision="accept") == []
    assert await rig.replay() == 1
    await rig.tell({"lacks-too": {"FirstName": "Bob"}})
    assert await rig.stored() == ["lacks", "lacks-too", "null", "u1"]


CALL = (
    "<transcript id='1'><title>Q1 2024</title>{more}<body><speaker id='1'><p>Hello.</p></speaker>"
    "</body></transcript>"
)


async def test_a_renamed_root_is_drift_and_junk_at_first_sight_is_not(ingestion: Ingestion) -> None:
    ingestion.put("junk.xml", b"<html/>")
    ingestion.put("a.xml", CALL.format(more="").encode())
    ingestion.put("b.xml", CALL.format(more="<mood tone='calm'/>").encode())
    ingestion.put("c.xml", b"<call><body/></call>")
    await ingestion.tell(FileChange.ADDED, "junk.xml")
    await ingestion.tell(FileChange.ADDED, "a.xml")
    await ingestion.tell(FileChange.ADDED, "b.xml", "c.xml")

    noted, waiting = await ingestion.rows(
        "select kind, status, changes, sample, id from meta.drifts order by kind"
    )
    assert noted[:2] == ("additive", "noted")
    assert sorted(item["field"] for item in noted[2]) == ["mood", "mood@tone"]
    assert waiting[:2] == ("breaking", "waiting")
    assert [(item["field"], item["effect"]) for item in waiting[2]] == [("transcript", "removed")]
    assert waiting[3] == {"path": "c.xml", "names": ["body", "call"]}
    letters = await ingestion.rows(
        "select convert_from(value, 'utf8')::jsonb -> 'data' ->> 'path', drift_id, category, "
        "message like '%the bytes are kept as raw/%' from meta.dead_letters order by 1"
    )
    assert letters == [
        ("c.xml", waiting[4], "content_parse", True),
        ("junk.xml", None, "content_parse", True),
    ]


async def test_a_required_element_that_vanished_holds_the_file_back(
    environment: dict[str, str], tmp_path: Path, database: Database
) -> None:
    async with open_ingestion(
        environment, tmp_path, database, schema={"required": ["title"]}
    ) as ingestion:
        ingestion.put("a.xml", CALL.format(more="").encode())
        ingestion.put("b.xml", b"<transcript id='2'><headline/><body/></transcript>")
        await ingestion.tell(FileChange.ADDED, "a.xml")
        await ingestion.tell(FileChange.ADDED, "b.xml")
        assert await ingestion.rows("select external_id from bronze.heads") == [("a.xml",)]
        ((changes,),) = await ingestion.rows("select changes from meta.drifts")
        assert [(item["field"], item["effect"]) for item in changes] == [
            ("title", "removed"),
            ("headline", "added"),
        ]
        rig = Rig(database)
        ((drift_id,),) = await ingestion.rows("select id::text from meta.drifts")
        assert await rig.decide(drift_id=drift_id, decision="accept") == []
        [(value, kept)] = await replayed(database, "file.changed")
        record = rig.as_record(value, kept)._replace(topic="file.changed", offset=100)
        await ingestion.applier.drive([record])
        assert await rig.stored() == ["a.xml", "b.xml"]
