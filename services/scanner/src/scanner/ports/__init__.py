"""What the scanner's handlers need from outside, beside the share itself."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol, TypeVar

from chassis.db import Transaction
from scanner.domain.changes import Announce, Observe
from scanner.domain.descent import KnownDirectory, ScanMode
from scanner.domain.files import Fingerprint
from scanner.domain.observations import (
    Announcement,
    Difference,
    DirectoryNote,
    Listing,
    SettlingDirectory,
)

T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Mark:
    """Which attempt of which scan missed a file, and when that scan began."""

    source: str
    scan_id: str
    attempt: int
    started_at: datetime

    def __str__(self) -> str:
        return f"{self.scan_id}:{self.attempt}"


@dataclass(frozen=True, slots=True)
class Belief:
    """From when on a missing file counts as gone."""

    misses: int
    first_missed_before: datetime


class Inventory(Protocol):
    """The known files of all sources; every call is set-wise."""

    async def differences(
        self, transaction: Transaction, source: str, listings: Sequence[Listing]
    ) -> Sequence[Difference]:
        """Return where listed directories and the inventory do not agree.

        Raises:
            InventoryError: a row is not one that a scan can have written.
        """
        ...

    async def observe(
        self,
        transaction: Transaction,
        source: str,
        *,
        observations: Sequence[Observe],
        now: datetime,
    ) -> None:
        """Write what was seen; a file that was missed or held is so no more."""
        ...

    async def announce(
        self,
        transaction: Transaction,
        mark: Mark,
        *,
        announcements: Sequence[Announcement],
        now: datetime,
    ) -> None:
        """Write what is announced, in the transaction of its events."""
        ...

    async def mark_missing(
        self, transaction: Transaction, mark: Mark, *, paths: Sequence[str]
    ) -> None:
        """Note files that their directory's listing lacked."""
        ...

    async def mark_gone(
        self, transaction: Transaction, mark: Mark, *, listings: Sequence[Listing]
    ) -> int:
        """Note everything below known subdirectories that a listing lacked; return how many."""
        ...

    async def remember(
        self, transaction: Transaction, source: str, *, notes: Sequence[DirectoryNote]
    ) -> None:
        """Keep what the next fast pass needs; call it after the files were written."""
        ...

    async def children(self, source: str, directory: str) -> Mapping[str, KnownDirectory]:
        """Return what is known of a directory's subdirectories, by path."""
        ...

    async def settling(
        self, mark: Mark, *, within: Sequence[str], after: str | None, limit: int
    ) -> Sequence[SettlingDirectory]:
        """Return a page of directories with files that still settle, ordered by path.

        Files that this scan has missed do not count: their directory may be gone.
        """
        ...

    async def latest_settling(self, mark: Mark) -> datetime | None:
        """Return when the youngest of those files' states was first seen."""
        ...

    async def refresh_statistics(self) -> None:
        """Have the planner look at the tables again.

        Until it has seen some of a source's rows it takes the source for tiny, and reads all of it
        for every chunk.
        """
        ...

    async def count_present(self, source: str) -> int:
        """Return how many files consumers know to exist."""
        ...

    async def announced_by(self, source: str, scan_ids: Collection[str]) -> Sequence[Announce]:
        """Return what these scans announced, as far as nothing was announced since."""
        ...


class Missing(Protocol):
    """What recent listings of a source lack, by key: paths of files, or ids of records."""

    async def count(self, mark: Mark, belief: Belief, *, held: bool) -> int:
        """Return how many are believed gone: those that are held, or those that are not."""
        ...

    async def page(
        self, mark: Mark, belief: Belief, *, held: bool, after: str | None, limit: int
    ) -> Sequence[str]:
        """Return a page of their keys, in order."""
        ...

    async def hold(
        self, transaction: Transaction, mark: Mark, belief: Belief, *, reason: str
    ) -> int:
        """Hold all that are believed gone; return how many were not held before."""
        ...

    async def held(self, source: str) -> int:
        """Return how many deletions of a source are held."""
        ...


