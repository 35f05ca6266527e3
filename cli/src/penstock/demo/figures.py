"""Puts what the inputs imply beside what the hub shows."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from penstock.demo.ledger import Figures, Quality


@dataclass(frozen=True, slots=True)
class Row:
    """One figure of the final table."""

    name: str
    expected: str
    seen: str

    @property
    def is_right(self) -> bool:
        """Whether the hub shows what the inputs imply."""
        return self.expected == self.seen


@dataclass(frozen=True, slots=True)
class Latency:
    """How long something took, over several changes."""

    count: int
    p50: float
    p99: float

    @classmethod
    def of(cls, seconds: Iterable[float]) -> "Latency | None":
        """Return the nearest-rank percentiles; None of nothing."""
        ordered = sorted(seconds)
        if not ordered:
            return None
        return cls(len(ordered), percentile(ordered, 50), percentile(ordered, 99))


def percentile(ordered: Sequence[float], percent: float) -> float:
    """Return the nearest-rank percentile of an ascending sequence: a value that occurred."""
    rank = math.ceil(percent / 100 * len(ordered))
    return ordered[max(rank, 1) - 1]


def compare(expected: Figures, seen: Figures) -> list[Row]:
    """Return the final table, in the order in which changes flow."""
    counts = (
        ("files known to the scanner", "files"),
        ("events: added", "added"),
        ("events: modified", "modified"),
        ("events: deleted", "deleted"),
        ("deletions held back", "held"),
        ("objects in the store", "blobs"),
        ("bronze versions", "versions"),
        ("bronze tombstones", "tombstones"),
        ("silver rows (calls)", "calls"),
        ("silver speaker turns", "turns"),
        ("words in them", "words"),
        ("silver rows retired", "retired"),
    )
    rows = [
        Row(name, f"{getattr(expected, field):,}", f"{getattr(seen, field):,}")
        for name, field in counts
    ]
    rows += [
        Row(f"quality: {name}", first, second)
        for (name, first), (_, second) in zip(
            _quality(expected.quality), _quality(seen.quality), strict=True
        )
    ]
    rows.append(
        Row("files in dead letters", f"{len(expected.refused):,}", f"{len(seen.refused):,}")
    )
    return rows


def differences(expected: Figures, seen: Figures) -> list[str]:
    """Return the names of the figures that are not what the inputs imply."""
    wrong = [row.name for row in compare(expected, seen) if not row.is_right]
    if not wrong and expected != seen:
        # Equal sums of unequal parts: the table rounds, this does not.
        wrong.append("the scores of single rows, or which files are in dead letters")
    return wrong


def _quality(quality: Quality) -> list[tuple[str, str]]:
    scores = quality.scores
    if not scores:
        return [("min / mean / max", "-"), ("flags", "-")]
    mean = sum(scores, Decimal(0)) / len(scores)
    flags = Counter(quality.flags).most_common()
    most = sorted(flags, key=lambda item: (-item[1], item[0]))[:4]
    return [
        ("min / mean / max", f"{scores[0]:.2f} / {mean:.3f} / {scores[-1]:.2f}"),
        ("flags", ", ".join(f"{flag} {count}" for flag, count in most) or "none"),
    ]
