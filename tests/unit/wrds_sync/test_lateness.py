from datetime import UTC, date, datetime, time

import pytest

from wrds_sync.adapters.exchange_calendar import ExchangeSessions
from wrds_sync.domain.lateness import NEW_YORK, daily_slot, due_at, is_late


def eastern(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=NEW_YORK)  # type: ignore[misc,arg-type]


@pytest.mark.covers("S5-51", "C-23")
@pytest.mark.parametrize(
    ("now", "session"),
    [
        (eastern(2024, 3, 5, 7, 59), date(2024, 3, 1)),  # Monday's data is due at eight
        (eastern(2024, 3, 5, 8, 0), date(2024, 3, 4)),
        (eastern(2024, 3, 3, 12, 0), date(2024, 3, 1)),  # Sunday: Friday's
        (eastern(2024, 7, 5, 9, 0), date(2024, 7, 3)),  # after Independence Day
        (eastern(2018, 12, 6, 9, 0), date(2018, 12, 4)),  # a day of mourning
        (eastern(2012, 10, 31, 7, 0), date(2012, 10, 26)),  # a hurricane, over a weekend
    ],
)
async def test_the_session_that_is_due(now: datetime, session: date) -> None:
    assert await ExchangeSessions().last_session_due(now) == session


@pytest.mark.covers("S5-51")
@pytest.mark.parametrize(
    ("session", "utc"),
    [
        (date(2024, 3, 8), datetime(2024, 3, 9, 13, tzinfo=UTC)),  # winter time
        (date(2024, 3, 11), datetime(2024, 3, 12, 12, tzinfo=UTC)),  # summer time
    ],
)
def test_eight_in_new_york_follows_its_clocks(session: date, utc: datetime) -> None:
    assert due_at(session) == utc


def test_a_sync_after_the_session_ended_is_in_time() -> None:
    monday = date(2024, 3, 4)
    assert is_late(monday, synced_at=None)
    assert is_late(monday, synced_at=eastern(2024, 3, 4, 23, 59))
    assert not is_late(monday, synced_at=eastern(2024, 3, 5, 0, 0))


def test_a_daily_slot_is_the_last_that_passed() -> None:
    six = time(6)
    assert daily_slot(six, eastern(2024, 3, 5, 5, 59)) == eastern(2024, 3, 4, 6)
    assert daily_slot(six, eastern(2024, 3, 5, 6, 0)) == eastern(2024, 3, 5, 6)
    # The night of the spring change has 23 hours, and still one slot.
    assert daily_slot(six, eastern(2024, 3, 10, 12)) == datetime(2024, 3, 10, 10, tzinfo=UTC)
