"""That something changed, as it happens."""

from collections.abc import Awaitable, Callable
from typing import Protocol

WHAT = ("runs", "dead-letters", "drifts")
"""What is announced; the triggers on the tables say the same words."""

Announce = Callable[[str], None]


class Changes(Protocol):
    """Where changes are heard of."""

    async def watch(self, announce: Announce) -> None:
        """Announce changes for as long as the connection lasts, those since the last time first.

        Raises:
            TransientError: the connection is lost; watch again.
        """
        ...


Alive = Callable[[], Awaitable[bool]]
"""Whether who listens may go on listening."""
