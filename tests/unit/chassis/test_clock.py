"""The one place where the system's clock is read."""

import time
from datetime import UTC, datetime, timedelta

from chassis.clock import SystemClock


def test_the_time_is_aware_and_in_utc() -> None:
    now = SystemClock().now()

    assert now.tzinfo is UTC
    assert abs(now - datetime.fromtimestamp(time.time(), UTC)) < timedelta(seconds=5)


def test_spans_never_go_backwards() -> None:
    clock = SystemClock()

    assert clock.monotonic() <= clock.monotonic()
