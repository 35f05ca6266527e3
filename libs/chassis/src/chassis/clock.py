"""The time, as a thing that is passed in, so that tests control it."""

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Tells the time."""

    def now(self) -> datetime:
        """Return the present time, aware and in UTC."""
        ...

    def monotonic(self) -> float:
        """Return seconds that never go backwards, for measuring spans."""
        ...


class SystemClock:
    """The clock of this machine."""

    def now(self) -> datetime:
        """Return the present time, aware and in UTC."""
        return datetime.now(UTC)  # noqa: TID251 - the one place where the system's clock is read

    def monotonic(self) -> float:
        """Return seconds that never go backwards, for measuring spans."""
        return time.monotonic()
