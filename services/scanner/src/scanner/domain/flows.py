"""Flows: scans that are asked for one after the other, and when a day's flow is due."""

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo


@dataclass(frozen=True, slots=True)
class DailyTime:
    """A time of day, somewhere."""

    at: time
    zone: ZoneInfo
    catch_up: timedelta
    """How long after its time a flow is still started, when nobody was there to do it."""

    def last_due(self, now: datetime) -> datetime:
        """Return the latest moment, not after `now`, at which the flow was due; in UTC."""
        local = now.astimezone(self.zone)
        today = datetime.combine(local.date(), self.at, self.zone)
        due = today if today <= local else self._day_before(today)
        return due.astimezone(UTC)

    def is_due(self, now: datetime) -> bool:
        """Return whether it is the time, or so shortly after it that the flow still starts."""
        return now - self.last_due(now) < self.catch_up

    def _day_before(self, moment: datetime) -> datetime:
        # By the calendar: with daylight saving, a day has not always 24 hours.
        return datetime.combine(moment.date() - timedelta(days=1), self.at, self.zone)
