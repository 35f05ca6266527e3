"""What ingestion needs of the world; adapters provide it, tests fake it."""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from chassis.db import Transaction
from chassis.errors import PermanentError
from chassis.shares.port import FileContent
from ingestor.domain.versions import Document, ExternalKey, NewVersion, Written


@dataclass(frozen=True, slots=True)
class RecordError:
    """One record that could not be ingested."""

    source: str
    external_id: str
    event_id: str
    attempts: int
    error: PermanentError


class Catalog(Protocol):
    """The bronze layer."""

    async def sequences(self, keys: Sequence[ExternalKey]) -> Mapping[ExternalKey, int]:
        """Return the sequence of the last event applied to each key that has one."""
        ...

    async def append(
        self, transaction: Transaction, versions: Sequence[NewVersion]
    ) -> list[Written]:
        """Append what is new, in order per key; one answer each, in the given order."""
        ...

    async def record_errors(self, transaction: Transaction, errors: Sequence[RecordError]) -> None:
        """Write the failures beside what succeeded."""
        ...


@dataclass(frozen=True, slots=True)
class EnrichmentRequest:
    """A version whose record is to be completed."""

    source: str
    entity_type: str
    source_system: str
    external_id: str
    raw_id: int
    correlation_id: str | None
    attempts: int = 0
    """How often it was taken, this time included."""

    document: Mapping[str, Any] = field(default_factory=dict)
    """The record as the list told it."""

    @property
    def key(self) -> ExternalKey:
        """Whose version it is."""
        return self.entity_type, self.source_system, self.external_id


@dataclass(frozen=True, slots=True)
class Postponed:
    """A request to be tried again."""

    request: EnrichmentRequest
    seconds: float
    reason: str


class Enrichments(Protocol):
    """What is still to be completed."""

    async def request(
        self, transaction: Transaction, requests: Sequence[EnrichmentRequest]
    ) -> None:
        """Ask for records to be completed; a newer version replaces the request for an older."""
        ...

    async def withdraw(self, transaction: Transaction, keys: Sequence[ExternalKey]) -> None:
        """Forget requests: their records are deleted."""
        ...

    async def take(
        self, source: str, *, limit: int, lease_seconds: float
    ) -> list[EnrichmentRequest]:
        """Take requests that are due; nobody else gets them before the lease is over."""
        ...

    async def still_wanted(
        self, transaction: Transaction, requests: Sequence[EnrichmentRequest]
    ) -> set[ExternalKey]:
        """Return those whose version is still the latest, locked until the transaction ends."""
        ...

    async def settle(self, transaction: Transaction, requests: Sequence[EnrichmentRequest]) -> None:
        """Forget requests that were answered, unless a newer one has taken their place."""
        ...

    async def postpone(self, transaction: Transaction, items: Sequence[Postponed]) -> None:
        """Have requests tried again later."""
        ...

    async def waiting(self) -> Mapping[str, int]:
        """Return how many requests wait, per source."""
        ...


class FullForms(Protocol):
    """The calls that complete records."""

    async def fetch(self, source: str, external_id: str) -> Mapping[str, Any]:
        """Return the full form of a record.

        Raises what `chassis.http.client.HttpClient.fetch` raises.
        """
        ...


class Files(Protocol):
    """The shares of all configured sources.

    Raises what `chassis.shares.port.Share.read_file` raises.
    """

    async def read(self, source: str, path: str, *, max_bytes: int) -> FileContent:
        """Read one file."""
        ...


@dataclass(frozen=True, slots=True)
class ParseTask:
    """A file to parse."""

    parser: str
    path: str
    data: bytes
    max_bytes: int
    extra: Mapping[str, Any]
    """What the event knows beyond the file; becomes part of the document."""


@dataclass(frozen=True, slots=True)
class Parsed:
    """What a file says."""

    entity_id: str
    document: bytes
    """Canonical JSON."""

    content_hash: str
    names: frozenset[str] = frozenset()
    """What the file is built of."""


class Parser(Protocol):
    """Turns bytes into documents without holding up the event loop."""

    async def parse(self, task: ParseTask) -> Parsed:
        """Parse a file.

        Raises:
            UnparseableError: it is no document of the expected kind, or not a safe one.
        """
        ...


class Scratch(Protocol):
    """Holds the documents of a batch without holding them all in memory."""

    async def keep(self, data: bytes) -> Document:
        """Take a document until the scratch is closed."""
        ...


class OpenScratch(Protocol):
    """Makes a scratch for one batch."""

    def __call__(self) -> contextlib.AbstractAsyncContextManager[Scratch]:
        """Open it; everything kept ends with it."""
        ...
