import pytest

from chassis.shares.port import ShareAccessDeniedError, ShareUnavailableError
from scanner.settings.scan import DeletionConfig, ScanConfig
from tests.integration.scanner.harness import Harness


def calls(count: int, folder: str = "Data/2020") -> list[str]:
    return [f"{folder}/{number:03}.xml" for number in range(count)]


async def lay(harness: Harness, paths: list[str]) -> None:
    for path in paths:
        harness.tree.write(path)
    result = await harness.scan()
    assert result.counts.new == len(paths)
    harness.clock.advance(60)


@pytest.mark.covers("S1-20", "S1-21")
async def test_a_file_missing_in_two_scans_an_interval_apart_is_deleted(harness: Harness) -> None:
    await lay(harness, calls(3))
    harness.tree.delete("Data/2020/001.xml")
    assert (await harness.scan()).events == []
    harness.clock.advance(60)
    result = await harness.scan()
    assert result.changes == [("deleted", "Data/2020/001.xml")]
    data = result.events[0].data
    assert data.current is None
    assert data.previous is not None
    assert data.previous.size_bytes == 1
    harness.clock.advance(60)
    assert (await harness.scan()).events == []


async def test_two_scans_in_quick_succession_do_not_confirm_a_deletion(harness: Harness) -> None:
    await lay(harness, calls(3))
    harness.tree.delete("Data/2020/001.xml")
    await harness.scan()
    harness.clock.advance(10)
    assert (await harness.scan()).events == []
    harness.clock.advance(50)
    assert len((await harness.scan()).events) == 1


async def test_a_file_that_returns_in_time_was_never_deleted(harness: Harness) -> None:
    await lay(harness, calls(3))
    moved = harness.tree.root / "elsewhere.xml"
    original = harness.tree.root / "Data/2020/001.xml"
    original.rename(moved)
    await harness.scan()
    moved.rename(original)
    assert (await harness.scans(3)).events == []


async def test_a_deleted_file_that_comes_back_is_added_again(harness: Harness) -> None:
    await lay(harness, calls(3))
    harness.tree.delete("Data/2020/001.xml")
    assert (await harness.scans(2)).changes == [("deleted", "Data/2020/001.xml")]
    harness.tree.write("Data/2020/001.xml", "again")
    harness.clock.advance(60)
    result = await harness.scan()
    assert result.changes == [("added", "Data/2020/001.xml")]
    assert result.events[0].data.previous is None


async def test_a_deleted_folder_takes_its_files_along(harness: Harness) -> None:
    await lay(harness, [*calls(3), *calls(2, "Data/2021/Q1/deep")])
    for path in calls(2, "Data/2021/Q1/deep"):
        harness.tree.delete(path)
    for folder in ("Data/2021/Q1/deep", "Data/2021/Q1", "Data/2021"):
        (harness.tree.root / folder).rmdir()
    assert (await harness.scans(2)).changes == [
        ("deleted", "Data/2021/Q1/deep/000.xml"),
        ("deleted", "Data/2021/Q1/deep/001.xml"),
    ]
    known = await harness.fetch("select path from scanner.directories order by path")
    assert [row["path"] for row in known] == ["Data", "Data/2020"]


async def test_a_file_that_was_never_announced_is_forgotten_silently(harness: Harness) -> None:
    await lay(harness, calls(2))
    harness.tree.write("Data/2020/new.xml")
    harness.after_listing = lambda _: harness.tree.write(
        "Data/2020/new.xml", "y" * len(harness.shares[-1].calls)
    )
    await harness.scan()
    harness.after_listing = None
    harness.tree.delete("Data/2020/new.xml")
    assert (await harness.scans(3)).events == []
    assert sorted(await harness.states()) == calls(2)


