import hashlib
import json
from typing import Any

import pytest

from chassis.errors import PermanentError, UnavailableError
from chassis.testing.blobs import MemoryBlobs
from contracts.errors import ErrorCategory
from scanner.domain.records import ItemFailure
from scanner.errors import ScanRequestError
from tests.integration.scanner.record_harness import SOURCE, RecordHarness


@pytest.mark.covers("S2-10", "S2-14", "C-12")
async def test_new_changed_and_unchanged_records_are_told_apart(records: RecordHarness) -> None:
    records.tell(a={"name": "Ann"}, b={"name": "Bob"}, c={"name": "Cy"})
    first = await records.poll()
    assert first.changes == [("upserted", "a"), ("upserted", "b"), ("upserted", "c")]
    assert (first.counts.new, first.counts.changed, first.counts.unchanged) == (3, 0, 0)
    records.tell(a={"name": "Ann"}, b={"name": "Robert"}, c={"name": "Cy"}, d={"name": "Di"})
    second = await records.poll()
    assert second.changes == [("upserted", "b"), ("upserted", "d")]
    assert second.counts.model_dump() == {
        "processed": 4,
        "new": 1,
        "changed": 1,
        "unchanged": 2,
        "deleted": 0,
        "failed": 0,
        "quarantined": 0,
    }


@pytest.mark.covers("S2-11")
async def test_an_event_carries_the_record_and_the_hash_of_its_significant_fields(
    records: RecordHarness,
) -> None:
    records.scan = {"significant": ["name", "id"]}
    records.tell(a={"name": "Änne", "seen": 1})
    (event,) = (await records.poll()).events
    assert event.data.record == {"id": "a", "name": "Änne", "seen": 1}
    expected = hashlib.sha256('{"id":"a","name":"Änne"}'.encode()).hexdigest()
    assert event.data.content_hash == expected
    assert (event.data.source, event.data.entity_type) == (SOURCE, "user")


@pytest.mark.covers("S2-12")
async def test_a_volatile_field_changes_nothing(records: RecordHarness) -> None:
    records.scan = {"volatile": ["lastAccessedAt"]}
    records.tell(a={"name": "Ann", "lastAccessedAt": "08:00"})
    await records.poll()
    records.tell(a={"name": "Ann", "lastAccessedAt": "09:00"})
    assert (await records.poll()).changes == []


@pytest.mark.covers("C-13")
async def test_another_list_of_fields_is_no_change_of_every_record(records: RecordHarness) -> None:
    records.tell(a={"name": "Ann", "room": 1}, b={"name": "Bob", "room": 2})
    await records.poll()
    records.scan = {"significant": ["name"]}
    records.tell(a={"name": "Ann", "room": 1}, b={"name": "Rob", "room": 2})
    outcome = await records.poll()
    assert outcome.changes == [("upserted", "b")]
    assert outcome.events[0].data.hash_spec_version == 2
    rows = await records.fetch("select distinct hash_spec_version from scanner.records")
    assert [row["hash_spec_version"] for row in rows] == [2]
    records.tell(a={"name": "Ann", "room": 9}, b={"name": "Rob", "room": 9})
    assert (await records.poll()).changes == []
    records.scan = {}
    assert (await records.poll()).changes == []
    versions = await records.fetch("select version from scanner.hash_specs order by version")
    assert [row["version"] for row in versions] == [1, 2]


@pytest.mark.covers("S2-28")
async def test_one_bad_record_does_not_stop_the_poll(records: RecordHarness) -> None:
    records.tell(a={"name": "Ann"}, b={"name": "Bob"})
    records.scripted.extra = ({"name": "nobody"}, {"id": "z", "name": "Zoe"})
    outcome = await records.poll()
    assert outcome.changes == [("upserted", "a"), ("upserted", "b"), ("upserted", "z")]
    assert (outcome.counts.processed, outcome.counts.failed) == (4, 1)
    (error,) = await records.fetch("select * from meta.record_errors")
    assert (error["source"], error["category"]) == (SOURCE, "content_validation")
    assert "`id`" in error["message"]
    assert (await records.last_poll())["outcome"] == "incomplete"


async def test_a_record_that_the_source_cannot_give_is_read_again_by_name(
    records: RecordHarness,
) -> None:
    records.scan = {"detection": {"by": "timestamp"}}
    source = records.scripted
    source.since = source.by_id = True
    source.high_water = "2026-03-01T11:00:00Z"
    records.tell(a={"name": "Ann"}, b={"name": "Bob"})
    source.failures = (ItemFailure("b", ErrorCategory.CONTENT_PARSE, "Broken", "not JSON"),)
    held = source.rows.pop("b")
    assert (await records.poll()).changes == [("upserted", "a")]
    source.rows["b"], source.failures = held, ()
    records.clock.advance(60)
    outcome = await records.poll()
    assert outcome.changes == [("upserted", "b")]
    records.clock.advance(60)
    await records.poll()
    assert await records.fetch("select * from scanner.due_records") == []


