"""Which topics the mirror reads, and who handles them."""

from chassis.bus.broker import Bus
from chassis.bus.delivery import Handler
from contracts.topics import (
    REPLAY_REQUESTED,
    RUN_CANCEL_REQUESTED,
    SCHEMA_DECISION_REQUESTED,
    WRDS_SYNC_REQUESTED,
)


def subscribe(
    bus: Bus, *, sync: Handler, cancel: Handler, replay: Handler, decisions: Handler
) -> None:
    """Attach the handlers."""
    bus.subscribe(WRDS_SYNC_REQUESTED, sync)
    bus.subscribe(RUN_CANCEL_REQUESTED, cancel)
    bus.subscribe(REPLAY_REQUESTED, replay)
    bus.subscribe(SCHEMA_DECISION_REQUESTED, decisions)