@pytest.mark.covers("C-06")
async def test_more_deletions_than_the_limit_are_held(harness: Harness) -> None:
    harness.scan_config = limited(count=2)
    await lay(harness, calls(20))
    for path in calls(20)[:3]:
        harness.tree.delete(path)
    result = await harness.scans(3)
    assert result.events == []
    assert result.counts.quarantined == 3
    held = await harness.fetch("select path, reason from scanner.held_deletions order by path")
    assert [row["path"] for row in held] == calls(20)[:3]
    assert "3 of 20 files are missing" in held[0]["reason"]
    audit = await harness.fetch("select action, details from meta.audit")
    assert [row["action"] for row in audit] == ["deletions.held"]
    assert audit[0]["details"]["count"] == 3


async def test_held_deletions_are_released_by_a_command_and_audited(harness: Harness) -> None:
    harness.scan_config = limited(count=2)
    await lay(harness, calls(20))
    for path in calls(20)[:3]:
        harness.tree.delete(path)
    await harness.scans(2)
    harness.clock.advance(60)
    result = await harness.scan(releases=True)
    assert [path for _, path in result.changes] == calls(20)[:3]
    assert result.counts.deleted == 3
    assert await harness.fetch("select * from scanner.held_deletions") == []
    audit = await harness.fetch("select actor, action from meta.audit order by id")
    assert [(row["actor"], row["action"]) for row in audit] == [
        ("tester", "deletions.held"),
        ("tester", "deletions.released"),
    ]


async def test_a_release_looks_again_at_every_file(harness: Harness) -> None:
    harness.scan_config = limited(count=2)
    await lay(harness, calls(20))
    for path in calls(20)[:3]:
        harness.tree.delete(path)
    await harness.scans(2)
    harness.tree.write(calls(20)[0])
    harness.clock.advance(60)
    result = await harness.scan(releases=True)
    assert ("deleted", calls(20)[0]) not in result.changes
    assert [path for change, path in result.changes if change == "deleted"] == calls(20)[1:3]
    assert await harness.fetch("select * from scanner.held_deletions") == []


async def test_what_is_held_stays_held_when_a_part_of_it_returns(harness: Harness) -> None:
    harness.scan_config = limited(count=2)
    await lay(harness, calls(20))
    for path in calls(20)[:3]:
        harness.tree.delete(path)
    await harness.scans(2)
    harness.tree.write(calls(20)[0])
    harness.tree.write(calls(20)[1])
    result = await harness.scans(3)
    assert [change for change, _ in result.changes if change == "deleted"] == []
    held = await harness.fetch("select path from scanner.held_deletions")
    assert [row["path"] for row in held] == [calls(20)[2]]


@pytest.mark.covers("C-06")
async def test_an_empty_share_deletes_nothing(harness: Harness) -> None:
    await lay(harness, calls(5))
    for path in calls(5):
        harness.tree.delete(path)
    (harness.tree.root / "Data/2020").rmdir()
    result = await harness.scans(4)
    assert result.events == []
    assert result.counts.quarantined == 5


@pytest.mark.covers("C-06")
async def test_a_share_without_its_scanned_folder_deletes_nothing(harness: Harness) -> None:
    await lay(harness, calls(5))
    (harness.tree.root / "Data").rename(harness.tree.root / "gone")
    result = await harness.scans(4)
    assert result.events == []
    assert result.counts.failed == 1


@pytest.mark.covers("C-06")
async def test_without_the_sentinel_nothing_is_deleted(harness: Harness) -> None:
    harness.scan_config = ScanConfig(paths=("Data",), sentinel=".mounted")
    harness.tree.write(".mounted")
    await lay(harness, calls(5))
    harness.tree.delete("Data/2020/001.xml")
    (harness.tree.root / ".mounted").unlink()
    assert (await harness.scans(3)).events == []
    harness.tree.write(".mounted")
    harness.clock.advance(60)
    assert len((await harness.scans(2)).events) == 1


