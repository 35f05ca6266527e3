"""What passes between a walk, the comparison and the inventory."""

from dataclasses import dataclass
from datetime import datetime

from scanner.domain.changes import Announce, Known
from scanner.domain.files import SeenFile


@dataclass(frozen=True, slots=True)
class Listing:
    """One directory that was listed without error, sifted."""

    directory: str
    parent: str | None
    """None for a scanned root."""

    modified_us: int | None
    """The directory's time from before this listing; None where nobody showed it."""

    listed_at: datetime
    files: tuple[SeenFile, ...]
    present: tuple[str, ...]
    """Files that are there and not mirrored."""

    subdirectories: tuple[str, ...]
    """All of them, also those that are not descended into."""

    is_leaf: bool
    """None of them is descended into."""

    @property
    def weight(self) -> int:
        """How much of a chunk it fills."""
        return 1 + len(self.files) + len(self.present)


@dataclass(frozen=True, slots=True)
class Difference:
    """A path on which a listing and the inventory do not agree, or which still settles."""

    seen: SeenFile | None
    known: Known | None


@dataclass(frozen=True, slots=True)
class DirectoryNote:
    """What is kept of a listing for the next fast pass."""

    path: str
    parent: str | None
    modified_us: int | None
    is_leaf: bool
    is_quiet: bool


@dataclass(frozen=True, slots=True)
class Announcement:
    """An announcement with the id of its event, which is how its answer is recognised."""

    change: Announce
    event_id: str


@dataclass(frozen=True, slots=True)
class SettlingDirectory:
    """A directory that has to be listed once more."""

    path: str
    parent: str | None
    modified_us: int | None
