"""Waiting before another attempt: capped, jittered, and never shorter than the other side asked
for.
"""

import random

from tenacity import (
    AsyncRetrying,
    retry_if_exception_type,
    stop_after_delay,
    wait_random_exponential,
)

from chassis.errors import TransientError

BASE_SECONDS = 0.2
CAP_SECONDS = 30.0


def backoff_seconds(
    attempt: int,
    *,
    base: float = BASE_SECONDS,
    cap: float = CAP_SECONDS,
    retry_after: float | None = None,
) -> float:
    """Return how long to wait after the given attempt (1 = the first).

    Jitter over the upper half of `min(cap, base * 2**attempt)`: many clients do not return
    together, and a hot loop is impossible.
    """
    span = min(cap, base * 2.0 ** min(attempt, 20))
    delay = span / 2 + random.uniform(0, span / 2)  # noqa: S311 - jitter, not cryptography
    return max(delay, retry_after or 0.0)


def retrying(*, total_seconds: float = 60.0) -> AsyncRetrying:
    """Retry on `TransientError` in place: `async for attempt in retrying(): with attempt: ...`.

    For start-up and short calls only; a consumer's back-off is the delivery loop's.
    """
    return AsyncRetrying(
        retry=retry_if_exception_type(TransientError),
        wait=wait_random_exponential(multiplier=BASE_SECONDS, max=5.0),
        stop=stop_after_delay(total_seconds),
        reraise=True,
    )
