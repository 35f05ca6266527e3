"""Whether a series of bars can be believed.

Two things go wrong at providers of prices: after a split all of history is re-based, and what was
stored no longer fits what comes (C-22); and a delivery tells one series under every name.
"""

import hashlib
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from scanner.domain.records import RawRecord

Tail: TypeAlias = Mapping[str, Sequence[float | None]]
"""The values of the latest bars, by day."""

TAIL_BARS = 10
"""How many bars are remembered of an item; more than any usual overlap has."""


@dataclass(frozen=True, slots=True)
class Rebased:
    """A known bar that now has other values."""

    day: str
    factor: float | None
    """New over old, of the last value; None where that makes no number."""


@dataclass(frozen=True, slots=True)
class SeriesRules:
    """Which values count, and how exactly."""

    day_field: str
    values: tuple[str, ...]
    tolerance: float
    least_bars: int
    same_series_items: int

    def tail(self, records: Sequence[RawRecord]) -> Tail:
        """Return the latest bars of an item."""
        bars = self.bars(records)
        return {day: bars[day] for day in sorted(bars)[-TAIL_BARS:]}

    def bars(self, records: Sequence[RawRecord]) -> Tail:
        """Return the values that count of every bar."""
        return {
            str(record.get(self.day_field)): [_number(record.get(name)) for name in self.values]
            for record in records
        }

    def rebased(self, known: Tail, told: Tail) -> Rebased | None:
        """Return the first known bar that moved.

        The latest known bar does not count: it may have been told before its day was over.
        """
        for day in sorted(known)[:-1]:
            if day not in told:
                continue
            pairs = list(zip(known[day], told[day], strict=False))
            if any(not self._is_same(before, now) for before, now in pairs):
                before, now = pairs[-1]
                return Rebased(day, round(now / before, 6) if before and now else None)
        return None

    def fingerprint(self, tail: Tail) -> str | None:
        """Return what is the same for the same series; None where it says nothing.

        A series that never moves proves nothing: many stand still, and all at their own price.
        """
        bars = [tuple(tail[day]) for day in sorted(tail)]
        if len(bars) < self.least_bars or len(set(bars)) == 1:
            return None
        text = repr([(day, tuple(tail[day])) for day in sorted(tail)])
        return hashlib.sha256(text.encode()).hexdigest()

    def doubles(self, tails: Mapping[str, Tail]) -> set[str]:
        """Return the items whose series is told under too many names."""
        items: dict[str, list[str]] = defaultdict(list)
        for item, tail in tails.items():
            if (found := self.fingerprint(tail)) is not None:
                items[found].append(item)
        return {
            item for same in items.values() if len(same) >= self.same_series_items for item in same
        }

    def _is_same(self, before: float | None, now: float | None) -> bool:
        if before is None or now is None:
            return before is now
        return math.isclose(before, now, rel_tol=self.tolerance)


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
