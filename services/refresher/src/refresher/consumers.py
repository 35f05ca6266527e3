"""Which topics the refresher reads, and who handles them."""

from chassis.bus.broker import Bus
from chassis.bus.delivery import Handler
from contracts.topics import REFRESH_REQUESTED, RUN_CANCEL_REQUESTED


def subscribe(bus: Bus, *, refresh: Handler, cancel: Handler) -> None:
    """Attach the handlers."""
    bus.subscribe(REFRESH_REQUESTED, refresh)
    bus.subscribe(RUN_CANCEL_REQUESTED, cancel)
