from datetime import UTC, datetime, timedelta

import pytest
from structlog.testing import capture_logs

from chassis.errors import PermanentError
from contracts.files import FileChange
from tests.integration.scanner.harness import LONG_AGO_US, Harness

CALL = "Data/2020/Q4/Financial/AXP-US_American_Express_Company/AXP-US_Q4_2020_Raw_1_1.xml"
OTHER = "Data/2020/Q4/Other/ZZZ-US_Nobody/ZZZ-US_Q4_2020_Raw_1_1.xml"


@pytest.mark.covers("S1-12", "S1-14", "S1-15", "S1-17", "S1-20", "S1-21", "C-02")
async def test_without_an_inventory_every_file_is_added(harness: Harness) -> None:
    harness.tree.write(CALL, "call", modified_us=LONG_AGO_US)
    harness.tree.write(OTHER)
    result = await harness.scan()
    assert result.changes == [("added", CALL), ("added", OTHER)]
    event = next(event for event in result.events if event.data.path == CALL)
    assert event.subject == f"transcripts/{CALL}"
    assert event.data.current is not None
    assert event.data.current.size_bytes == 4
    assert event.data.current.modified_at == datetime(2020, 9, 13, 12, 26, 40, tzinfo=UTC)
    assert event.data.previous is None
    assert await harness.states() == {CALL: "announced", OTHER: "announced"}


@pytest.mark.covers("C-07", "S1-16")
async def test_institutions_enrich_events_and_filter_none(harness: Harness) -> None:
    harness.tree.write(CALL)
    harness.tree.write(OTHER)
    result = await harness.scan()
    by_path = {event.data.path: event.data.institution for event in result.events}
    assert by_path[OTHER] is None
    institution = by_path[CALL]
    assert institution is not None
    assert (institution.ticker, institution.type) == ("AXP-US", "Financial")


@pytest.mark.covers("S1-19", "S1-20")
async def test_a_scan_of_an_unchanged_share_announces_nothing(harness: Harness) -> None:
    harness.tree.write(CALL)
    await harness.scan()
    harness.clock.advance(60)
    result = await harness.scan()
    assert result.events == []
    assert (result.counts.processed, result.counts.unchanged) == (1, 1)


@pytest.mark.covers("C-03", "C-04", "S1-20", "S1-21")
async def test_a_modification_is_one_event_with_both_states(harness: Harness) -> None:
    harness.tree.write(CALL, "four")
    await harness.scan()
    harness.tree.write(CALL, "longer", modified_us=LONG_AGO_US - 5_000_000)
    harness.clock.advance(60)
    result = await harness.scan()
    assert result.changes == [("modified", CALL)]
    data = result.events[0].data
    assert data.previous is not None
    assert data.current is not None
    assert (data.previous.size_bytes, data.current.size_bytes) == (4, 6)
    assert data.current.modified_at < data.previous.modified_at
    assert result.counts.changed == 1


async def test_events_of_one_path_have_growing_sequences(harness: Harness) -> None:
    harness.tree.write(CALL)
    first = await harness.scan()
    harness.tree.write(CALL, "longer")
    harness.clock.advance(60)
    second = await harness.scan()
    before, after = first.events[0].sequence, second.events[0].sequence
    assert before is not None
    assert after is not None
    assert before < after


async def test_a_file_that_is_still_written_is_not_announced(harness: Harness) -> None:
    harness.tree.write(CALL, "a")
    size = 1

    def grow(_: str) -> None:
        nonlocal size
        size += 1
        harness.tree.write(CALL, "a" * size)

    harness.after_listing = grow
    result = await harness.scan()
    assert result.events == []
    assert await harness.states() == {CALL: "seen"}
    harness.after_listing = None
    harness.clock.advance(60)
    result = await harness.scan()
    assert result.changes == [("added", CALL)]


async def test_a_late_jump_of_the_time_alone_makes_one_event(harness: Harness) -> None:
    harness.tree.write(CALL)
    await harness.scan()
    harness.tree.touch(CALL, LONG_AGO_US + 99_000_000)
    harness.clock.advance(60)
    result = await harness.scan()
    assert result.changes == [("modified", CALL)]
    harness.clock.advance(60)
    assert (await harness.scan()).events == []


