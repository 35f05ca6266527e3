"""The sessions of the New York Stock Exchange, and when their data is due (S5-51).

The archive publishes a session's data overnight; "late" means not here at 8 AM Eastern Time of the
next calendar day. Weekends and holidays make nothing due.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime, timedelta
from functools import cached_property
from typing import Any

from wrds_sync.domain.lateness import NEW_YORK, due_at

_LOOK_BACK_DAYS = 14
"""The exchange was never closed for longer, since 1914."""


class ExchangeSessions:
    """The calendar of one exchange; loaded at the first question, because it is large."""

    def __init__(self, exchange: str = "XNYS") -> None:
        self._exchange = exchange
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="calendar")

    @cached_property
    def _calendar(self) -> Any:
        import exchange_calendars  # noqa: PLC0415 - half a second, and not every process asks

        return exchange_calendars.get_calendar(self._exchange)

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
        return bool(self._calendar.is_session(day.isoformat()))
