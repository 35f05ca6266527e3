"""Which topics the scanner reads, and who handles them."""

from chassis.bus.broker import Bus
from chassis.bus.delivery import Handler
from contracts.topics import (
    BRONZE_STORED,
    FLOW_REQUESTED,
    REPLAY_REQUESTED,
    RUN_CANCEL_REQUESTED,
    SCAN_REQUESTED,
)


def subscribe(
    bus: Bus, *, scan: Handler, flow: Handler, cancel: Handler, replay: Handler, answers: Handler
) -> None:
    """Attach the handlers."""
    bus.subscribe(SCAN_REQUESTED, scan)
    bus.subscribe(FLOW_REQUESTED, flow)
    bus.subscribe(RUN_CANCEL_REQUESTED, cancel)
    bus.subscribe(REPLAY_REQUESTED, replay)
    bus.subscribe(BRONZE_STORED, answers)