@pytest.mark.covers("C-06")
async def test_a_sentinel_that_goes_away_during_the_scan_stops_deletions(harness: Harness) -> None:
    harness.scan_config = ScanConfig(paths=("Data",), expected_folders=("Data", "Mounted"))
    (harness.tree.root / "Mounted").mkdir()
    await lay(harness, calls(5))
    harness.tree.delete("Data/2020/001.xml")
    await harness.scan()
    harness.clock.advance(60)

    def unmount(path: str) -> None:
        if path == "Data/2020":
            (harness.tree.root / "Mounted").rmdir()

    harness.after_listing = unmount
    assert (await harness.scan()).events == []


@pytest.mark.covers("C-06")
async def test_a_volume_that_goes_away_while_files_are_asked_for_stops_deletions(
    harness: Harness,
) -> None:
    harness.scan_config = ScanConfig(paths=("Data",), expected_folders=("Mounted",))
    (harness.tree.root / "Mounted").mkdir()
    await lay(harness, calls(5))
    harness.tree.delete("Data/2020/001.xml")
    await harness.scan()
    harness.clock.advance(60)

    def unmount(operation: str, path: str) -> None:
        if (operation, path) == ("stat", "Data/2020/001.xml"):
            (harness.tree.root / "Mounted").rmdir()

    harness.fault = unmount
    assert (await harness.scan()).events == []
    assert set((await harness.states()).values()) == {"announced"}


async def test_a_folder_refused_at_the_second_look_is_not_judged(harness: Harness) -> None:
    await lay(harness, calls(5))
    harness.tree.delete("Data/2020/001.xml")
    for number in range(3):
        harness.tree.write(f"Data/2020/new{number}.xml")
        looks = 0

        def deny(operation: str, path: str) -> None:
            nonlocal looks
            if (operation, path) == ("list", "Data/2020"):
                looks += 1
                if looks > 1:
                    raise ShareAccessDeniedError(path=path)

        harness.fault = deny
        result = await harness.scan()
        assert [change for change, _ in result.changes if change == "deleted"] == []
        harness.clock.advance(60)


async def test_a_folder_that_vanishes_with_a_file_still_settling_is_deleted(
    harness: Harness,
) -> None:
    path = "Data/2021/a.xml"
    await lay(harness, [*calls(3), path])
    harness.after_listing = lambda folder: harness.tree.write(
        path, "y" * (len(harness.shares[-1].calls) + len(folder))
    )
    await harness.scan()
    harness.after_listing = None
    harness.clock.advance(60)
    harness.tree.delete(path)
    (harness.tree.root / "Data/2021").rmdir()
    deleted: list[str] = []
    for number in range(2):
        # Another file that settles, so that there is a second look at all.
        harness.tree.write(f"Data/2020/new{number}.xml")
        changes = (await harness.scan()).changes
        deleted += [name for change, name in changes if change == "deleted"]
        harness.clock.advance(60)
    assert deleted == [path]


@pytest.mark.covers("C-05", "C-06", "S1-13")
async def test_a_folder_that_may_not_be_listed_keeps_its_files(harness: Harness) -> None:
    await lay(harness, [*calls(3), *calls(3, "Data/2021")])
    harness.tree.delete("Data/2020/001.xml")

    def deny(operation: str, path: str) -> None:
        if operation == "list" and path == "Data/2021":
            raise ShareAccessDeniedError(path=path)

    harness.fault = deny
    result = await harness.scans(3)
    rows = await harness.fetch(
        "select outcome, failures, deleted from scanner.scans order by started_at"
    )
    assert [row["outcome"] for row in rows] == ["complete", "partial", "partial", "partial"]
    assert rows[1]["failures"][0]["path"] == "Data/2021"
    # What the server did show is still judged: one lasting refusal must not stop the rest.
    assert sum(row["deleted"] for row in rows) == 1
    assert result.counts.failed == 1


@pytest.mark.covers("C-06")
async def test_a_folder_hidden_by_access_based_enumeration_keeps_its_files(
    harness: Harness,
) -> None:
    await lay(harness, [*calls(3), *calls(3, "Data/2021")])

    def deny(_: str, path: str) -> None:
        if path.startswith("Data/2021"):
            raise ShareAccessDeniedError(path=path)

    harness.fault, harness.hidden = deny, frozenset({"Data/2021"})
    assert (await harness.scans(4)).events == []
    harness.fault, harness.hidden = lambda *_: None, frozenset()
    harness.clock.advance(60)
    assert (await harness.scan()).events == []
    assert set((await harness.states()).values()) == {"announced"}


