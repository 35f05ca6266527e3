"""What reading series needs from outside: the last bars that were told."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from scanner.domain.series import Tail


class SeriesMemory(Protocol):
    """Remembers the latest bars of every item of a series."""

    async def recall(self, series: str, items: Sequence[str], /) -> Mapping[str, Tail]:
        """Return what was told of these items; one that was never told is left out."""
        ...

    async def remember(self, series: str, tails: Mapping[str, Tail], /) -> None:
        """Replace what is remembered of these items."""
        ...
