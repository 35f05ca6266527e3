"""When a session's data is due, and when a mirror without it is late (S5-51)."""

from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

NEW_YORK = ZoneInfo("America/New_York")
DUE_AT = time(8, 0)


def due_at(session: date) -> datetime:
    """Return when a session's data must be here: 8 AM Eastern Time of the next day."""
    return datetime.combine(session + timedelta(days=1), DUE_AT, NEW_YORK)


def is_late(session: date, *, synced_at: datetime | None) -> bool:
    """Return whether no sync has looked since the session ended; asked once its data is due.

    What the archive itself publishes late is its own matter: a sync that found nothing new has
    looked.
    """
    ended = datetime.combine(session + timedelta(days=1), time(), NEW_YORK)
    return synced_at is None or synced_at < ended


def daily_slot(at: time, now: datetime) -> datetime:
    """Return the latest moment of that Eastern time of day that has passed."""
    local = now.astimezone(NEW_YORK)
    slot = datetime.combine(local.date(), at, NEW_YORK)
    if slot <= local:
        return slot
    return datetime.combine(local.date() - timedelta(days=1), at, NEW_YORK)
