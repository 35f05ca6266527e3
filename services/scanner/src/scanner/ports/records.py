"""What polling needs from outside: the record sources, and what is known of their records."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from chassis.db import Transaction
from contracts.runs import RunCounts
from scanner.domain.hashing import HashSpec
from scanner.domain.record_changes import RecordDifference, RecordVerdict, SeenRecord
from scanner.domain.records import (
    Abilities,
    ItemFailure,
    PollRequest,
    RecordPage,
    SourceDescription,
)
from scanner.ports import Mark


class RecordSource(Protocol):
    """A source of records, opened for one poll.

    Raises, from every call: a `TransientError` where the source does not answer (the run is tried
    again later), a `PermanentError` where it refuses the credentials or the request (the run ends,
    nothing is concluded deleted). What is wrong with one record is an `ItemFailure`; the poll goes
    on. A poll that ends without an error has told everything that was asked for, apart from its
    pages' `failures` and `gap`.

    The identity of a record, its significant fields and what became of it are the poll's affair;
    an adapter tells records as they are, in any order, in pages of bounded size.
    """

    @property
    def abilities(self) -> Abilities:
        """Which requests it can answer beside `Full`, as it is configured."""
        ...

    def poll(self, request: PollRequest) -> AsyncGenerator[RecordPage]:
        """Tell the records that are asked for, a page at a time."""
        ...

    async def describe(self) -> SourceDescription:
        """Connect, log on, and tell what was found; reads no record."""
        ...

    async def close(self) -> None:
        """Close every connection."""
        ...


@dataclass(frozen=True, slots=True)
class RecordAnnouncement:
    """A record that is announced, with the id of its event, by which the answer is recognised."""

    external_id: str
    verdict: RecordVerdict
    content_hash: bytes
    event_id: str


@dataclass(frozen=True, slots=True)
class RepeatedRecord:
    """A record whose announcement nobody answered.

    One that exists is read and announced by the next poll; a deletion has no other look to wait
    for, and is announced at once, under a new event id.
    """

    source: str
    external_id: str
    run_id: str | None = None
    event_id: str | None = None


@dataclass(frozen=True, slots=True)
class HashSpecs:
    """The specifications of a source's hashes."""

    version: int
    """Of the present one."""

    present: HashSpec
    earlier: Mapping[int, HashSpec]


class RecordInventory(Protocol):
    """The known records of all sources; every call is set-wise."""

    async def specs(
        self, transaction: Transaction, source: str, spec: HashSpec, *, adds: bool
    ) -> HashSpecs:
        """Return the versions of a source's specifications; a new one gets the next number.

        It is kept with `adds`.
        """
        ...

    async def begin(self, transaction: Transaction, source: str) -> None:
        """Forget what an earlier poll was told."""
        ...

    async def compare(
        self,
        transaction: Transaction,
        source: str,
        *,
        records: Sequence[SeenRecord],
        version: int,
        remembers: bool,
    ) -> Sequence[RecordDifference]:
        """Return the records that are not simply as before; the ids in `records` are distinct.

        With `remembers`, they count as seen by the poll in progress.
        """
        ...

    async def announce(
        self,
        transaction: Transaction,
        mark: Mark,
        *,
        announcements: Sequence[RecordAnnouncement],
        version: int,
        now: datetime,
    ) -> None:
        """Write what is announced, in the transaction of its events."""
        ...

    async def rehash(
        self, transaction: Transaction, source: str, *, records: Sequence[SeenRecord], version: int
    ) -> None:
        """Write hashes under a new version of the specification; nothing else has changed."""
        ...

    async def returned(
        self, transaction: Transaction, source: str, *, external_ids: Sequence[str]
    ) -> None:
        """Forget that these were missing, or were held as deletions."""
        ...

    async def keep_seen(
        self, transaction: Transaction, source: str, *, external_ids: Sequence[str]
    ) -> None:
        """Count as seen what failed: the source has it."""
        ...

    async def miss(self, transaction: Transaction, mark: Mark) -> None:
        """Count one more complete full poll that was not told them."""
        ...

    async def conclude(
        self, transaction: Transaction, mark: Mark, *, event_ids: Mapping[str, str], now: datetime
    ) -> None:
        """Write that deletions are announced, by id, in the transaction of their events."""
        ...

    async def count_present(self, source: str) -> int:
        """Return how many records consumers know to exist."""
        ...

    async def compare_universe(self, source: str) -> tuple[int, int]:
        """Return how many seen records are not known, and how many known ones were not seen."""
        ...

    def present(self, source: str) -> AsyncGenerator[Sequence[str]]:
        """Yield the ids of all records that consumers know to exist, in order, a page at a time."""
        ...

    async def refresh_statistics(self) -> None:
        """Have the planner look at the tables again, after they have grown."""
        ...


class PollMode(StrEnum):
    """What a poll asks for."""

    SINCE = "since"
    FULL = "full"


@dataclass(slots=True)
class PollRecord:
    """One line of the polls' history; filled while the poll runs."""

    mark: Mark
    mode: PollMode
    asked_since: str | None = None
    high_water: str | None = None
    counts: RunCounts = field(default_factory=RunCounts)
    held: int = 0
    gaps: tuple[str, ...] = ()
    outcome: str = "incomplete"


@dataclass(frozen=True, slots=True)
class Progress:
    """What earlier polls of a source left behind."""

    high_water: str | None
    last_full_at: datetime | None
    """When the last complete full poll began."""


class Polls(Protocol):
    """The history of polls, and what the next one needs."""

    async def progress(self, source: str) -> Progress:
        """Return how far the source was read."""
        ...

    async def begin(self, transaction: Transaction, record: PollRecord) -> None:
        """Write that a poll began; a resumed one begins again."""
        ...

    async def finish(
        self,
        transaction: Transaction,
        record: PollRecord,
        *,
        now: datetime,
        settled: Sequence[str] | None,
    ) -> None:
        """Write how it ended, and how far the source was read.

        Of what was due when it began, `settled` was read; None means all.
        """
        ...

    async def due(self, source: str, *, limit: int) -> Sequence[str]:
        """Return ids that the next poll has to read, whatever their time says."""
        ...

    async def note_due(
        self,
        transaction: Transaction,
        source: str,
        *,
        external_ids: Sequence[str],
        reason: str,
        now: datetime,
    ) -> None:
        """Have records read again by the next poll."""
        ...

    async def record_failures(
        self, transaction: Transaction, mark: Mark, failures: Sequence[ItemFailure]
    ) -> None:
        """Write what was wrong with single records."""
        ...

    async def purge(self, transaction: Transaction, *, before: datetime) -> None:
        """Forget old polls and long-deleted records."""
        ...


class RecordList(Protocol):
    """A text with one identity a line, for those who read files (S3-01)."""

    async def write(self, lines: Sequence[str]) -> None:
        """Replace the list; a reader sees the old one or the new one."""
        ...