async def test_two_different_records_of_one_identity_are_reported_and_do_not_alternate(
    records: RecordHarness,
) -> None:
    records.tell(a={"name": "Ann"}, b={"name": "Bob"}, c={"name": "Cy"})
    records.scripted.extra = ({"id": "a", "name": "Other"},)
    first = await records.poll()
    assert [event.data.record for event in first.events if event.data.external_id == "a"] == [
        {"id": "a", "name": "Ann"}
    ]
    assert first.counts.failed == 1
    second = await records.poll()
    assert second.changes == []
    assert second.counts.failed == 1


async def test_a_dry_run_counts_and_writes_nothing(records: RecordHarness) -> None:
    records.tell(a={"name": "Ann"}, b={"name": "Bob"})
    outcome = await records.poll(dry_run=True)
    assert (outcome.counts.new, outcome.events) == (2, [])
    for table in ("records", "polls", "poll_seen", "hash_specs"):
        assert await records.fetch(f"select 1 from scanner.{table}") == []


@pytest.mark.covers("S2-33")
async def test_a_limited_poll_reads_so_many_and_concludes_no_deletion(
    records: RecordHarness,
) -> None:
    records.tell(**{name: {} for name in "abcde"})
    await records.poll()
    records.max_records = 3
    for _ in range(4):
        records.clock.advance(3600)
        outcome = await records.poll()
        assert (outcome.counts.processed, outcome.changes) == (3, [])


async def test_an_answer_ends_the_lease_of_an_announcement(records: RecordHarness) -> None:
    records.tell(a={}, b={})
    events = (await records.poll()).events
    assert await records.states() == {"a": "announced", "b": "announced"}
    await records.answer(events[0].id)
    assert sorted((await records.states()).values()) == ["announced", "ingested"]


@pytest.mark.covers("C-02")
async def test_an_unanswered_record_is_announced_again_a_bounded_number_of_times(
    records: RecordHarness,
) -> None:
    records.tell(a={"name": "Ann"})
    await records.poll()
    repeated: list[Any] = []
    for _ in range(6):
        records.clock.advance(3601)
        await records.repeater(limit=2).run([SOURCE])
        repeated += (await records.poll()).changes
    assert repeated == [("upserted", "a")] * 2


async def test_a_source_that_hangs_is_an_outage(records: RecordHarness) -> None:
    records.scan = {"timeout_seconds": 0.05}
    records.scripted.hangs = True
    with pytest.raises(UnavailableError, match="no page within"):
        await records.poll()
    assert records.scripted.closed == 1


@pytest.mark.covers("S2-29")
async def test_a_refused_log_on_ends_the_run_and_concludes_nothing(records: RecordHarness) -> None:
    records.tell(**{name: {} for name in "abc"})
    await records.poll()

    def refuse(_: int) -> None:
        raise PermanentError("refused")

    records.scripted.before_page = refuse
    for _ in range(3):
        records.clock.advance(3600)
        with pytest.raises(PermanentError, match="refused"):
            await records.poll()
    assert await records.take_events() == []
    assert await records.fetch("select 1 from scanner.records where missing_mark is not null") == []


async def test_a_large_record_travels_through_the_object_store(records: RecordHarness) -> None:
    blobs = MemoryBlobs()
    records.blobs = blobs
    records.tell(a={"text": "x" * 70_000}, b={"text": "x"})
    large, small = (await records.poll()).events
    assert (small.data.blob_key, large.data.record) == (None, None)
    assert large.data.blob_key is not None
    stored = blobs.objects[large.data.blob_key]
    assert json.loads(stored) == {"id": "a", "text": "x" * 70_000}


async def test_a_large_record_without_an_object_store_is_a_failure_of_its_own(
    records: RecordHarness,
) -> None:
    records.tell(a={"text": "x" * 70_000}, b={"text": "x"})
    outcome = await records.poll()
    assert (outcome.changes, outcome.counts.failed) == ([("upserted", "b")], 1)
    (error,) = await records.fetch("select * from meta.record_errors")
    assert (error["external_id"], error["category"]) == ("a", "message_too_large")


async def test_what_json_cannot_carry_is_a_failure_of_its_own(records: RecordHarness) -> None:
    records.tell(a={"name": "\ud800"}, b={"name": "Bob"})
    outcome = await records.poll()
    assert (outcome.changes, outcome.counts.failed) == ([("upserted", "b")], 1)


async def test_a_folder_of_records_is_nonsense(records: RecordHarness) -> None:
    async with records.claimed({"prefix": "Data"}) as context:
        with pytest.raises(ScanRequestError, match="not folders"):
            await records.job()(context)
