"""Files as a listing shows them, and the fingerprint by which a change is known."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

EARLIEST_US = int((datetime(1601, 1, 1, tzinfo=UTC) - _EPOCH) / timedelta(microseconds=1))
"""The zero of NTFS and SMB times; nothing real is older."""

LATEST_US = int((datetime(9999, 1, 1, tzinfo=UTC) - _EPOCH) / timedelta(microseconds=1))


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What identifies one state of a file without reading it.

    Compared for equality only: a restored file has an older time, and is a change all the same.
    """

    modified_us: int
    """The share's last-write time, microseconds since 1970 UTC; never a float or a local time."""

    size_bytes: int

    @property
    def modified_at(self) -> datetime:
        """The last-write time as an aware UTC time."""
        return _EPOCH + timedelta(microseconds=self.modified_us)


def is_believable(modified_us: int, size_bytes: int) -> bool:
    """Return whether metadata can belong to a file at all (S1-29 `file_metadata`)."""
    return EARLIEST_US <= modified_us <= LATEST_US and size_bytes >= 0


@dataclass(frozen=True, slots=True)
class SeenFile:
    """One file of a listing."""

    path: str
    """Below the source's root, `/`-separated: the primary key."""

    fingerprint: Fingerprint


def parent_of(path: str) -> str:
    """Return the directory of a path; the empty string is the root."""
    return path.rpartition("/")[0]


def is_within(path: str, directory: str) -> bool:
    """Return whether `path` is `directory` or lies below it."""
    return not directory or path == directory or path.startswith(directory + "/")
