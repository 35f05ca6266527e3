"""What a service does again and again beside its consumers: measuring, trimming, looking after
things.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import NoReturn

from chassis.errors import TransientError
from chassis.logs import get_logger


async def repeat(
    step: Callable[[], Awaitable[object]],
    *,
    every_seconds: float,
    event: str,
    expected: type[Exception] | tuple[type[Exception], ...] = TransientError,
) -> NoReturn:
    """Do a step, rest, and do it again, for as long as the process lives.

    Args:
        step: What is done; it is awaited before the rest begins, so it never overlaps itself.
        every_seconds: The rest after each step, after a failed one as well.
        event: The name of the warning by which an expected failure is told.
        expected: Failures that the next step may not meet: a database that is away. Anything else
            is raised.
    """
    while True:
        try:
            await step()
        except expected as error:
            get_logger().warning(event, error=error)
        await asyncio.sleep(every_seconds)
