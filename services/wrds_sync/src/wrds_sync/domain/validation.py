"""The gate between a written file and a manifest (S5-22)."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date

from wrds_sync.domain.datasets import Dataset
from wrds_sync.domain.manifest import PartitionEntry
from wrds_sync.domain.tables import PartitionRange


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """What a file holds, read from the file itself."""

    rows: int
    columns: Mapping[str, str]
    """Column → Arrow type, in order."""

    nulls: Mapping[str, int]
    """Required column → rows without a value."""

    duplicate_keys: int
    lower: date | None
    upper: date | None


class DataValidator:
    """Compares a written file with what was copied and with the data set's rules."""

    def check(
        self,
        dataset: Dataset,
        inspection: Inspection,
        *,
        expected_rows: int,
        expected_columns: Mapping[str, str],
        partition: PartitionRange,
        previous: PartitionEntry | None,
    ) -> list[str]:
        """Return what is wrong, in words; empty means that the file may be published."""
        return [
            *_shape(inspection, expected_rows, expected_columns),
            *_rules(dataset, inspection),
            *_range(inspection, partition),
            *_shrinkage(dataset, inspection.rows, previous),
        ]


def _shape(found: Inspection, rows: int, columns: Mapping[str, str]) -> Iterator[str]:
    if found.rows != rows:
        yield f"the file has {found.rows} rows, {rows} were copied"
    for name, kind in columns.items():
        if name not in found.columns:
            yield f"column `{name}` is missing"
        elif found.columns[name] != kind:
            yield f"column `{name}` is {found.columns[name]}, expected {kind}"
    for name in found.columns:
        if name not in columns:
            yield f"column `{name}` was not asked for"


def _rules(dataset: Dataset, found: Inspection) -> Iterator[str]:
    for name, count in found.nulls.items():
        if count:
            yield f"column `{name}` is null in {count} rows"
    if found.duplicate_keys:
        key = ", ".join(dataset.rules.key)
        yield f"{found.duplicate_keys} rows repeat another's key ({key})"


def _range(found: Inspection, partition: PartitionRange) -> Iterator[str]:
    if found.lower and partition.lower and found.lower < partition.lower:
        yield f"{found.lower} lies before {partition.year}"
    if found.upper and partition.upper and found.upper >= partition.upper:
        yield f"{found.upper} lies after {partition.year}"


def _shrinkage(dataset: Dataset, rows: int, previous: PartitionEntry | None) -> Iterator[str]:
    if previous is None:
        return
    lost = previous.rows - rows
    if lost > dataset.rules.max_shrink * previous.rows:
        yield (
            f"only {rows} of {previous.rows} rows are left, more than the "
            f"{dataset.rules.max_shrink:.0%} that `max_shrink` allows are gone"
        )