class Deletions(Protocol):
    """The missing files of a source, on their way to being believed."""

    async def confirm(
        self, transaction: Transaction, mark: Mark, *, excluded: Sequence[str]
    ) -> None:
        """Count one more complete scan that missed them, outside `excluded`.

        Files that were never announced are forgotten: nobody has to be told.
        """
        ...

    async def conclude(
        self, transaction: Transaction, mark: Mark, *, event_ids: Mapping[str, str], now: datetime
    ) -> Mapping[str, Fingerprint]:
        """Write that deletions are announced, by path, in the transaction of their events.

        Returns what consumers were told of each file before.
        """
        ...

    async def reappeared(
        self, transaction: Transaction, source: str, *, paths: Sequence[str]
    ) -> None:
        """Forget that these were missed: a probe found them."""
        ...

    async def tidy(self, transaction: Transaction, mark: Mark) -> None:
        """Forget directories that are gone and hold no file that is still believed to exist."""
        ...


@dataclass(slots=True)
class ScanRecord:
    """One line of the scans' history; filled while the scan runs."""

    mark: Mark
    mode: ScanMode
    prefix: str = ""
    directories: int = 0
    files: int = 0
    added: int = 0
    modified: int = 0
    deleted: int = 0
    held: int = 0
    failures: list[dict[str, str]] = field(default_factory=list)
    """Path and reason of the first directories that could not be listed."""


class Scans(Protocol):
    """The history of scans."""

    async def begin(self, transaction: Transaction, record: ScanRecord) -> None:
        """Write that a scan began; a resumed one begins again."""
        ...

    async def finish(
        self, transaction: Transaction, record: ScanRecord, *, outcome: str, now: datetime
    ) -> None:
        """Write how it ended."""
        ...

    async def last_full(self, source: str) -> datetime | None:
        """Return when the last full scan of a whole source began that could conclude deletions."""
        ...

    async def not_exported(self, source: str) -> Sequence[str]:
        """Return the ids of scans whose changes no queue file holds yet."""
        ...

    async def mark_exported(self, transaction: Transaction, scan_ids: Sequence[str]) -> None:
        """Write that their changes are in the queue files."""
        ...

    async def purge(self, transaction: Transaction, *, before: datetime) -> None:
        """Forget old scans and long-deleted files."""
        ...


@dataclass(frozen=True, slots=True)
class Answer:
    """What bronze says about an announcement."""

    source: str
    external_id: str
    event_id: str | None
    """The announcement that it answers."""

    is_tombstone: bool


@dataclass(frozen=True, slots=True)
class RepeatedFile:
    """An announcement that is made again."""

    source: str
    scan_id: str
    announcement: Announcement


class Announcements(Protocol[T_co]):
    """The lease on announcements, of files or of records: unanswered ones come up again (C-02)."""

    async def answer(
        self, transaction: Transaction, answers: Sequence[Answer], *, now: datetime
    ) -> int:
        """Mark what was announced as ingested or retired; return how many fitted."""
        ...

    async def repeat(
        self, transaction: Transaction, *, after: timedelta, limit: int, now: datetime
    ) -> Sequence[T_co]:
        """Take announcements that expired, under new event ids; at most a page."""
        ...

    async def unanswered(self, *, after: timedelta, limit: int, now: datetime) -> Mapping[str, int]:
        """Return per source how many were repeated in vain.

        Of files, those that leave bronze in the wrong: it never had one that exists, or still has
        one that does not. A modification without an answer is not among them: its content may be
        what bronze had before.
        """
        ...


class AuditTrail(Protocol):
    """Decisions that a person may have to explain later (S1-34)."""

    async def record(
        self,
        transaction: Transaction,
        *,
        actor: str,
        action: str,
        subject: str,
        details: Mapping[str, object],
    ) -> None:
        """Write one decision."""
        ...


@dataclass(frozen=True, slots=True)
class LogPiece:
    """What was added to one log file since it was copied last."""

    name: str
    """Relative to the log folder, e.g. `Errors/scanner_nas_connection.log`."""

    data: bytes


class LogFiles(Protocol):
    """The log files of this process."""

    async def take_new(self) -> Sequence[LogPiece]:
        """Return what was added since the last `commit`."""
        ...

    def commit(self) -> None:
        """Count what was taken as copied."""
        ...
