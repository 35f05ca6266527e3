"""Passes changes on to whoever looks at a page.

A listener that is slow or was away is told once what changed, not how often: pages read anew.
"""

import asyncio
import contextlib
import itertools
from collections import deque
from collections.abc import Generator
from dataclasses import dataclass, field

from chassis.errors import TransientError
from chassis.logs import get_logger
from chassis.retry import backoff_seconds
from console import metrics
from console.domain.credentials import new_token
from console.ports.changes import WHAT, Changes

_REMEMBERED = 256
_CAP_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Change:
    """Something changed."""

    id: str
    what: str


@dataclass(slots=True, eq=False)
class Listener:
    """What one page has not been told yet."""

    pending: dict[str, Change] = field(default_factory=dict)
    wake: asyncio.Event = field(default_factory=asyncio.Event)

    def tell(self, change: Change) -> None:
        """Note a change; a later one of the same kind takes its place."""
        self.pending.pop(change.what, None)
        self.pending[change.what] = change
        self.wake.set()

    async def next(self) -> list[Change]:
        """Return what changed; waits for it."""
        await self.wake.wait()
        self.wake.clear()
        changes = list(self.pending.values())
        self.pending.clear()
        return changes


class Feed:
    """One source, many listeners."""

    def __init__(self, changes: Changes) -> None:
        self._changes = changes
        self._listeners: set[Listener] = set()
        self._recent: deque[Change] = deque(maxlen=_REMEMBERED)
        self._numbers = itertools.count(1)
        self._prefix = new_token()[:8]

    async def run(self) -> None:
        """Watch for as long as the process lives."""
        attempt = 0
        while True:
            try:
                await self._changes.watch(self.announce)
            except TransientError as error:
                attempt += 1
                get_logger().warning("changes_interrupted", attempt=attempt, error=error)
                await asyncio.sleep(min(backoff_seconds(attempt), _CAP_SECONDS))

    def announce(self, what: str) -> None:
        """Tell every listener."""
        change = Change(f"{self._prefix}-{next(self._numbers)}", what)
        self._recent.append(change)
        for listener in self._listeners:
            listener.tell(change)

    @contextlib.contextmanager
    def listen(self, last_id: str | None = None) -> Generator[Listener]:
        """Listen, from what was heard last on."""
        listener = Listener()
        for change in self._missed(last_id):
            listener.tell(change)
        self._listeners.add(listener)
        metrics.LISTENERS.set(len(self._listeners))
        try:
            yield listener
        finally:
            self._listeners.discard(listener)
            metrics.LISTENERS.set(len(self._listeners))

    def _missed(self, last_id: str | None) -> list[Change]:
        """Return what came after a change.

        If nobody remembers it - it is old, or another replica's - anything may have changed.
        """
        if not last_id:
            return []
        known = list(self._recent)
        for index, change in enumerate(known):
            if change.id == last_id:
                return known[index + 1 :]
        return [Change(f"{self._prefix}-0", what) for what in WHAT]
