"""What the ingestor listens to."""

from chassis.bus.broker import Bus
from chassis.bus.delivery import Handler
from contracts.topics import (
    FILE_CHANGED,
    RECORD_CHANGED,
    REPLAY_REQUESTED,
    RUN_CANCEL_REQUESTED,
    SCHEMA_DECISION_REQUESTED,
)


def subscribe(
    bus: Bus,
    *,
    files: Handler,
    records: Handler,
    cancel: Handler,
    replay: Handler,
    decisions: Handler,
) -> None:
    """Connect handlers to topics."""
    bus.subscribe(FILE_CHANGED, files)
    bus.subscribe(RECORD_CHANGED, records)
    bus.subscribe(RUN_CANCEL_REQUESTED, cancel)
    bus.subscribe(REPLAY_REQUESTED, replay)
    bus.subscribe(SCHEMA_DECISION_REQUESTED, decisions)
