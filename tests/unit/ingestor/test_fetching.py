import asyncio
import hashlib
import json
from collections.abc import Sequence

import pytest

from chassis.clock import SystemClock
from chassis.errors import PermanentError, TransientError, UnavailableError
from chassis.shares.port import (
    FileChangedError,
    FileContent,
    FileTooLargeError,
    ShareAccessDeniedError,
    ShareBusyError,
    ShareLogonError,
    ShareNotFoundError,
    ShareUnavailableError,
    UnsupportedServerError,
)
from chassis.testing.blobs import MemoryBlobs
from contracts.errors import ErrorCategory
from ingestor.adapters.parser_pool import ParserPool
from ingestor.domain.versions import Document, InMemory
from ingestor.errors import (
    UnparseableError,
    UnreadableFileError,
    UnrecognisedError,
    UnsafeDocumentError,
)
from ingestor.handlers.fetching import Fetched, Fetcher, FileEvent, Ready, Refused, Vanished
from ingestor.ports import Files
from ingestor.settings import IngestSection, IngestSettings
from tests.unit.ingestor.file_batches import (
    MOMENT,
    ROYAL_BANK,
    ScriptedFiles,
    deliver,
    file_event,
    transcript,
)

SECTION = IngestSection(entity_type="transcript", parser="transcript_xml", max_bytes=1_000_000)
PATH = "Data/2024/Q1/Banks/RY/RY-CA_Q1_2024_Raw_12345_7.xml"
SETTINGS = IngestSettings.model_validate({"INGESTOR_BATCH_ATTEMPTS": 4})


class Keep:
    async def keep(self, data: bytes) -> Document:
        return InMemory(data)


class Rests:
    def __init__(self) -> None:
        self.seconds: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)


@pytest.fixture
def blobs() -> MemoryBlobs:
    return MemoryBlobs()


@pytest.fixture
def rests() -> Rests:
    return Rests()


def event() -> FileEvent:
    return FileEvent(
        deliver(file_event(path=PATH, institution=ROYAL_BANK)).batch.deliveries[0], SECTION
    )


async def fetch(
    answers: Sequence[bytes | Exception], blobs: MemoryBlobs, rests: Rests, *, attempt: int = 1
) -> Fetched:
    fetcher = Fetcher(
        SETTINGS,
        files=ScriptedFiles({PATH: answers}),
        blobs=blobs,
        parser=ParserPool(1),
        clock=SystemClock(),
        sleep=rests,
    )
    return await fetcher.fetch(event(), Keep(), attempt=attempt)


@pytest.mark.covers("S1-42", "E-08")
async def test_the_bytes_are_stored_and_the_version_tells_where_they_lie(
    blobs: MemoryBlobs, rests: Rests
) -> None:
    data = transcript()
    result = await fetch([data], blobs, rests)
    assert isinstance(result, Ready)
    version, digest = result.version, hashlib.sha256(data).hexdigest()
    assert blobs.objects == {f"raw/{digest}": data}
    assert (version.blob_key, version.blob_sha256) == (f"raw/{digest}", digest)
    assert (version.entity_type, version.source_system) == ("transcript", "nas")
    assert (version.external_id, version.entity_id) == (PATH, "RY-CA/12345")
    assert (version.size_bytes, version.source_modified_at) == (len(data), MOMENT)
    assert (version.sequence, version.event_id) == (1, f"event-{PATH}-1")
    assert version.correlation_id == f"lineage-{PATH}-1"
    assert version.document is not None
    document = json.loads(await version.document.load())
    assert document["institution"] == {
        "ticker": "RY-CA",
        "name": "Royal Bank of Canada",
        "type": "Canadian_Banks",
    }


async def test_large_bytes_that_are_known_are_not_sent_again(
    blobs: MemoryBlobs, rests: Rests
) -> None:
    data = transcript("word " * 60_000)
    await fetch([data], blobs, rests)
    await fetch([data], blobs, rests)
    assert [operation for operation, _ in blobs.calls] == ["exists", "put_if_absent", "exists"]


async def test_a_file_that_changes_while_it_is_read_is_taken_again(
    blobs: MemoryBlobs, rests: Rests
) -> None:
    result = await fetch([FileChangedError(), ShareBusyError(), transcript()], blobs, rests)
    assert isinstance(result, Ready)
    assert rests.seconds == [0.1, 0.2]


@pytest.mark.parametrize("error", [FileChangedError(), ShareBusyError()])
async def test_one_that_does_not_rest_is_tried_again_later(
    blobs: MemoryBlobs, rests: Rests, error: TransientError
) -> None:
    with pytest.raises(TransientError) as caught:
        await fetch([error], blobs, rests, attempt=3)
    assert caught.value.retry_after == 2.0
    assert caught.value.category is ErrorCategory.NAS_DOWNLOAD


