"""What two catalogs say about a table, in one form for every database system.

Adapters fill it; the planner compares source and target with it. Texts such as `type` and
`definition` are in the words of the engine, so that a dialect can write them out again.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum

from refresher.domain.values import Value


class Side(StrEnum):
    """Which of the two databases."""

    SOURCE = "source"
    TARGET = "target"


class TypeKind(StrEnum):
    """What a type is, as far as masking and windows care."""

    TEXT = "text"
    INTEGER = "integer"
    NUMERIC = "numeric"
    FLOAT = "float"
    BOOLEAN = "boolean"
    DATE = "date"
    TIMESTAMP = "timestamp"
    TIMESTAMPTZ = "timestamptz"
    TIME = "time"
    UUID = "uuid"
    JSON = "json"
    BINARY = "binary"
    OTHER = "other"


ORDERED_KINDS = frozenset(
    {
        TypeKind.INTEGER,
        TypeKind.NUMERIC,
        TypeKind.FLOAT,
        TypeKind.DATE,
        TypeKind.TIMESTAMP,
        TypeKind.TIMESTAMPTZ,
        TypeKind.TIME,
    }
)
"""Types with an order that every server has alike; that of texts depends on their collation."""


@dataclass(frozen=True, slots=True, order=True)
class TableRef:
    """A table's name in a database."""

    schema: str
    name: str

    def __str__(self) -> str:
        """Return the name as people read it."""
        return f"{self.schema}.{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column."""

    name: str
    type: str
    """The full type in the engine's words, e.g. `character varying(50)`, `nvarchar(50)`."""

    kind: TypeKind
    is_nullable: bool = True
    default: str | None = None
    length: int | None = None
    """Characters or bytes at the most; None without a limit."""

    precision: int | None = None
    scale: int | None = None
    collation: str | None = None
    identity: str | None = None
    """How an identity column draws its numbers; None for an ordinary column."""

    is_computed: bool = False
    """Computed, generated, rowversion or period: the database fills it, so it is not carried."""

    facts: Mapping[str, str] = field(default_factory=dict)
    """What only the engine's own dialect understands, e.g. `code_page`, `is_rowguidcol`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """A primary key, or a unique key over columns that are never null."""

    name: str
    columns: tuple[str, ...]
    is_primary: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """An index, those behind keys included."""

    name: str
    columns: tuple[str, ...]
    definition: str
    """How to create it; the dialect replaces the names of index and table."""

    is_unique: bool = False
    constraint: str | None = None
    """The key's definition, e.g. `PRIMARY KEY (id)`, where a constraint owns the index."""

    facts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignKey:
    """A reference from `table` to `references`."""

    name: str
    table: TableRef
    columns: tuple[str, ...]
    references: TableRef
    referenced_columns: tuple[str, ...]
    definition: str = ""
    on_delete: str = "no action"
    is_trusted: bool = True
    """Checked for every row (`is_not_trusted = 0`, `convalidated`)."""

    is_enabled: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """A check constraint."""

    name: str
    definition: str
    is_trusted: bool = True
    is_enabled: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Trigger:
    """A trigger that somebody wrote."""

    name: str
    definition: str
    state: str = "enabled"
    """`disabled`, `enabled`, or another state that the engine knows (`always`, `replica`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Partition:
    """One leaf of a partitioned table, in the order of its bounds."""

    ref: TableRef
    """PostgreSQL: the partition's table; SQL Server: the table itself."""

    number: int
    bound: str
    """The bound in the engine's words, e.g. `FOR VALUES FROM (...) TO (...)`."""

    lower: Value | None = None
    """Inclusive; None means without end."""

    upper: Value | None = None
    """Exclusive; None means without end."""

    is_default: bool = False
    foreign_keys: tuple[ForeignKey, ...] = ()
    indexes: tuple[Index, ...] = ()
    facts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sequence:
    """A sequence that gives a column its numbers."""

    column: str
    ref: TableRef
    is_owned: bool = False
    """Whether it belongs to the column, and would be dropped with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """One table."""

    ref: TableRef
    columns: tuple[Column, ...]
    keys: tuple[Key, ...] = ()
    indexes: tuple[Index, ...] = ()
    foreign_keys: tuple[ForeignKey, ...] = ()
    """References from here to others."""

    referenced_by: tuple[ForeignKey, ...] = ()
    """References from others, and from itself, to here."""

    checks: tuple[Check, ...] = ()
    triggers: tuple[Trigger, ...] = ()
    sequences: tuple[Sequence, ...] = ()
    partition_key: tuple[str, ...] = ()
    partitions: tuple[Partition, ...] = ()
    dependants: tuple[str, ...] = ()
    """What points at this very table and would be left behind by a rename: views, policies,
    publications, …"""

    facts: Mapping[str, str] = field(default_factory=dict)
    """What only the engine's own dialect understands: owner, grants, file group, …"""

    estimated_rows: int = 0
    estimated_bytes: int = 0

    @property
    def primary_key(self) -> Key | None:
        """The primary key, or else the first unique key without nulls."""
        first = next((key for key in self.keys if key.is_primary), None)
        return first or next(iter(self.keys), None)

    def column(self, name: str) -> Column | None:
        """Return a column by its name."""
        return next((column for column in self.columns if column.name == name), None)

    @property
    def fingerprint(self) -> str:
        """A hash of everything but the estimates: it changes when the structure does."""
        parts = [
            f"{item.name}={getattr(self, item.name)!r}"
            for item in fields(self)
            if not item.name.startswith("estimated_")
        ]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    @property
    def columns_hash(self) -> str:
        """A hash of the columns alone: whether it changed is what an incremental refresh asks."""
        text = "\n".join(
            f"{column.name}|{column.type}|{column.is_nullable}|{column.is_computed}"
            for column in self.columns
        )
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def references(self) -> tuple[ForeignKey, ...]:
        """References from here to others, those of single partitions included."""
        return self.foreign_keys + tuple(
            reference for partition in self.partitions for reference in partition.foreign_keys
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalog:
    """The tables of one database that a refresh looks at."""

    tables: Mapping[TableRef, Table]
    version: str
    """The server's version, e.g. `15.18`; checksums are compared only between equal majors."""

    capabilities: frozenset[str] = frozenset()
    """What the engine's dialect may use on this server, e.g. `switch`, `truncate_partitions`."""

    @property
    def major(self) -> str:
        """The major version."""
        return self.version.split(".", maxsplit=1)[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Extent:
    """What is in a table at the moment of planning."""

    rows: int
    """Counted in the target, estimated in the source."""

    low: Value | None = None
    """Smallest value of the incremental column; None when the table is empty, or has no such
    column."""

    high: Value | None = None
    key_low: int | None = None
    """Smallest value of a primary key that is one whole number; cuts the table into ranges."""

    key_high: int | None = None
    nulls: int = 0
    """Rows whose incremental column is null: incremental refreshes do not see them."""


def catalog_hash(source: Catalog, target: Catalog) -> str:
    """Return a hash of both catalogs: a plan is executed only while it stays the same."""
    parts = [
        f"{side.value}|{ref}|{catalog.tables[ref].fingerprint}"
        for side, catalog in ((Side.SOURCE, source), (Side.TARGET, target))
        for ref in sorted(catalog.tables)
    ]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
