import asyncio
from pathlib import Path
from typing import Any, cast

import pytest

from chassis.errors import UnavailableError
from chassis.settings import load_settings
from chassis.sources import ConfigError, SourcesConfig
from chassis.testing.blobs import MemoryBlobs
from contracts.files import FileChange
from ingestor import app
from ingestor.settings import IngestorSettings
from tests.unit.ingestor.file_batches import deliver, file_event, transcript
from tests.unit.ingestor.memory_catalog import MemoryCatalog

SETTINGS = load_settings(
    IngestorSettings,
    environment={"KAFKA_BOOTSTRAP_SERVERS": "b:9092", "DATABASE_URL": "postgresql://h/d"},
)


def sources(share: dict[str, str], parser: str = "transcript_xml") -> SourcesConfig:
    ingest = {"entity_type": "transcript", "parser": parser}
    source = {"name": "nas", "share": share, "ingest": ingest}
    return SourcesConfig.model_validate({"version": 1, "sources": [source]})


async def test_the_parts_fit_together(tmp_path: Path) -> None:
    (tmp_path / "a.xml").write_bytes(transcript())
    catalog, blobs = MemoryCatalog(), MemoryBlobs()
    config = sources({"kind": "local", "root": str(tmp_path)})
    async with app.handler(SETTINGS, config, catalog=catalog, blobs=blobs) as ingest:
        delivered = deliver(file_event(FileChange.ADDED, "a.xml"))
        await ingest(delivered.batch)
    assert [item.external_id for item in delivered.published] == ["a.xml"]
    assert len(blobs.objects) == 1


@pytest.mark.parametrize(
    "config", [sources({"kind": "smb"}), sources({"kind": "local", "root": "/x"}, "pdf")]
)
async def test_a_configuration_that_cannot_work_stops_the_start(config: SourcesConfig) -> None:
    async def build() -> None:
        async with app.handler(SETTINGS, config, catalog=MemoryCatalog(), blobs=MemoryBlobs()):
            pass

    with pytest.raises(ConfigError):
        await build()


async def test_the_object_store_is_probed() -> None:
    blobs = MemoryBlobs()
    await app.probe(blobs)()
    blobs.fail_next([UnavailableError()])
    with pytest.raises(UnavailableError):
        await app.probe(blobs)()


async def test_partitions_are_looked_after_again_and_again_whatever_happens(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Partitions:
        def __init__(self) -> None:
            self.answers: list[int | Exception] = [2, UnavailableError(), 0, 0]

        async def create_partitions(self) -> int:
            answer = self.answers.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer

    partitions = Partitions()
    monkeypatch.setattr(app, "PARTITION_CHECK_SECONDS", 0)
    with pytest.raises(IndexError):
        async with asyncio.timeout(5):
            await app.keep_partitions(cast("Any", partitions))()
