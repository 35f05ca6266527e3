"""One file from the share to a version that is ready to be written.

The bytes are in the object store before anything is said about them. Whatever happens here is
harmless to repeat: reading changes nothing, and objects are named by their content.
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

from chassis.blobs.port import BlobStore, content_key
from chassis.bus.delivery import Delivery
from chassis.clock import Clock
from chassis.errors import PermanentError, TransientError
from chassis.shares.port import (
    FileChangedError,
    FileContent,
    ShareBusyError,
    ShareNotFoundError,
    UnsupportedServerError,
)
from contracts.files import FileChange, FileChanged
from contracts.layers import BronzeOperation
from ingestor import metrics
from ingestor.domain.versions import NewVersion, external_id_of
from ingestor.errors import UnparseableError, UnreadableFileError
from ingestor.handlers.budget import ByteBudget
from ingestor.ports import Files, Parsed, Parser, ParseTask, Scratch
from ingestor.settings import IngestSection, IngestSettings

REST_SECONDS = 0.1
"""Before a file is taken again at once; doubles each time."""

RETRY_AFTER_SECONDS = 2.0
"""Before the batch is tried again because of a file that does not rest."""

OPERATOR_RETRY_AFTER_SECONDS = 60.0

WEIGHT = 5
"""Memory that a file takes while it is parsed, in multiples of its size: bytes, tree, JSON."""

FLOOR_BYTES = 64 * 1024
LOOK_FIRST_BYTES = 256 * 1024
"""From here on it pays to ask whether the object exists before sending it."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Sleep = Callable[[float], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class FileEvent:
    """An event about a file of a configured source."""

    delivery: Delivery[FileChanged]
    section: IngestSection

    @property
    def data(self) -> FileChanged:
        """What the event says."""
        return self.delivery.data

    @property
    def change(self) -> FileChange:
        """What happened."""
        return self.delivery.data.change

    @property
    def sequence(self) -> int | None:
        """Its place among the events of the path."""
        return self.delivery.event.sequence


@dataclass(frozen=True, slots=True)
class Ready:
    """Fetched, stored and parsed."""

    version: NewVersion
    names: frozenset[str] = frozenset()
    """What the file is built of."""


@dataclass(frozen=True, slots=True)
class Vanished:
    """Gone since the scan.

    No version and no dead letter: the next scan announces the deletion, and an announcement that
    nobody answered is repeated.
    """


@dataclass(frozen=True, slots=True)
class Refused:
    """Never going to work; the bytes, where there are any, are kept."""

    error: PermanentError


Fetched: TypeAlias = Ready | Vanished | Refused


class Fetcher:
    """Takes files up as concurrency and memory allow."""

    def __init__(
        self,
        settings: IngestSettings,
        *,
        files: Files,
        blobs: BlobStore,
        parser: Parser,
        clock: Clock,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._settings = settings
        self._files = files
        self._blobs = blobs
        self._parser = parser
        self._clock = clock
        self._sleep = sleep
        self._places = asyncio.Semaphore(settings.fetch_concurrency)
        self._budget = ByteBudget(settings.memory_bytes)

    async def fetch(self, event: FileEvent, scratch: Scratch, *, attempt: int) -> Fetched:
        """Make a version of a file's present state.

        Raises:
            TransientError: the share or the store does not answer, or the file does not rest.
        """
        announced = event.data.current.size_bytes if event.data.current else 0
        async with self._places, self._budget.reserve(announced * WEIGHT + FLOOR_BYTES):
            try:
                content = await self._read(event, attempt)
                return await self._keep(event, content, scratch)
            except ShareNotFoundError:
                return Vanished()
            except UnsupportedServerError as error:
                # The server's policy, not this file: no message may die of it.
                raise TransientError(
                    error.message,
                    retry_after=OPERATOR_RETRY_AFTER_SECONDS,
                    category=error.category,
                ) from error
            except PermanentError as error:
                return Refused(error)

    async def _read(self, event: FileEvent, attempt: int) -> FileContent:
        """Read a file, again if it changed, is held, or is missing for a moment."""
        for number in range(self._settings.read_attempts):
            try:
                return await self._read_once(event)
            except (FileChangedError, ShareBusyError) as error:
                restless: FileChangedError | ShareBusyError | ShareNotFoundError = error
            except ShareNotFoundError as error:
                # Programs that replace a file take it away for a moment.
                restless = error
            if number + 1 < self._settings.read_attempts:
                await self._sleep(REST_SECONDS * 2**number)
        if isinstance(restless, ShareNotFoundError):
            raise restless
        if attempt >= self._settings.batch_attempts:
            raise UnreadableFileError(f"{restless.message} ({attempt} attempts)") from restless
        raise TransientError(
            restless.message, retry_after=RETRY_AFTER_SECONDS, category=restless.category
        ) from restless

    async def _read_once(self, event: FileEvent) -> FileContent:
        source = event.data.source
        started = self._clock.monotonic()
        content = await self._files.read(source, event.data.path, max_bytes=event.section.max_bytes)
        metrics.FETCH_DURATION.labels(source).observe(self._clock.monotonic() - started)
        metrics.FETCHED_BYTES.labels(source).inc(len(content.data))
        return content

    async def _keep(self, event: FileEvent, content: FileContent, scratch: Scratch) -> Ready:
        key = await self._store(content.data)
        parsed = await self._parse(event, content.data, key)
        version = NewVersion(
            operation=BronzeOperation.STORED,
            entity_type=event.section.entity_type,
            source_system=event.data.source,
            external_id=external_id_of(event.data.path),
            entity_id=parsed.entity_id,
            document=await scratch.keep(parsed.document),
            content_hash=parsed.content_hash,
            blob_key=key,
            blob_sha256=hashlib.sha256(content.data).hexdigest(),
            size_bytes=len(content.data),
            source_modified_at=_time_of(content.modified_us),
            sequence=event.sequence,
            event_id=event.delivery.event.id,
            correlation_id=event.delivery.event.correlationid or event.delivery.event.id,
        )
        return Ready(version, parsed.names)

    async def _store(self, data: bytes) -> str:
        key = content_key(data)
        if len(data) < LOOK_FIRST_BYTES or not await self._blobs.exists(key):
            await self._blobs.put_if_absent(key, data)
        return key

    async def _parse(self, event: FileEvent, data: bytes, blob_key: str) -> Parsed:
        institution = event.data.institution
        task = ParseTask(
            parser=event.section.parser,
            path=event.data.path,
            data=data,
            max_bytes=event.section.max_bytes,
            extra={"institution": institution.model_dump() if institution else None},
        )
        started = self._clock.monotonic()
        try:
            return await self._parser.parse(task)
        except UnparseableError as error:
            raise type(error)(
                f"{error.message}; the bytes are kept as {blob_key}",
                category=error.category,
                blob_key=blob_key,
                **error.facts,
            ) from error
        finally:
            elapsed = self._clock.monotonic() - started
            metrics.PARSE_DURATION.labels(task.parser).observe(elapsed)


def _time_of(microseconds: int) -> datetime | None:
    try:
        return _EPOCH + timedelta(microseconds=microseconds)
    except OverflowError:
        return None  # servers are known to invent years that no calendar has
