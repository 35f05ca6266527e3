"""The sessions of the New York Stock Exchange, and which of them must be here by now (S5-51).

The archive publishes a session's data overnight; "late" means not here at 8 AM Eastern Time of the
next calendar day. Weekends and holidays make nothing due.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime, timedelta

import holidays

from wrds_sync.domain.lateness import NEW_YORK, due_at

_SATURDAY = 5
_LOOK_BACK_DAYS = 14
"""The exchange was never closed for longer, since 1914."""


class ExchangeSessions:
    """The calendar of the exchange, unscheduled closures included."""

    def __init__(self) -> None:
        # The first question about a year computes it; the loop must not wait.
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="calendar")
        self._closed = holidays.financial_holidays("NYSE")

    async def last_session_due(self, now: datetime) -> date | None:
        """Return the latest session whose data should be here by now."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._executor, self._last_session_due, now)

    def _last_session_due(self, now: datetime) -> date | None:
        today = now.astimezone(NEW_YORK).date()
        for days in range(1, _LOOK_BACK_DAYS):
            day = today - timedelta(days=days)
            if self._is_session(day) and due_at(day) <= now:
                return day
        return None

    def _is_session(self, day: date) -> bool:
        return day.weekday() < _SATURDAY and day not in self._closed
