"""What a benchmark says: a ratio, its target, and how it came about."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One measured ratio."""

    name: str
    baseline: str
    ratio: float
    target: float
    better: Literal["higher", "lower"]
    detail: str = ""

    @property
    def is_met(self) -> bool:
        """Whether the target is reached."""
        if self.better == "higher":
            return self.ratio >= self.target
        return self.ratio <= self.target

    def __str__(self) -> str:
        """Return the line that is printed."""
        sign = "≥" if self.better == "higher" else "≤"
        verdict = "met   " if self.is_met else "MISSED"
        return (
            f"{verdict} {self.name}: {self.ratio:.3f} of {self.baseline} "
            f"(target {sign} {self.target}){'; ' + self.detail if self.detail else ''}"
        )


def median_ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Return the median of the ratios of interleaved rounds."""
    return statistics.median(a / b for a, b in zip(ours, theirs, strict=True))
