import contextlib
from collections.abc import AsyncGenerator, Mapping, Sequence

import pytest

from chassis.clock import SystemClock
from chassis.errors import TransientError
from chassis.shares.port import FileChangedError, ShareLogonError, ShareUnavailableError
from chassis.testing.blobs import MemoryBlobs
from contracts.envelope import Event
from contracts.files import FileChange, FileChanged
from contracts.layers import BronzeOperation, BronzeStored
from ingestor.adapters.parser_pool import ParserPool
from ingestor.domain.versions import Document, ExternalKey, InMemory
from ingestor.errors import VanishedFileError
from ingestor.handlers.fetching import Fetcher
from ingestor.handlers.ingest_files import IngestFiles
from ingestor.ports import Scratch
from ingestor.settings import IngestSection, IngestSettings
from tests.unit.ingestor.file_batches import (
    Delivered,
    ScriptedFiles,
    deliver,
    file_event,
    transcript,
)
from tests.unit.ingestor.memory_catalog import MemoryCatalog

ADDED, MODIFIED, DELETED = FileChange.ADDED, FileChange.MODIFIED, FileChange.DELETED
STORED, TOMBSTONED = BronzeOperation.STORED, BronzeOperation.TOMBSTONED
UNCHANGED = BronzeOperation.UNCHANGED
SECTION = IngestSection(entity_type="transcript", parser="transcript_xml", max_bytes=1_000_000)


class MemoryScratch:
    async def keep(self, data: bytes) -> Document:
        return InMemory(data)


@contextlib.asynccontextmanager
async def open_scratch() -> AsyncGenerator[Scratch]:
    yield MemoryScratch()


async def no_sleep(_: float) -> None:
    return


class Service:
    """The handler with everything around it in memory."""

    def __init__(self) -> None:
        self.catalog = MemoryCatalog()
        self.blobs = MemoryBlobs()
        self.files = ScriptedFiles({})

    def on_share(self, answers: Mapping[str, bytes | Sequence[bytes | Exception]]) -> None:
        self.files = ScriptedFiles(
            {path: [item] if isinstance(item, bytes) else item for path, item in answers.items()}
        )

    async def receive(self, *events: Event[FileChanged], attempt: int = 1) -> Delivered:
        delivered = deliver(*events, attempt=attempt)
        fetcher = Fetcher(
            IngestSettings.model_validate({"INGESTOR_BATCH_ATTEMPTS": 4}),
            files=self.files,
            blobs=self.blobs,
            parser=ParserPool(1),
            clock=SystemClock(),
            sleep=no_sleep,
        )
        ingest = IngestFiles(
            {"nas": SECTION}, catalog=self.catalog, fetcher=fetcher, open_scratch=open_scratch
        )
        await ingest(delivered.batch)
        return delivered

    def operations(self, path: str = "a.xml") -> list[BronzeOperation]:
        return [item.operation for item in self.catalog.versions.get(key_of(path), [])]


def key_of(path: str) -> ExternalKey:
    return "transcript", "nas", path


@pytest.fixture
def service() -> Service:
    return Service()


@pytest.mark.covers("S1-42", "S2-14")
async def test_an_added_file_becomes_a_version_and_an_event(service: Service) -> None:
    service.on_share({"RY-CA_Q1_2024_Raw_12345_7.xml": transcript()})
    delivered = await service.receive(file_event(path="RY-CA_Q1_2024_Raw_12345_7.xml"))
    [version] = service.catalog.versions[key_of("RY-CA_Q1_2024_Raw_12345_7.xml")]
    assert delivered.published == [
        BronzeStored(
            operation=STORED,
            entity_type="transcript",
            entity_id="RY-CA/12345",
            source_system="nas",
            external_id="RY-CA_Q1_2024_Raw_12345_7.xml",
            version=1,
            content_hash=version.content_hash,
            blob_key=version.blob_key,
        )
    ]
    assert delivered.causes == ["event-RY-CA_Q1_2024_Raw_12345_7.xml-1"]
    assert delivered.batch.settled


@pytest.mark.covers("S2-14")
async def test_a_file_that_was_touched_and_says_the_same_is_answered_and_not_kept_again(
    service: Service,
) -> None:
    service.on_share({"a.xml": transcript()})
    await service.receive(file_event(sequence=1))
    delivered = await service.receive(file_event(MODIFIED, sequence=2))
    assert [(item.operation, item.version) for item in delivered.published] == [(UNCHANGED, 1)]
    assert service.operations() == [STORED]
    assert service.catalog.applied[key_of("a.xml")] == 2


async def test_an_event_that_was_applied_before_is_not_even_fetched(service: Service) -> None:
    service.on_share({"a.xml": transcript()})
    await service.receive(file_event(sequence=5))
    delivered = await service.receive(file_event(sequence=5), file_event(MODIFIED, sequence=4))
    assert service.files.reads == ["a.xml"]
    assert delivered.published == []
    assert delivered.rejected == {}


@pytest.mark.covers("S1-43")
async def test_a_deletion_becomes_a_tombstone_of_the_same_entity(service: Service) -> None:
    service.on_share({"a.xml": transcript()})
    stored = await service.receive(file_event(sequence=1))
    deleted = await service.receive(file_event(DELETED, sequence=2))
    restored = await service.receive(file_event(sequence=3))
    [tombstone] = deleted.published
    assert tombstone == BronzeStored(
        operation=TOMBSTONED,
        entity_type="transcript",
        entity_id=stored.published[0].entity_id,
        source_system="nas",
        external_id="a.xml",
        version=2,
    )
    assert [item.version for item in restored.published] == [3]
    assert service.operations() == [STORED, TOMBSTONED, STORED]


