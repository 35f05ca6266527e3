"""What one look at both databases tells about a table."""

from dataclasses import dataclass

from refresher.domain.catalog import Table


@dataclass(frozen=True, slots=True, kw_only=True)
class SideObservation:
    """A table in one database; everything is None where it does not exist."""

    rows: int | None = None
    is_estimate: bool = False
    bytes: int | None = None
    columns_hash: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TableObservation:
    """A table in both."""

    key: str
    source: SideObservation
    target: SideObservation
    drift: tuple[str, ...] = ()
    """Differences between the columns, in words."""

    problem: str | None = None


def observed(table: Table | None, counted: int | None) -> SideObservation:
    """Return what was seen of a table; without a count, the statistics' estimate."""
    if table is None:
        return SideObservation()
    return SideObservation(
        rows=table.estimated_rows if counted is None else counted,
        is_estimate=counted is None,
        bytes=table.estimated_bytes,
        columns_hash=table.columns_hash,
    )