async def test_a_file_that_answers_by_name_is_not_deleted(harness: Harness) -> None:
    await lay(harness, calls(3))
    harness.hidden = frozenset({"Data/2020/001.xml"})
    assert (await harness.scans(4)).events == []


@pytest.mark.covers("C-05", "C-06")
async def test_a_lost_listing_makes_the_scan_conclude_nothing(harness: Harness) -> None:
    await lay(harness, [*calls(3), *calls(3, "Data/2021")])
    harness.tree.delete("Data/2020/001.xml")
    harness.tree.write("Data/2020/new.xml")

    def lose(operation: str, path: str) -> None:
        if operation == "list" and path == "Data/2021":
            raise ShareUnavailableError

    harness.fault = lose
    result = await harness.scan()
    # Partial scans may add and update.
    assert result.changes == [("added", "Data/2020/new.xml")]
    harness.clock.advance(60)
    assert (await harness.scans(3)).events == []
    rows = await harness.fetch("select distinct outcome from scanner.scans order by outcome")
    assert [row["outcome"] for row in rows] == ["complete", "incomplete"]


async def test_a_prefix_scan_judges_nothing_outside_its_prefix(harness: Harness) -> None:
    await lay(harness, [*calls(3), *calls(3, "Data/2021")])
    harness.tree.delete("Data/2020/001.xml")
    harness.tree.delete("Data/2021/001.xml")
    await harness.scan(prefix="Data/2021")
    harness.clock.advance(60)
    result = await harness.scan(prefix="Data/2021")
    assert result.changes == [("deleted", "Data/2021/001.xml")]


async def test_a_folder_taken_out_of_the_configuration_is_not_deleted(harness: Harness) -> None:
    harness.scan_config = ScanConfig(paths=("Data", "InvalidTitle"))
    harness.tree.write("InvalidTitle/a.xml")
    harness.tree.write("Data/a.xml")
    await harness.scan()
    harness.scan_config = ScanConfig(paths=("Data",))
    harness.clock.advance(60)
    assert (await harness.scans(3)).events == []


async def test_a_narrower_suffix_list_is_not_a_deletion(harness: Harness) -> None:
    harness.scan_config = ScanConfig(paths=("Data",), suffixes=(".xml", ".txt"))
    harness.tree.write("Data/a.txt")
    harness.tree.write("Data/a.xml")
    await harness.scan()
    harness.scan_config = ScanConfig(paths=("Data",))
    harness.clock.advance(60)
    assert (await harness.scans(3)).events == []


@pytest.mark.covers("C-06")
async def test_control_without_the_guard_a_lost_listing_deletes(harness: Harness) -> None:
    await lay(harness, [*calls(3), *calls(3, "Data/2021")])

    def lose(operation: str, path: str) -> None:
        if operation == "list" and path == "Data/2021":
            raise ShareUnavailableError

    harness.fault, harness.is_guarded = lose, False
    result = await harness.scan()
    assert result.changes == [("deleted", path) for path in calls(3, "Data/2021")]


def limited(*, count: int) -> ScanConfig:
    return ScanConfig(
        paths=("Data",), deletions=DeletionConfig(max_deleted_count=count, max_deleted_share=0.02)
    )


async def test_the_confirmation_time_can_be_chosen(harness: Harness) -> None:
    harness.scan_config = ScanConfig(
        paths=("Data",), deletions=DeletionConfig(confirmations=3, confirm_after_seconds=3600)
    )
    await lay(harness, calls(3))
    harness.tree.delete("Data/2020/001.xml")
    assert (await harness.scans(5)).events == []
    harness.clock.advance(hours=1)
    assert len((await harness.scan()).events) == 1
