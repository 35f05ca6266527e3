"""What a scan of a share tells: files that appeared, changed or went away."""

from enum import StrEnum
from typing import Annotated, Self

from pydantic import StringConstraints, model_validator

from contracts.types import FilePath, Identifier, Message, Name, UtcDatetime, Whole


class FileChange(StrEnum):
    """What happened to the file since the last scan that was believed."""

    ADDED = "added"
    MODIFIED = "modified"
    DELETED = "deleted"


_FINGERPRINTS = {
    FileChange.ADDED: (True, False),
    FileChange.MODIFIED: (True, True),
    FileChange.DELETED: (False, True),
}
"""Change → whether `current` and `previous` must be there."""


class FileFingerprint(Message):
    """What identifies one state of a file without reading it."""

    modified_at: UtcDatetime
    """The share's last-write time, to the microsecond; the original's `date_last_modified`."""

    size_bytes: Whole


class Institution(Message):
    """The monitored institution of a path; it enriches the event and never filters it."""

    ticker: Annotated[str, StringConstraints(min_length=1, max_length=32)]
    """`TICKER-COUNTRY`, e.g. `RY-CA`."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=255)]
    type: Annotated[str, StringConstraints(min_length=1, max_length=100)]


class FileChanged(Message):
    """A file on a share was added, modified or deleted.

    One event per path and state, in order per path.
    """

    change: FileChange
    source: Name
    """The configured source that owns the path."""

    path: FilePath
    """Relative to the source's root; the primary key of a file (no compound key)."""

    current: FileFingerprint | None = None
    """The state seen by the scan; None when the file was deleted."""

    previous: FileFingerprint | None = None
    """The state announced before; None when the file is new."""

    scan_id: Identifier
    """The run that saw the change."""

    institution: Institution | None = None
    """None when the path belongs to no monitored institution."""

    @model_validator(mode="after")
    def _fingerprints_fit_the_change(self) -> Self:
        has = (self.current is not None, self.previous is not None)
        if has != _FINGERPRINTS[self.change]:
            raise ValueError(
                f"{self.change} needs (current, previous) = {_FINGERPRINTS[self.change]}, not {has}"
            )
        return self


def file_key(source: str, path: str) -> str:
    """Return the message key of a file: all events of one path stay in order."""
    return f"{source}/{path}"
