from typing import Any, cast

from chassis.bus.delivery import Batch
from contracts.topics import FILE_CHANGED, RECORD_CHANGED
from ingestor.consumers import subscribe


class RecordingBus:
    def __init__(self) -> None:
        self.subscribed: list[tuple[object, object]] = []

    def subscribe(self, topic: object, handler: object) -> None:
        self.subscribed.append((topic, handler))


async def ingest_files(_: Batch[Any]) -> None:
    return


async def ingest_records(_: Batch[Any]) -> None:
    return


def test_each_kind_of_event_goes_to_its_handler() -> None:
    bus = RecordingBus()
    subscribe(cast("Any", bus), files=ingest_files, records=ingest_records)
    assert bus.subscribed == [(FILE_CHANGED, ingest_files), (RECORD_CHANGED, ingest_records)]
