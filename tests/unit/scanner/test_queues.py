import pytest

from scanner.domain.changes import Announce, Change
from scanner.domain.files import Fingerprint
from scanner.domain.queues import QueueRecord, Queues, as_document, merge, read_records

OLD = Fingerprint(1_600_000_000_000_000, 1)
NEW = Fingerprint(1_700_000_000_123_456, 2)
OLD_TEXT = "2020-09-13T12:26:40.000000+00:00"
NEW_TEXT = "2023-11-14T22:13:20.123456+00:00"
EMPTY = Queues({}, {})


def added(path: str) -> Announce:
    return Announce(path, Change.ADDED, current=NEW, previous=None)


def modified(path: str) -> Announce:
    return Announce(path, Change.MODIFIED, current=NEW, previous=OLD)


def deleted(path: str) -> Announce:
    return Announce(path, Change.DELETED, current=None, previous=OLD)


@pytest.mark.covers("S1-15", "S1-21", "S1-22")
def test_new_and_modified_are_processed_deleted_and_outdated_are_removed() -> None:
    queues = merge(EMPTY, [added("a"), modified("m"), deleted("d")], prefix="NAS/Outputs")
    assert as_document(queues.process) == [
        {"file_path": "NAS/Outputs/a", "date_last_modified": NEW_TEXT},
        {"file_path": "NAS/Outputs/m", "date_last_modified": NEW_TEXT},
    ]
    assert as_document(queues.removal) == [
        {"file_path": "NAS/Outputs/d", "date_last_modified": OLD_TEXT},
        {"file_path": "NAS/Outputs/m", "date_last_modified": OLD_TEXT},
    ]


def test_what_no_reader_has_taken_yet_is_kept() -> None:
    before = merge(EMPTY, [added("a")], prefix="")
    after = merge(before, [added("b")], prefix="")
    assert sorted(after.process) == ["a", "b"]


def test_a_file_that_is_deleted_before_it_was_processed_is_only_removed() -> None:
    queues = merge(EMPTY, [added("a"), deleted("a")], prefix="")
    assert queues.process == {}
    assert queues.removal == {"a": QueueRecord("a", OLD_TEXT)}


def test_merging_the_same_changes_again_changes_nothing() -> None:
    changes = [added("a"), modified("m"), deleted("d")]
    once = merge(EMPTY, changes, prefix="")
    assert merge(once, changes, prefix="") == once


def test_the_removal_queue_keeps_the_entry_that_downstream_has() -> None:
    older = Announce("m", Change.MODIFIED, current=OLD, previous=Fingerprint(0, 1))
    queues = merge(EMPTY, [older, modified("m")], prefix="")
    assert queues.removal["m"].date_last_modified == "1970-01-01T00:00:00.000000+00:00"


@pytest.mark.parametrize(
    "document", [{}, "x", [1], [{"file_path": "a"}], [{"file_path": 1, "date_last_modified": ""}]]
)
def test_a_file_that_is_no_queue_is_refused(document: object) -> None:
    with pytest.raises(ValueError, match=r"not a list|record"):
        read_records(document)


def test_a_written_queue_can_be_read_again() -> None:
    queues = merge(EMPTY, [added("a"), modified("m")], prefix="")
    assert read_records(as_document(queues.process)) == queues.process
