"""What a file event may say."""

import itertools
from datetime import UTC, datetime

import pytest
from pydantic import ValidationError

from contracts.files import FileChange, FileChanged, FileFingerprint, file_key

STATE = FileFingerprint(modified_at=datetime(2026, 1, 2, tzinfo=UTC), size_bytes=0)

ALLOWED = {
    (FileChange.ADDED, True, False),
    (FileChange.MODIFIED, True, True),
    (FileChange.DELETED, False, True),
}
COMBINATIONS = list(itertools.product(FileChange, (True, False), (True, False)))


def changed(change: FileChange, *, current: bool, previous: bool) -> FileChanged:
    return FileChanged(
        change=change,
        source="nas",
        path="Outputs/a.xml",
        current=STATE if current else None,
        previous=STATE if previous else None,
        scan_id="scan-1",
    )


@pytest.mark.parametrize(("change", "current", "previous"), COMBINATIONS)
def test_the_fingerprints_fit_the_change(
    change: FileChange, *, current: bool, previous: bool
) -> None:
    if (change, current, previous) in ALLOWED:
        assert changed(change, current=current, previous=previous).change is change
    else:
        with pytest.raises(ValidationError, match="needs"):
            changed(change, current=current, previous=previous)


@pytest.mark.covers("S1-15")
def test_the_path_alone_identifies_a_file_of_a_source() -> None:
    event = changed(FileChange.ADDED, current=True, previous=False)

    assert file_key(event.source, event.path) == "nas/Outputs/a.xml"
    assert event.current is not None
    assert event.current.model_dump(mode="json") == {
        "modified_at": "2026-01-02T00:00:00.000000Z",
        "size_bytes": 0,
    }


def test_two_sources_never_share_a_key() -> None:
    assert file_key("nas", "b/c") != file_key("nas.b", "c")


@pytest.mark.parametrize("size", [-1, 2**63, 1e30, float("nan"), "12 bytes"])
def test_a_size_that_no_file_has_is_refused(size: object) -> None:
    with pytest.raises(ValidationError, match="size_bytes"):
        FileFingerprint.model_validate({"modified_at": STATE.modified_at, "size_bytes": size})
