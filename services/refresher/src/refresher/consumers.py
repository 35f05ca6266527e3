"""Which topics the refresher reads, and who handles them."""

from chassis.bus.broker import Bus
from chassis.bus.delivery import Handler
from contracts.topics import (
    REFRESH_APPROVE_REQUESTED,
    REFRESH_PREVIEW_REQUESTED,
    REFRESH_REQUESTED,
    REFRESH_UNDO_REQUESTED,
    REPLAY_REQUESTED,
    RUN_CANCEL_REQUESTED,
    SCHEMA_DECISION_REQUESTED,
)


def subscribe(
    bus: Bus,
    *,
    refresh: Handler,
    approve: Handler,
    undo: Handler,
    preview: Handler,
    cancel: Handler,
    replay: Handler,
    decisions: Handler,
) -> None:
    """Attach the handlers."""
    bus.subscribe(REFRESH_REQUESTED, refresh)
    bus.subscribe(REFRESH_APPROVE_REQUESTED, approve)
    bus.subscribe(REFRESH_UNDO_REQUESTED, undo)
    bus.subscribe(REFRESH_PREVIEW_REQUESTED, preview)
    bus.subscribe(RUN_CANCEL_REQUESTED, cancel)
    bus.subscribe(REPLAY_REQUESTED, replay)
    bus.subscribe(SCHEMA_DECISION_REQUESTED, decisions)
