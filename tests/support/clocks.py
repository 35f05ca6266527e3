"""A clock for tests that have no time to wait."""

import asyncio
from datetime import UTC, datetime, timedelta


class HandClock:
    """Stands still until a test moves it, or somebody sleeps by it."""

    def __init__(self, start: datetime = datetime(2026, 3, 1, 12, tzinfo=UTC)) -> None:
        self._start = start
        self.seconds = 0.0
        """Since the start."""

    def now(self) -> datetime:
        return self._start + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        return self.seconds

    def advance(self, seconds: float = 0, *, minutes: float = 0, hours: float = 0) -> None:
        self.seconds += seconds + 60 * minutes + 3600 * hours

    def advance_to(self, moment: datetime) -> None:
        self.advance((moment - self.now()).total_seconds())

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0)
        self.advance(seconds)