@pytest.mark.parametrize("error", [FileChangedError(), ShareBusyError()])
async def test_and_is_refused_after_a_bounded_number_of_attempts(
    blobs: MemoryBlobs, rests: Rests, error: TransientError
) -> None:
    result = await fetch([error], blobs, rests, attempt=4)
    assert isinstance(result, Refused)
    assert isinstance(result.error, UnreadableFileError)
    assert result.error.category is ErrorCategory.NAS_DOWNLOAD


async def test_a_file_that_is_gone_has_vanished(blobs: MemoryBlobs, rests: Rests) -> None:
    result = await fetch([ShareNotFoundError()], blobs, rests)
    assert isinstance(result, Vanished)
    assert blobs.calls == []


async def test_a_file_that_is_being_replaced_is_not_gone(blobs: MemoryBlobs, rests: Rests) -> None:
    assert isinstance(await fetch([ShareNotFoundError(), transcript()], blobs, rests), Ready)


@pytest.mark.parametrize(
    "error", [FileTooLargeError(), ShareAccessDeniedError(category=ErrorCategory.NAS_DOWNLOAD)]
)
async def test_what_can_never_be_read_is_refused_with_its_own_reason(
    blobs: MemoryBlobs, rests: Rests, error: PermanentError
) -> None:
    assert await fetch([error], blobs, rests) == Refused(error)
    assert rests.seconds == []


@pytest.mark.parametrize("error", [ShareUnavailableError(), ShareLogonError(retry_after=300.0)])
async def test_an_outage_of_the_share_is_nobodys_fault(
    blobs: MemoryBlobs, rests: Rests, error: TransientError
) -> None:
    with pytest.raises(type(error)) as caught:
        await fetch([error], blobs, rests, attempt=99)
    assert caught.value is error


async def test_a_server_that_wants_another_client_kills_no_message(
    blobs: MemoryBlobs, rests: Rests
) -> None:
    with pytest.raises(TransientError) as caught:
        await fetch([UnsupportedServerError()], blobs, rests, attempt=99)
    assert caught.value.retry_after == 60.0


@pytest.mark.covers("S2-28", "E-04")
@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"", UnparseableError),
        (transcript()[:-20], UnparseableError),
        (b"<!DOCTYPE x><transcript/>", UnsafeDocumentError),
        (b"<html/>", UnrecognisedError),
    ],
)
async def test_the_bytes_of_an_unparseable_file_are_kept_and_the_reason_says_where(
    blobs: MemoryBlobs, rests: Rests, data: bytes, kind: type[UnparseableError]
) -> None:
    result = await fetch([data], blobs, rests)
    key = f"raw/{hashlib.sha256(data).hexdigest()}"
    assert isinstance(result, Refused)
    assert type(result.error) is kind
    assert result.error.category is ErrorCategory.CONTENT_PARSE
    assert result.error.message.endswith(f"the bytes are kept as {key}")
    assert result.error.facts["blob_key"] == key
    assert blobs.objects == {key: data}


async def test_nothing_is_parsed_before_it_is_stored(blobs: MemoryBlobs, rests: Rests) -> None:
    blobs.fail_next([UnavailableError()])
    with pytest.raises(UnavailableError):
        await fetch([transcript()], blobs, rests)


async def test_a_time_beyond_the_calendar_is_no_time(blobs: MemoryBlobs, rests: Rests) -> None:
    class FarFuture:
        async def read(self, source: str, path: str, *, max_bytes: int) -> FileContent:
            del source, path, max_bytes
            return FileContent(data=transcript(), modified_us=10**18)

    fetcher = fetcher_of(FarFuture(), blobs, rests)
    result = await fetcher.fetch(event(), Keep(), attempt=1)
    assert isinstance(result, Ready)
    assert result.version.source_modified_at is None


def fetcher_of(files: Files, blobs: MemoryBlobs, rests: Rests, **settings: int) -> Fetcher:
    return Fetcher(
        IngestSettings.model_validate(settings),
        files=files,
        blobs=blobs,
        parser=ParserPool(1),
        clock=SystemClock(),
        sleep=rests,
    )


async def test_no_more_files_are_on_their_way_than_allowed(
    blobs: MemoryBlobs, rests: Rests
) -> None:
    class Counting:
        now = most = 0

        async def read(self, source: str, path: str, *, max_bytes: int) -> FileContent:
            del source, path, max_bytes
            self.now += 1
            self.most = max(self.most, self.now)
            await asyncio.sleep(0)
            self.now -= 1
            return FileContent(data=transcript(), modified_us=0)

    files = Counting()
    fetcher = fetcher_of(files, blobs, rests, INGESTOR_FETCH_CONCURRENCY=3)
    await asyncio.gather(*(fetcher.fetch(event(), Keep(), attempt=1) for _ in range(20)))
    assert files.most == 3
