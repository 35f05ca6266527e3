"""What the ingestor listens to."""

from chassis.bus.broker import Bus
from chassis.bus.delivery import Handler
from contracts.topics import FILE_CHANGED, RECORD_CHANGED


def subscribe(bus: Bus, *, files: Handler, records: Handler) -> None:
    """Connect handlers to topics."""
    bus.subscribe(FILE_CHANGED, files)
    bus.subscribe(RECORD_CHANGED, records)
