"""What is compared between source and staging, and what counts as equal.

Both sides compute the same numbers with the same rendering rules. Masked columns take part with
counts, nulls and lengths only; that they differ from their source is proven while they pass.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnSummary:
    """One column's numbers, as text so that every type compares."""

    nulls: int
    low: str | None = None
    high: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """One side's numbers."""

    rows: int
    columns: Mapping[str, ColumnSummary] = field(default_factory=dict)
    checksum: str | None = None
    """Over all carried, unmasked columns; does not depend on the order of rows."""


def read_summary(found: Mapping[str, Any], columns: Iterable[str]) -> Summary:
    """Return what a summary's one row says about columns, which it numbers in their order."""
    summaries = {
        name: ColumnSummary(
            nulls=found[f"nulls_{position}"],
            low=found.get(f"low_{position}"),
            high=found.get(f"high_{position}"),
        )
        for position, name in enumerate(columns)
        if f"nulls_{position}" in found
    }
    return Summary(rows=found["rows"], columns=summaries, checksum=found.get("checksum"))


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskProof:
    """What happened to one masked column on its way."""

    masked: int = 0
    """Values that were changed."""

    empty: int = 0
    """Nulls, and values with nothing to hide: no letter and no digit."""

    unchanged: int = 0
    """Values that came out as they went in; more than none stops the refresh."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """The outcome for one table."""

    source: Summary
    staging: Summary
    masks: Mapping[str, MaskProof] = field(default_factory=dict)

    @property
    def problems(self) -> tuple[str, ...]:
        """Every difference, in words; empty when what was loaded is what the source holds."""
        return (*_compare(self.source, self.staging), *_unmasked(self.masks))


def _compare(source: Summary, staging: Summary) -> list[str]:
    problems: list[str] = []
    if source.rows != staging.rows:
        problems.append(f"the source has {source.rows} rows and staging {staging.rows}")
    for name, expected in source.columns.items():
        found = staging.columns.get(name)
        if found is None:
            problems.append(f"{name}: not summarised in staging")
        elif found != expected:
            problems.append(f"{name}: nulls, smallest or largest value differ")
    if source.checksum != staging.checksum:
        problems.append("the checksums differ")
    return problems


def _unmasked(masks: Mapping[str, MaskProof]) -> list[str]:
    return [
        f"{name}: {proof.unchanged} values came out of the mask as they went in"
        for name, proof in masks.items()
        if proof.unchanged
    ]
