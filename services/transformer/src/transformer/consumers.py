"""What the transformer listens to."""

from chassis.bus.broker import Bus
from chassis.bus.delivery import Handler
from contracts.topics import (
    BRONZE_STORED,
    REPLAY_REQUESTED,
    RUN_CANCEL_REQUESTED,
    TRANSFORM_REQUESTED,
)


def subscribe(
    bus: Bus, *, transform: Handler, command: Handler, cancel: Handler, replay: Handler
) -> None:
    """Connect topics to handlers."""
    bus.subscribe(BRONZE_STORED, transform)
    bus.subscribe(TRANSFORM_REQUESTED, command)
    bus.subscribe(RUN_CANCEL_REQUESTED, cancel)
    bus.subscribe(REPLAY_REQUESTED, replay)
