"""Tables of the archive and what is asked of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime

WHOLE_TABLE = 0
"""The partition of a data set that is not divided by years."""


@dataclass(frozen=True, slots=True)
class TableRef:
    """The name of a table or view in the archive."""

    schema: str
    table: str

    def __str__(self) -> str:
        return f"{self.schema}.{self.table}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnInfo:
    """A column: what it is at the source, and what it becomes here."""

    name: str
    source_type: str
    """As PostgreSQL's `format_type` writes it: `numeric(11,5)`, `character varying(8)`."""

    stored_type: str
    """As Arrow writes it: `decimal128(11, 5)`, `string`, `date32[day]`."""

    is_nullable: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class TableInfo:
    """A table as the archive's catalogue describes it."""

    table: TableRef
    columns: tuple[ColumnInfo, ...]
    comment: str | None = None
    last_modified: str | None = None
    """What follows `Last modified:` in the comment, untouched; only equality is ever asked of it.

    None where the archive does not say: then nothing can be skipped on its word.
    """

    estimated_rows: int | None = None
    estimated_row_bytes: int | None = None
    """From the planner's statistics; for the disk check before the first copy."""

    is_view: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogEntry:
    """A table in a listing, and whether this account may read it."""

    table: TableRef
    is_readable: bool
    last_modified: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which rows and columns of a table belong to a data set, and as what."""

    table: TableRef
    date_column: str | None = None
    """Divides the rows into years; None keeps the table in one partition."""

    columns: tuple[str, ...] = ()
    """In stored order; empty takes all that the table has."""

    equals: Mapping[str, str] = field(default_factory=dict)
    """Column → value; the rows must have all of them. Bound or quoted as literals, never raw."""

    types: Mapping[str, str] = field(default_factory=dict)
    """Column → Arrow type, where the configuration declares another than the catalogue's."""

    order_by: tuple[str, ...] = ()
    """Order of the rows in a file; empty leaves the server's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PartitionRange:
    """One partition's bounds: `lower <= date_column < upper`."""

    year: int
    lower: date | None = None
    upper: date | None = None

    @classmethod
    def of_year(cls, year: int) -> "PartitionRange":
        """Return a calendar year's bounds; `WHOLE_TABLE` has none."""
        if year == WHOLE_TABLE:
            return cls(year=year)
        return cls(year=year, lower=date(year, 1, 1), upper=date(year + 1, 1, 1))


@dataclass(frozen=True, slots=True, kw_only=True)
class PartitionStatistics:
    """What the archive says of one partition without sending it."""

    year: int
    rows: int
    content_hash: str | None = None
    """Independent of the rows' order; begins with the name of its method, and two hashes of
    different methods say nothing about each other. None when it was not asked for.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyResult:
    """What one copied partition holds; the file is complete, closed, not yet synced."""

    rows: int
    columns: tuple[ColumnInfo, ...]
    """As written: the file's own schema, in its order."""

    size_bytes: int
    lower: date | None = None
    """Smallest and largest value of the date column in the file; None without rows or column."""

    upper: date | None = None


@dataclass(frozen=True, slots=True)
class Credential:
    """A log-on to the archive."""

    username: str
    password: str = field(repr=False)
    expires_at: datetime | None = None