@pytest.mark.covers("S1-43")
async def test_a_deletion_of_something_unknown_is_answered_and_changes_nothing(
    service: Service,
) -> None:
    delivered = await service.receive(file_event(DELETED))
    assert [(item.operation, item.version) for item in delivered.published] == [(UNCHANGED, 0)]
    assert service.catalog.versions == {}
    assert delivered.rejected == {}


async def test_several_states_in_a_batch_are_fetched_once(service: Service) -> None:
    service.on_share({"a.xml": transcript("last")})
    delivered = await service.receive(
        file_event(ADDED, sequence=1),
        file_event(MODIFIED, sequence=2),
        file_event(MODIFIED, sequence=3),
    )
    assert service.files.reads == ["a.xml"]
    assert delivered.causes == ["event-a.xml-3"]
    assert service.catalog.applied[key_of("a.xml")] == 3


async def test_deleted_and_back_in_one_batch_is_a_tombstone_and_a_version(
    service: Service,
) -> None:
    service.on_share({"a.xml": transcript()})
    await service.receive(file_event(sequence=1))
    delivered = await service.receive(file_event(DELETED, sequence=2), file_event(sequence=3))
    assert [(item.operation, item.version) for item in delivered.published] == [
        (TOMBSTONED, 2),
        (STORED, 3),
    ]


@pytest.mark.covers("S2-28", "E-04")
async def test_one_bad_file_is_a_dead_letter_and_the_rest_goes_on(service: Service) -> None:
    service.on_share({"a.xml": transcript(), "bad.xml": b"<transcript>", "c.xml": transcript()})
    delivered = await service.receive(
        file_event(path="a.xml"), file_event(path="bad.xml"), file_event(path="c.xml"), attempt=2
    )
    assert delivered.rejected == {"bad.xml": "content_parse"}
    assert [item.external_id for item in delivered.published] == ["a.xml", "c.xml"]
    [error] = service.catalog.errors
    assert (error.source, error.external_id, error.event_id, error.attempts) == (
        "nas",
        "bad.xml",
        "event-bad.xml-1",
        2,
    )


async def test_a_dead_letter_can_be_replayed_once_its_file_is_good(service: Service) -> None:
    service.on_share({"a.xml": b"<transcript>"})
    event = file_event(sequence=7)
    assert (await service.receive(event)).rejected == {"a.xml": "content_parse"}
    service.on_share({"a.xml": transcript()})
    assert len((await service.receive(event)).published) == 1


async def test_a_bad_new_state_leaves_the_last_good_one_in_place(service: Service) -> None:
    service.on_share({"a.xml": transcript()})
    await service.receive(file_event(sequence=1))
    service.on_share({"a.xml": b"<transcript>"})
    await service.receive(file_event(MODIFIED, sequence=2))
    assert service.operations() == [STORED]


@pytest.mark.parametrize(
    ("event", "category"),
    [
        (file_event(source="elsewhere"), "config_validation"),
        (file_event(path="../secret.xml"), "path_validation"),
        (file_event(path="a\\b.xml"), "path_validation"),
        (file_event(path="a\x00.xml"), "path_validation"),
        (file_event(path="．．/x.xml"), "path_validation"),  # noqa: RUF001 - that is the attack
    ],
)
async def test_what_may_not_be_asked_for_is_rejected_before_anything_is_touched(
    service: Service, event: Event[FileChanged], category: str
) -> None:
    delivered = await service.receive(event)
    assert list(delivered.rejected.values()) == [category]
    assert service.files.reads == []
    assert len(service.catalog.errors) == 1


async def test_a_file_that_is_gone_is_listed_and_is_no_dead_letter(service: Service) -> None:
    delivered = await service.receive(file_event())
    assert delivered.rejected == {}
    assert delivered.published == []
    [error] = service.catalog.errors
    assert error.external_id == "a.xml"
    assert isinstance(error.error, VanishedFileError)


@pytest.mark.parametrize(
    ("answers", "wait"),
    [
        ([ShareUnavailableError()], None),
        ([FileChangedError()], 2.0),
        ([ShareLogonError(retry_after=300.0)], 300.0),
    ],
)
async def test_an_outage_leaves_nothing_and_asks_for_the_batch_again(
    service: Service, answers: list[Exception], wait: float | None
) -> None:
    service.on_share({"a.xml": transcript(), "b.xml": answers})
    with pytest.raises(TransientError) as caught:
        await service.receive(file_event(path="a.xml"), file_event(path="b.xml"))
    assert caught.value.retry_after == wait
    assert service.catalog.versions == {}


async def test_a_file_that_never_rests_does_not_block_the_others_for_ever(
    service: Service,
) -> None:
    service.on_share({"a.xml": transcript(), "b.xml": [FileChangedError()]})
    delivered = await service.receive(file_event(path="a.xml"), file_event(path="b.xml"), attempt=4)
    assert delivered.rejected == {"b.xml": "nas_download"}
    assert [item.external_id for item in delivered.published] == ["a.xml"]
