import functools
from typing import Any, cast

from chassis.bus.delivery import Batch
from contracts.topics import (
    FILE_CHANGED,
    RECORD_CHANGED,
    REPLAY_REQUESTED,
    RUN_CANCEL_REQUESTED,
    SCHEMA_DECISION_REQUESTED,
)
from ingestor.consumers import subscribe


class RecordingBus:
    def __init__(self) -> None:
        self.subscribed: list[tuple[object, object]] = []

    def subscribe(self, topic: object, handler: object) -> None:
        self.subscribed.append((topic, handler))


async def handler(_: Batch[Any]) -> None:
    return


def test_each_kind_of_event_goes_to_its_handler() -> None:
    bus = RecordingBus()
    names = ("files", "records", "cancel", "replay", "decisions")
    handlers = {name: functools.partial(handler) for name in names}
    subscribe(cast("Any", bus), **handlers)
    assert bus.subscribed == [
        (FILE_CHANGED, handlers["files"]),
        (RECORD_CHANGED, handlers["records"]),
        (RUN_CANCEL_REQUESTED, handlers["cancel"]),
        (REPLAY_REQUESTED, handlers["replay"]),
        (SCHEMA_DECISION_REQUESTED, handlers["decisions"]),
    ]
