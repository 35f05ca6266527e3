"""What the ingestor listens to."""

from chassis.bus.broker import Bus
from chassis.bus.delivery import Handler
from contracts.topics import FILE_CHANGED


def subscribe(bus: Bus, *, ingest: Handler) -> None:
    """Connect handlers to topics."""
    bus.subscribe(FILE_CHANGED, ingest)
