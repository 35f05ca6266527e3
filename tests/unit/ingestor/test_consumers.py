from typing import Any, cast

from chassis.bus.delivery import Batch
from contracts.topics import FILE_CHANGED
from ingestor.consumers import subscribe


class RecordingBus:
    def __init__(self) -> None:
        self.subscribed: list[tuple[object, object]] = []

    def subscribe(self, topic: object, handler: object) -> None:
        self.subscribed.append((topic, handler))


async def ingest(_: Batch[Any]) -> None:
    return


def test_file_events_go_to_ingestion() -> None:
    bus = RecordingBus()
    subscribe(cast("Any", bus), ingest=ingest)
    assert bus.subscribed == [(FILE_CHANGED, ingest)]
