"""Which partitions a sync has to copy."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from wrds_sync.domain.datasets import Dataset
from wrds_sync.domain.manifest import PartitionEntry, SyncManifest
from wrds_sync.domain.tables import PartitionStatistics

ASSUMED_ROW_BYTES = 100
"""Of a compressed row, before anything of a table was seen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The partitions to copy, in order, and what is known of them."""

    due: tuple[int, ...]
    statistics: Mapping[int, PartitionStatistics]
    vanished: tuple[int, ...] = ()
    """Partitions that the mirror has and the archive has no more."""


def plan_full(
    manifest: SyncManifest | None, statistics: Sequence[PartitionStatistics], *, start_year: int
) -> Plan:
    """Copy everything from a year on."""
    by_year = {item.year: item for item in statistics if item.rows}
    known = set(manifest.by_year()) if manifest else set()
    return Plan(
        due=tuple(sorted(by_year)),
        statistics=by_year,
        vanished=tuple(sorted(year for year in known - set(by_year) if year >= start_year)),
    )


def plan_incremental(
    dataset: Dataset,
    manifest: SyncManifest,
    statistics: Sequence[PartitionStatistics],
    *,
    broken: Sequence[int],
) -> Plan:
    """Copy what is new, differs, is broken, or cannot be proven equal within the look-back."""
    by_year = {item.year: item for item in statistics if item.rows}
    entries = manifest.by_year()
    newest = max(by_year, default=0)
    due = [
        year
        for year, item in by_year.items()
        if year in broken
        or year not in entries
        or _differs(entries[year], item)
        or (not _is_proven(entries[year], item) and year > newest - dataset.look_back_years)
    ]
    return Plan(
        due=tuple(sorted(due)),
        statistics=by_year,
        vanished=tuple(sorted(set(entries) - set(by_year))),
    )


def _is_proven(entry: PartitionEntry, now: PartitionStatistics) -> bool:
    """Return whether equal hashes of one method say that nothing changed."""
    return entry.content_hash is not None and entry.content_hash == now.content_hash


def _differs(entry: PartitionEntry, now: PartitionStatistics) -> bool:
    """Return whether the archive has other rows, or may have.

    Hashes of two methods prove nothing; copying once more is what makes them comparable again.
    """
    if now.rows != entry.rows:
        return True
    if entry.content_hash is None or now.content_hash is None:
        return False
    return entry.content_hash != now.content_hash


def expected_bytes(
    plan: Plan, years: Sequence[int], *, manifest: SyncManifest | None, row_bytes: int | None
) -> int:
    """Return about how many bytes copying these years will write."""
    if manifest is not None and manifest.rows:
        row_bytes = max(1, manifest.size_bytes // manifest.rows)
    per_row = row_bytes or ASSUMED_ROW_BYTES
    return sum(plan.statistics[year].rows for year in years) * per_row
