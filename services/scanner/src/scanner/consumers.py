"""Which topics the scanner reads, and who handles them."""

from chassis.bus.broker import Bus
from chassis.bus.delivery import Handler
from contracts.topics import BRONZE_STORED, RUN_CANCEL_REQUESTED, SCAN_REQUESTED


def subscribe(bus: Bus, *, scan: Handler, cancel: Handler, answers: Handler) -> None:
    """Attach the handlers."""
    bus.subscribe(SCAN_REQUESTED, scan)
    bus.subscribe(RUN_CANCEL_REQUESTED, cancel)
    bus.subscribe(BRONZE_STORED, answers)
