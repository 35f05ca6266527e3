"""Waiting for something to become true, with a deadline instead of a sleep."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, overload

T = TypeVar("T")

_PAUSE_SECONDS = 0.02


class NeverHappenedError(AssertionError):
    """The predicate did not come true before the deadline."""


@overload
async def eventually(
    predicate: Callable[[], Awaitable[T]],
    timeout: float = 10.0,  # noqa: ASYNC109 - as below
) -> T: ...


@overload
async def eventually(
    predicate: Callable[[], T],
    timeout: float = 10.0,  # noqa: ASYNC109 - as below
) -> T: ...


async def eventually(
    predicate: Callable[[], Any],
    timeout: float = 10.0,  # noqa: ASYNC109 - a deadline for attempts, not for one await
) -> Any:
    """Return the first true result of `predicate`, which may be a coroutine function.

    An AssertionError of the predicate means "not yet"; the last one is shown at the deadline.
    """
    deadline = time.monotonic() + timeout
    while True:
        reason: AssertionError | None = None
        try:
            result = predicate()
            value = await result if inspect.isawaitable(result) else result
            if value:
                return value
        except AssertionError as error:
            reason = error
        if time.monotonic() > deadline:
            raise _never(predicate, timeout, reason) from reason
        await asyncio.sleep(_PAUSE_SECONDS)


def wait_until(predicate: Callable[[], T], timeout: float = 10.0) -> T:
    """Return the first true result of `predicate`, in tests without an event loop."""
    deadline = time.monotonic() + timeout
    while True:
        reason: AssertionError | None = None
        try:
            value = predicate()
            if value:
                return value
        except AssertionError as error:
            reason = error
        if time.monotonic() > deadline:
            raise _never(predicate, timeout, reason) from reason
        time.sleep(_PAUSE_SECONDS)


def _never(
    predicate: Callable[[], object], timeout: float, reason: AssertionError | None
) -> NeverHappenedError:
    name = getattr(predicate, "__qualname__", repr(predicate))
    detail = f": {reason}" if reason else ""
    return NeverHappenedError(f"{name} was not true within {timeout} s{detail}")
