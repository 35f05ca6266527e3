"""A bucket of tokens, one a query, so that the archive's guests stay polite."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

from chassis.clock import Clock

WINDOW_SECONDS = 60.0


class TokenBucket:
    """Holds so many tokens; each comes back a minute after it was taken.

    A bucket that drips its tokens back lets twice the rate through in its first minute: the full
    bucket and the drops. With this rule no minute sees more than the limit, wherever it begins.
    """

    def __init__(
        self,
        per_minute: float,
        clock: Clock,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._tokens = max(1, int(per_minute))
        # Below one a minute the single token stays out longer.
        self._window = WINDOW_SECONDS * max(1.0, 1.0 / per_minute)
        self._clock = clock
        self._sleep = sleep
        self._taken: deque[float] = deque()
        self._turn = asyncio.Lock()

    async def take(self) -> None:
        """Wait for a token; first come, first served."""
        async with self._turn:
            if len(self._taken) == self._tokens:
                due = self._taken[0] + self._window
                while (left := due - self._clock.monotonic()) > 0:
                    await self._sleep(left)
                self._taken.popleft()  # only now: a caller that gave up waiting took nothing
            self._taken.append(self._clock.monotonic())
