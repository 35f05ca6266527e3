import pytest

from chassis.errors import UnavailableError
from contracts.errors import ErrorCategory
from scanner.domain.records import ItemFailure
from tests.integration.scanner.record_harness import SOURCE, RecordHarness

TWENTY = {f"r{number:02d}": {"n": number} for number in range(20)}


async def known(records: RecordHarness) -> None:
    """Have the twenty records known, and two of them gone."""
    records.tell(**TWENTY)
    await records.poll()
    for name in ("r03", "r07"):
        del records.scripted.rows[name]
    records.clock.advance(3600)


async def test_a_record_is_deleted_when_two_complete_polls_lacked_it(
    records: RecordHarness,
) -> None:
    await known(records)
    assert (await records.poll()).changes == []
    records.clock.advance(3600)
    outcome = await records.poll()
    assert outcome.changes == [("deleted", "r03"), ("deleted", "r07")]
    assert outcome.counts.deleted == 2
    (event, _) = outcome.events
    assert (event.data.record, event.data.content_hash) == (None, None)
    await records.answer(*(event.id for event in outcome.events))
    assert (await records.states())["r03"] == "retired"


async def test_a_record_that_comes_back_is_new_again(records: RecordHarness) -> None:
    await known(records)
    await records.polls(2)
    records.tell(**TWENTY)
    records.clock.advance(3600)
    assert (await records.poll()).changes == [("upserted", "r03"), ("upserted", "r07")]


async def test_a_record_that_is_missed_once_and_comes_back_was_never_gone(
    records: RecordHarness,
) -> None:
    await known(records)
    await records.poll()
    records.tell(**TWENTY)
    records.clock.advance(3600)
    await records.poll()
    for name in ("r03", "r07"):
        del records.scripted.rows[name]
    records.clock.advance(3600)
    assert (await records.poll()).changes == []


@pytest.mark.parametrize("fault", ["outage", "gap", "nameless"])
async def test_nothing_is_deleted_because_a_source_could_not_be_read(
    records: RecordHarness, fault: str
) -> None:
    await known(records)

    def fail(page: int) -> None:
        if page == 3:
            raise UnavailableError("cut")

    if fault == "outage":
        records.scripted.before_page = fail
    elif fault == "gap":
        records.scripted.gap = "the size limit was reached"
    else:
        records.scripted.failures = (
            ItemFailure(None, ErrorCategory.CONTENT_PARSE, "Broken", "half an object"),
        )
    for _ in range(4):
        records.clock.advance(3600)
        if fault == "outage":
            with pytest.raises(UnavailableError):
                await records.poll()
        else:
            assert (await records.poll()).changes == []
    assert await records.take_events() == []


async def test_a_record_that_failed_by_name_is_not_missing(records: RecordHarness) -> None:
    await known(records)
    records.scripted.failures = tuple(
        ItemFailure(name, ErrorCategory.CONTENT_PARSE, "Broken", "not JSON")
        for name in ("r03", "r07")
    )
    for _ in range(3):
        records.clock.advance(3600)
        outcome = await records.poll()
        assert (outcome.changes, outcome.counts.failed) == ([], 2)
    assert (await records.last_poll())["outcome"] == "partial"


async def test_a_source_is_asked_by_name_before_a_deletion_is_announced(
    records: RecordHarness,
) -> None:
    await known(records)
    hidden = {"r03": {"id": "r03", "n": 3}}
    await records.poll()
    source = records.scripted
    source.by_id = True
    real = dict(source.rows)

    def appear(_: int) -> None:
        # The full answer lacks it; the answer to its name has it.
        source.rows = real | hidden

    source.before_page = appear
    records.clock.advance(3600)
    assert (await records.poll()).changes == [("deleted", "r07")]


async def test_too_many_deletions_are_held_until_somebody_releases_them(
    records: RecordHarness,
) -> None:
    records.scan = {"deletions": {"max_deleted_count": 2, "max_deleted_share": 0.1}}
    records.tell(**TWENTY)
    await records.poll()
    for name in ("r01", "r02", "r03"):
        del records.scripted.rows[name]
    for _ in range(3):
        records.clock.advance(3600)
        outcome = await records.poll()
    assert (outcome.changes, outcome.counts.quarantined) == ([], 3)
    (reason,) = await records.fetch("select distinct reason from scanner.held_deletions")
    assert reason["reason"] == "3 of 20 records are missing, the limit is 2"
    records.scripted.rows["r02"] = {"id": "r02", "n": 2}
    records.clock.advance(3600)
    outcome = await records.poll(releases=True)
    assert outcome.changes == [("deleted", "r01"), ("deleted", "r03")]
    assert outcome.counts.quarantined == 0
    actions = await records.fetch("select action from meta.audit order by id")
    assert [row["action"] for row in actions] == ["deletions.held", "deletions.released"]


async def test_a_source_that_tells_nothing_at_all_is_not_believed(records: RecordHarness) -> None:
    records.tell(a={}, b={}, c={})
    await records.poll()
    records.tell()
    for _ in range(3):
        records.clock.advance(3600)
        outcome = await records.poll()
    assert (outcome.changes, outcome.counts.quarantined) == ([], 3)


async def test_without_the_guard_an_empty_answer_deletes_everything(
    records: RecordHarness,
) -> None:
    """The negative control: the guard is what prevents it."""
    records.is_guarded = False
    records.tell(**TWENTY)
    await records.poll()
    records.tell()
    records.clock.advance(3600)
    assert len((await records.poll()).changes) == 20


async def test_an_unanswered_deletion_is_announced_again(records: RecordHarness) -> None:
    await known(records)
    await records.polls(2)
    records.clock.advance(3601)
    assert await records.repeater().run([SOURCE]) == 20
    events = await records.take_events()
    assert sorted(event.data.external_id for event in events) == ["r03", "r07"]


async def test_a_release_asks_for_everything_also_where_changes_would_do(
    records: RecordHarness,
) -> None:
    records.scan = {
        "detection": {"by": "timestamp"},
        "deletions": {
            "max_deleted_count": 0,
            "max_deleted_share": 0,
            "confirmations": 1,
        },
    }
    records.scripted.since = True
    records.scripted.high_water = "2026-03-01T12:00:00Z"
    records.tell(a={}, b={})
    await records.poll()
    del records.scripted.rows["b"]
    assert (await records.poll("full")).counts.quarantined == 1
    assert (await records.poll(releases=True)).changes == [("deleted", "b")]
