from collections.abc import Sequence

import pytest

from chassis import failpoints
from chassis.errors import UnavailableError
from scanner.domain.records import Full, Since
from tests.integration.scanner.record_harness import RecordHarness


@pytest.fixture
def timed(records: RecordHarness) -> RecordHarness:
    """A source with times of the last change."""
    records.scan = {"detection": {"by": "timestamp", "overlap_seconds": 60}}
    source = records.scripted
    source.since = True

    def changed_since(cursor: str) -> Sequence[str]:
        return [name for name, row in source.rows.items() if row["at"] >= cursor]

    source.changed_since = changed_since
    return records


@pytest.mark.covers("S2-15", "S2-16")
async def test_the_first_poll_reads_everything_and_the_next_what_changed_since(
    timed: RecordHarness,
) -> None:
    timed.tell(
        a={"at": "2026-03-01T10:00:00.000000Z"},
        b={"at": "2026-03-01T11:00:00.000000Z"},
    )
    timed.scripted.high_water = "2026-03-01T11:00:00.000000Z"
    await timed.poll()
    timed.scripted.rows["c"] = {"id": "c", "at": "2026-03-01T11:30:00.000000Z"}
    timed.scripted.high_water = "2026-03-01T11:30:00.000000Z"
    timed.clock.advance(60)
    outcome = await timed.poll()
    assert outcome.changes == [("upserted", "c")]
    assert timed.scripted.requests == [Full(), Since("2026-03-01T10:59:00.000000Z")]
    assert outcome.counts.processed == 2


@pytest.mark.covers("C-11")
async def test_what_changed_while_a_poll_was_reading_is_read_by_the_next(
    timed: RecordHarness,
) -> None:
    timed.tell(a={"at": "2026-03-01T11:00:00.000000Z", "v": 1})
    timed.scripted.high_water = "2026-03-01T11:00:00.000000Z"

    def change(_: int) -> None:
        # Committed while the page travels; our clock is far ahead of the source's.
        timed.scripted.rows["b"] = {"id": "b", "at": "2026-03-01T11:00:01.000000Z"}

    timed.scripted.before_page = change
    await timed.poll()
    timed.clock.advance(7200)
    assert (await timed.poll()).changes == [("upserted", "b")]


@pytest.mark.covers("C-11")
async def test_a_poll_that_failed_moves_no_mark(timed: RecordHarness) -> None:
    timed.tell(a={"at": "2026-03-01T11:00:00.000000Z"})
    timed.scripted.high_water = "2026-03-01T11:00:00.000000Z"
    await timed.poll()

    def cut(_: int) -> None:
        raise UnavailableError("cut")

    timed.scripted.before_page = cut
    timed.scripted.high_water = "2026-03-01T12:00:00.000000Z"
    with pytest.raises(UnavailableError):
        await timed.poll()
    (row,) = await timed.fetch("select mark from scanner.high_waters")
    assert row["mark"] == "2026-03-01T11:00:00.000000Z"


async def test_a_gap_moves_no_mark(timed: RecordHarness) -> None:
    timed.tell(a={"at": "2026-03-01T11:00:00.000000Z"})
    timed.scripted.high_water = "2026-03-01T11:00:00.000000Z"
    timed.scripted.gap = "the server stopped at its limit"
    await timed.poll()
    assert await timed.fetch("select 1 from scanner.high_waters") == []


async def test_a_full_poll_comes_round_and_can_be_asked_for(timed: RecordHarness) -> None:
    timed.tell(a={"at": "2026-03-01T11:00:00.000000Z"})
    timed.scripted.high_water = "2026-03-01T11:00:00.000000Z"
    await timed.poll()
    timed.clock.advance(3600)
    await timed.poll()
    timed.clock.advance(3600)
    await timed.poll("full")
    timed.clock.advance(86400)
    await timed.poll()
    timed.clock.advance(86400)
    await timed.poll("fast")
    kinds = [type(request).__name__ for request in timed.scripted.requests]
    assert kinds == ["Full", "Since", "Full", "Full", "Since"]


async def test_polls_of_changes_delete_nothing(timed: RecordHarness) -> None:
    timed.tell(
        a={"at": "2026-03-01T10:00:00.000000Z"},
        b={"at": "2026-03-01T11:00:00.000000Z"},
    )
    timed.scripted.high_water = "2026-03-01T11:00:00.000000Z"
    await timed.poll()
    del timed.scripted.rows["a"]
    for _ in range(4):
        timed.clock.advance(3600)
        assert (await timed.poll()).changes == []


async def test_whole_numbers_are_cursors_too(timed: RecordHarness) -> None:
    timed.scan = {"detection": {"by": "timestamp", "cursor": "integer", "overlap_count": 10}}
    timed.tell(a={"at": "5"})
    timed.scripted.high_water = "105"
    await timed.poll()
    timed.clock.advance(60)
    await timed.poll()
    assert timed.scripted.requests[-1] == Since("95")


class Killed(BaseException):
    """Stands for a process that ends at once."""


async def test_a_poll_that_is_killed_loses_and_doubles_nothing(
    records: RecordHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    records.tell(**{f"r{number}": {"n": number} for number in range(8)})
    batches = 0

    async def die(_: str) -> None:
        nonlocal batches
        batches += 1
        if batches == 2:
            raise Killed

    async def live(_: str) -> None:
        return None

    monkeypatch.setattr(failpoints, "reach", die)
    with pytest.raises(Killed):
        await records.poll()
    before = await records.take_events()
    monkeypatch.setattr(failpoints, "reach", live)
    after = (await records.poll()).events
    told = sorted(event.data.external_id for event in (*before, *after))
    assert told == sorted(records.scripted.rows)
    assert len(before) == 4


async def test_many_records_that_are_due_are_read_again_a_part_at_a_time(
    timed: RecordHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scanner.handlers.poll.DUE_AT_ONCE", 2)
    timed.scripted.by_id = True
    timed.scripted.high_water = "2026-03-01T11:00:00.000000Z"
    timed.tell(**{f"r{number}": {"at": "2026-03-01T01:00:00.000000Z"} for number in range(5)})
    await timed.poll()
    timed.clock.advance(3601)
    await timed.repeater().run(["staff"])
    told: list[list[str]] = []
    for _ in range(4):
        timed.clock.advance(60)
        told.append([external_id for _, external_id in (await timed.poll("fast")).changes])
    assert told == [["r0", "r1"], ["r2", "r3"], ["r4"], []]
