"""A budget of requests per credential, shared by every replica of every service (C-20).

A token bucket in one row of PostgreSQL. Each request reserves its token in one statement and learns
how long to wait until it is due, so nobody polls, and the order of arrival is kept. A process that
dies with a reservation has wasted a token, never spent one twice. Only the database's clock counts.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

from chassis.clock import Clock
from chassis.db import Database
from chassis.http.config import BudgetConfig

Sleep = Callable[[float], Awaitable[None]]

_MINUTE_SECONDS = 60.0

# A pause moves `refilled_at` into the future: no token grows before it, and none is given out.
_RESERVE = """
insert into meta.rate_budgets as b (credential, per_second, burst, tokens, refilled_at)
values ($1, $2::float8, $3::float8, $3::float8 - 1, clock_timestamp())
on conflict (credential) do update set
    per_second = $2::float8,
    burst = $3::float8,
    tokens = least(
        $3::float8,
        b.tokens + $2::float8
            * greatest(0, extract(epoch from clock_timestamp() - b.refilled_at)::float8)
    ) - 1,
    refilled_at = greatest(b.refilled_at, clock_timestamp())
returning greatest(0, extract(epoch from refilled_at - clock_timestamp())::float8)
    + greatest(0, -tokens) / per_second
"""

_PAUSE = """
update meta.rate_budgets
set tokens = least(tokens, 0),
    refilled_at = greatest(refilled_at, clock_timestamp() + make_interval(secs => $2))
where credential = $1
"""


class RateBudget(Protocol):
    """What a client asks before each request."""

    async def take(self) -> None:
        """Wait until one more request may be sent."""
        ...

    async def pause(self, seconds: float) -> None:
        """Have everybody with this credential wait: the API said so."""
        ...


class NoBudget:
    """No limit of our own; a pause that the API asks for holds for this process."""

    def __init__(self, clock: Clock, *, sleep: Sleep = asyncio.sleep) -> None:
        self._clock = clock
        self._sleep = sleep
        self._until = float("-inf")

    async def take(self) -> None:
        """Wait until a pause is over."""
        if (rest := self._until - self._clock.monotonic()) > 0:
            await self._sleep(rest)

    async def pause(self, seconds: float) -> None:
        """Have every request of this process wait."""
        self._until = max(self._until, self._clock.monotonic() + seconds)


class PostgresRateBudget:
    """The bucket of one credential."""

    def __init__(
        self,
        database: Database,
        credential: str,
        *,
        config: BudgetConfig,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._database = database
        self._credential = config.name or credential
        self._per_second = config.requests_per_minute / _MINUTE_SECONDS
        self._burst = float(config.burst)
        self._sleep = sleep

    async def take(self) -> None:
        """Reserve a token and wait until it is due."""
        async with self._database.connection() as connection:
            seconds = await connection.fetchval(
                _RESERVE, self._credential, self._per_second, self._burst
            )
        if seconds > 0:
            await self._sleep(seconds)

    async def pause(self, seconds: float) -> None:
        """Give out no token for so long, to no replica."""
        async with self._database.connection() as connection:
            await connection.execute(_PAUSE, self._credential, seconds)