async def test_a_new_time_zone_or_clock_of_this_host_changes_nothing(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    harness.tree.write(CALL)
    await harness.scan()
    monkeypatch.setenv("TZ", "Pacific/Kiritimati")
    harness.clock.advance(-86400)
    assert (await harness.scan()).events == []


async def test_temporary_hidden_and_snapshot_entries_are_passed_over(harness: Harness) -> None:
    for path in (
        "Data/a.pdf",
        "Data/.a.xml",
        "Data/~$a.xml",
        "Data/a.xml.part",
        "Data/@eaDir/a.xml",
        "Data/.snapshot/daily/a.xml",
        "Other/a.xml",
    ):
        harness.tree.write(path)
    harness.tree.write("Data/A.XML")
    assert (await harness.scan()).changes == [("added", "Data/A.XML")]


async def test_only_the_prefix_that_was_asked_for_is_scanned(harness: Harness) -> None:
    harness.tree.write(CALL)
    harness.tree.write(OTHER)
    result = await harness.scan(prefix="Data/2020/Q4/Other")
    assert result.changes == [("added", OTHER)]
    assert all(path.startswith("Data/2020/Q4/Other") for path in result.share.listed)


@pytest.mark.covers("S1-26", "S1-29")
@pytest.mark.parametrize("prefix", ["Elsewhere", "../etc", "Data/../../etc"])
async def test_a_prefix_outside_the_scanned_folders_is_refused(
    harness: Harness, prefix: str
) -> None:
    harness.tree.write(CALL)
    with pytest.raises(PermanentError):
        await harness.scan(prefix=prefix)


async def test_a_dry_run_counts_and_writes_nothing(harness: Harness) -> None:
    harness.tree.write(CALL)
    await harness.scan()
    harness.tree.write(CALL, "longer")
    harness.tree.write(OTHER)
    harness.clock.advance(60)
    result = await harness.scan(dry_run=True)
    assert (result.counts.new, result.counts.changed) == (1, 1)
    assert result.events == []
    assert await harness.states() == {CALL: "announced"}


async def test_more_files_than_a_transaction_takes_are_announced_once_each(
    harness: Harness,
) -> None:
    paths = [f"Data/f{number % 7}/{number:04}.xml" for number in range(1200)]
    for path in paths:
        harness.tree.write(path)
    result = await harness.scan()
    assert sorted(event.data.path for event in result.events) == sorted(paths)
    assert {event.data.change for event in result.events} == {FileChange.ADDED}
    assert result.counts.new == 1200


async def test_sixteen_workers_see_what_one_sees(harness: Harness) -> None:
    for number in range(60):
        harness.tree.write(f"Data/{number % 5}/{number % 3}/{number}.xml")
    harness.workers = 1
    alone = await harness.scan()
    await harness.execute("truncate scanner.inventory, scanner.directories")
    harness.workers = 16
    harness.clock.advance(60)
    together = await harness.scan()
    assert together.changes == alone.changes


@pytest.mark.covers("S1-38")
async def test_the_history_says_what_a_scan_did(harness: Harness) -> None:
    harness.tree.write(CALL)
    started = harness.clock.now()
    await harness.scan()
    rows = await harness.fetch("select * from scanner.scans")
    assert len(rows) == 1
    row = rows[0]
    assert (row["mode"], row["outcome"], row["files"], row["added"]) == ("full", "complete", 1, 1)
    assert row["directories"] == 5
    assert row["started_at"] == started
    assert row["finished_at"] - started >= timedelta(seconds=5)


@pytest.mark.covers("S1-34", "S1-28")
async def test_every_decision_about_a_file_leaves_a_line(harness: Harness) -> None:
    for name in ("a", "b", "c"):
        harness.tree.write(f"Data/{name}.xml")
    harness.tree.write("Data/bad\\name.xml")
    with capture_logs() as lines:
        await harness.scan()
        harness.tree.write("Data/a.xml", "longer")
        harness.tree.delete("Data/b.xml")
        harness.hidden = frozenset({"Data/c.xml"})
        harness.clock.advance(60)
        await harness.scans(2)
    decisions = [
        (line["path"], line["decision"]) for line in lines if line["event"] == "file_decision"
    ]
    assert set(decisions) == {
        ("Data/a.xml", "added"),
        ("Data/b.xml", "added"),
        ("Data/c.xml", "added"),
        ("Data/a.xml", "modified"),
        ("Data/b.xml", "deleted"),
        ("Data/c.xml", "kept"),
        ("'Data/bad\\\\name.xml'", "refused"),
    }
    told = [line for line in lines if line.get("decision") in ("added", "modified", "deleted")]
    assert all(line["event_id"] and line["source"] == "transcripts" for line in told)


@pytest.mark.covers("S1-02", "S1-37")
async def test_the_share_is_opened_once_per_scan_and_always_closed(harness: Harness) -> None:
    harness.tree.write(CALL)
    await harness.scan()
    assert [share.closed for share in harness.shares] == [True]
    assert harness.shares[0].calls[0] == ("describe", "")
