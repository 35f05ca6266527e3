"""When a missing file may be called deleted (docs/decisions/0013).

A share that is not mounted lists as empty, with success; a cut connection looks like the end of a
folder; a folder whose rights were taken away disappears from its parent. None of these is a
deletion.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

SMALLEST_ESTATE = 10
"""From so many files on, the loss of every one of them is held, whatever the limits say."""


@dataclass(frozen=True, slots=True)
class DeletionRules:
    """How much proof a deletion needs."""

    is_guarded: bool = True
    """False believes every listing at once; exists to show in tests what the guard prevents."""

    max_count: int = 50
    max_share: float = 0.02
    """Deletions above both the count and this share of the inventory are held."""

    confirmations: int = 2
    """Scans that must miss the file."""

    confirm_after: timedelta = timedelta(seconds=54)
    """Between the first and the last of them."""

    @property
    def needed_misses(self) -> int:
        """Scans that must miss a file under these rules."""
        return self.confirmations if self.is_guarded else 1

    def believed_before(self, started_at: datetime) -> datetime:
        """Return the latest time of a first miss that the scan of `started_at` may judge."""
        return started_at - self.confirm_after if self.is_guarded else started_at

    def hold_reason(
        self, missing: int, total: int, *, doubt: str | None = None, noun: str = "files"
    ) -> str | None:
        """Return why `missing` deletions out of `total` wait for a person; None if not.

        A `doubt` about the listing as a whole is reason enough.
        """
        if not self.is_guarded or not missing:
            return None
        if doubt:
            return doubt
        if missing >= total >= SMALLEST_ESTATE:
            return f"all {total} {noun} of the source are missing"
        limit = max(self.max_count, int(self.max_share * total))
        if missing > limit:
            return f"{missing} of {total} {noun} are missing, the limit is {limit}"
        return None


@dataclass(slots=True)
class Coverage:
    """What a scan could not see; fills up while it walks."""

    is_anchored: bool = True
    """The sentinel and the expected folders were there, at the start and at the end."""

    is_aborted: bool = False
    """The share went away."""

    failed: int = 0
    """Directories without an answer: nothing at all is known about what they hold."""

    excluded: list[str] = field(default_factory=list)
    """Directories that the server refused or no longer knows: nothing below them is judged."""

    empty_roots: list[str] = field(default_factory=list)
    """Scanned roots without a single entry: a volume that is not mounted looks like that."""

    @property
    def is_complete(self) -> bool:
        """Whether the scan may conclude deletions, outside the excluded directories."""
        return self.is_anchored and not self.is_aborted and not self.failed

    @property
    def doubt(self) -> str | None:
        """Why what was listed is not believed as a whole; None if it is."""
        if not self.empty_roots:
            return None
        return f"{len(self.empty_roots)} scanned folder(s) list as empty, as if not mounted"

    @property
    def outcome(self) -> str:
        """The scan's outcome in one word."""
        if not self.is_complete:
            return "incomplete"
        return "partial" if self.excluded else "complete"
