"""How old a partition's backlog is.

A message's own time does not say it: after a quiet day the next message would look a day late. What
counts is when the end of the log was first seen beyond what is applied.
"""

from collections import deque

_MOST_SAMPLES = 240


class LagAge:
    """Remembers when the end of one partition moved."""

    def __init__(self) -> None:
        self._ends: deque[tuple[int, float]] = deque()
        """Ends of the log, each with the moment at which it was first seen."""

    def measure(self, end: int, next_offset: int, *, now: float) -> float:
        """Take note of the log's end; return for how long something has been waiting."""
        if not self._ends or end > self._ends[-1][0]:
            self._note(end, now)
        while self._ends and self._ends[0][0] <= next_offset:
            self._ends.popleft()
        return now - self._ends[0][1] if self._ends else 0.0

    def _note(self, end: int, now: float) -> None:
        if len(self._ends) == _MOST_SAMPLES:
            # The newest two become one: what waits longest keeps its age.
            _, now = self._ends.pop()
        self._ends.append((end, now))
