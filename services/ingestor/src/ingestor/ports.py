"""What ingestion needs of the world; adapters provide it, tests fake it."""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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
