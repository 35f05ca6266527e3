"""Waiting before another attempt: capped, jittered, and never shorter than the other side asked
for.
"""

import random

from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception_type,
    stop_before_delay,
)

from chassis.errors import TransientError
from chassis.logs import get_logger

BASE_SECONDS = 0.2
CAP_SECONDS = 30.0
IN_PLACE_CAP_SECONDS = 5.0
"""Somebody waits for the outcome of a retry in place."""

REFUSED_SECONDS = 300.0
"""First rest after a refused log-on: directories lock an account after a few wrong passwords.

With doubling, at most three attempts fall into half an hour; usual lock-out policies allow five to
ten.
"""

REFUSED_CAP_SECONDS = 3600.0


def backoff_seconds(
    attempt: int,
    *,
    base: float = BASE_SECONDS,
    cap: float = CAP_SECONDS,
    retry_after: float | None = None,
) -> float:
    """Return how long to wait after the given attempt (1 = the first).

    Jitter over the upper half of `min(cap, base * 2**attempt)`: many clients do not return
    together, and a hot loop is impossible. Above what the other side asked for, the jitter stays.
    """
    span = min(cap, base * 2.0 ** min(attempt, 20))
    jitter = random.uniform(0, span / 2)  # noqa: S311 - jitter, not cryptography
    return max(span / 2, retry_after or 0.0) + jitter


def rest_seconds(refusals: int, *, first: float = REFUSED_SECONDS) -> float:
    """Return how long an account rests after so many refused log-ons in a row."""
    return min(REFUSED_CAP_SECONDS, first * 2.0 ** min(refusals - 1, 20))


def retrying(*, total_seconds: float = 60.0) -> AsyncRetrying:
    """Retry on `TransientError` in place: `async for attempt in retrying(): with attempt: ...`.

    For start-up and short calls only; a consumer's back-off is the delivery loop's.
    """
    return AsyncRetrying(
        retry=retry_if_exception_type(TransientError),
        wait=_wait,
        stop=stop_before_delay(total_seconds),
        before_sleep=_announce,
        reraise=True,
    )


def _wait(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    retry_after = error.retry_after if isinstance(error, TransientError) else None
    return backoff_seconds(state.attempt_number, cap=IN_PLACE_CAP_SECONDS, retry_after=retry_after)


def _announce(state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    get_logger().warning(
        "retry_waits",
        attempt=state.attempt_number,
        delay=round(state.upcoming_sleep, 3),
        error=error,
    )
