"""`config/refresh.yaml`: the format of the refresh script that Penstock replaces, extended.

Every key of the original loads with its original meaning and default. Names in the file are the
only tables that a command may name. Credentials never stand here.
"""

import re
from collections import Counter
from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from contracts.types import Name

Identifier = Annotated[str, StringConstraints(min_length=1, max_length=128)]
"""A name inside a database; it is always quoted."""

Predicate = Annotated[str, StringConstraints(min_length=1, max_length=2000)]
"""A condition in the database's SQL. The file is written by operators; commands carry no SQL."""

_HOURS = re.compile(r"^([01]\d|2[0-3]):[0-5]\d-([01]\d|2[0-3]):[0-5]\d$")


class Section(BaseModel):
    """Base of every part of the file: frozen, and nothing unknown passes."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class EngineKind(StrEnum):
    """Which database management system."""

    POSTGRESQL = "postgresql"
    SQLSERVER = "sqlserver"


class DatabaseConfig(Section):
    """One of the two databases."""

    kind: EngineKind = EngineKind.SQLSERVER
    """The original knew SQL Server only."""

    server: Annotated[str, StringConstraints(min_length=1)]
    database: Identifier
    port: Annotated[int, Field(ge=1, le=65535)] | None = None
    auth_type: Literal["windows", "sql"] = "sql"
    default_schema: Identifier | None = Field(default=None, alias="schema")
    """`public` on PostgreSQL and `dbo` on SQL Server when left out."""

    fingerprint: str | None = None
    """What the server says about itself, as `penstock refresh status` prints it; a refresh is
    applied only when both databases have theirs pinned."""

    tls: Literal["disable", "require", "verify-full"] = "require"
    ca_file: str | None = None
    options: dict[str, str] = {}
    """Further connection options of the engine, e.g. `ApplicationIntent: ReadOnly`."""

    @property
    def schema_name(self) -> str:
        """The schema of tables that do not name one."""
        if self.default_schema is not None:
            return self.default_schema
        return "public" if self.kind is EngineKind.POSTGRESQL else "dbo"


class Databases(Section):
    """Production and UAT."""

    source: DatabaseConfig
    target: DatabaseConfig

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if self.source.kind is not self.target.kind:
            raise ValueError(
                f"source is {self.source.kind.value} and target is {self.target.kind.value}: "
                "copies between different database systems are not supported"
            )
        return self


class Strategy(StrEnum):
    """How the new rows take the place of the old ones."""

    SIMPLE_COPY = "simple_copy"
    """Staging, then only the rows that differ are written, in one transaction."""

    STAGING_PARTITION_SWITCH = "staging_partition_switch"
    """Staging, indexes and constraints on it, then partitions (or the whole table) change
    places."""


class SyncMode(StrEnum):
    """Which rows are read."""

    FULL_REPLACE = "full_replace"
    INCREMENTAL = "incremental"
    SMART_SYNC = "smart_sync"


class IncrementalType(StrEnum):
    """What kind of column tells new rows."""

    IDENTITY = "identity"
    DATE = "date"
    DATETIME = "datetime"


class LocalRows(StrEnum):
    """What happens to rows of the target that production does not have."""

    OVERWRITE = "overwrite"
    KEEP = "keep"
    STOP = "stop"


class Sweep(StrEnum):
    """How often an incremental table is compared by key, to find deleted rows."""

    NEVER = "never"
    WEEKLY = "weekly"
    ALWAYS = "always"


class VerifyLevel(StrEnum):
    """How thoroughly staging is compared with the source."""

    COUNTS = "counts"
    STATISTICS = "statistics"
    """Counts, and per column smallest, largest and number of nulls."""

    CHECKSUM = "checksum"
    """The same, and a checksum of all rows that does not depend on their order."""


class Hooks(Section):
    """Statements of the operator, run in the target inside the swap's transaction.

    `before_swap` sees the old rows, `after_swap` the new ones: rewriting addresses of production
    belongs there, so that nobody ever reads them.
    """

    before_swap: tuple[str, ...] = ()
    after_swap: tuple[str, ...] = ()


class TableConfig(Section):
    """One table and how it is refreshed."""

    name: Name
    table: Identifier | None = None
    """Its name in the databases, where that differs from the key."""

    table_schema: Identifier | None = Field(default=None, alias="schema")
    strategy: Strategy = Strategy.SIMPLE_COPY
    sync_mode: SyncMode = SyncMode.FULL_REPLACE
    truncate_target: bool = True
    """Kept from the original: false means that a full refresh deletes nothing."""

    incremental_column: Identifier | None = None
    incremental_type: IncrementalType | None = None
    date_buffer_days: Annotated[int, Field(ge=0, le=3650)] = 0
    buffer_minutes: Annotated[int, Field(ge=0)] = 60
    """`datetime`: how far before the last value rows are read again."""

    identity_lookback: Annotated[int, Field(ge=0)] = 1000
    """`identity`: numbers below the last value that are read again, because numbers are drawn in
    one order and committed in another."""

    batch_size: Annotated[int, Field(ge=1)] | None = None
    """Rows per bulk batch of SQL Server; None means `settings.default_batch_size`. PostgreSQL
    streams without batches, and refuses it."""

    fallback_to_full: bool = False
    """`smart_sync` may take a full refresh where the target is empty."""

    row_limit: Annotated[int, Field(ge=1)] | None = None
    row_filter: Predicate | None = None
    """Only these rows of the source."""

    keep_rows: Predicate | None = None
    """Rows of the target that belong to testers: never changed, never deleted."""

    local_rows: LocalRows = LocalRows.OVERWRITE
    sweep_deletes: Sweep = Sweep.NEVER
    max_gap_days: Annotated[int, Field(ge=1)] = 14
    """`smart_sync` reads everything when the last refresh is longer ago."""

    max_row_drop: Annotated[float, Field(ge=0, le=1)] = 0.3
    """The refresh stops when the source has lost a larger share of rows since the last time."""

    not_carried: tuple[Identifier, ...] = ()
    """Columns that are left alone in the target."""

    verify: VerifyLevel = VerifyLevel.CHECKSUM
    parallel: Annotated[int, Field(ge=1, le=16)] = 1
    """Key ranges that are read side by side."""

    hooks: Hooks = Hooks()

    @model_validator(mode="after")
    def _incremental_is_complete(self) -> Self:
        incremental = self.sync_mode is not SyncMode.FULL_REPLACE
        if incremental and (self.incremental_column is None or self.incremental_type is None):
            raise ValueError(
                f"{self.name}: `{self.sync_mode.value}` needs `incremental_column` and "
                "`incremental_type`"
            )
        return self

    @property
    def table_name(self) -> str:
        """The table's name in both databases."""
        return self.table or self.name


class MaskMethod(StrEnum):
    """What becomes of a value."""

    KEEP = "keep"
    """Not personal: copied as it is."""

    SHAPE = "shape"
    """Letters become other letters and digits other digits; length, case and punctuation stay.
    Different values stay different."""

    NUMBER = "number"
    """A whole number with as many digits; different numbers stay different."""

    DAY = "day"
    """Another day of the same year; a time of day becomes another."""

    NULL = "null"
    FIXED = "fixed"
    """Everybody gets the same text."""


class MaskClass(Section):
    """A kind of data and what is done to it; equal values of one class get equal masks."""

    method: MaskMethod
    value: str | None = None
    """The text of `fixed`."""

    @model_validator(mode="after")
    def _fixed_has_a_value(self) -> Self:
        if (self.method is MaskMethod.FIXED) != (self.value is not None):
            raise ValueError("`value` belongs to the method `fixed`, and only to it")
        return self


class MaskRule(Section):
    """Which columns are of which class; the first rule that fits decides."""

    columns: tuple[str, ...] = ()
    """`table.column`, with `*` and `?`; ignoring case."""

    types: tuple[str, ...] = ()
    """Kinds of columns: text, integer, numeric, float, boolean, date, timestamp, …"""

    mask_class: str = Field(alias="class")
    json_paths: dict[str, str] = {}
    """Of a JSON column: path → class. `$.contact.email`, `$.phones[*]`."""

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.columns and not self.types:
            raise ValueError("a rule needs `columns` or `types`")
        return self


class MaskingConfig(Section):
    """What is personal, and how it is hidden; what no rule names stops the plan."""

    classes: dict[str, MaskClass] = {}
    rules: tuple[MaskRule, ...] = ()
    key_id: str = "1"
    """Which key, so that a plan says when masks changed; the key is `REFRESHER_MASKING_KEY`."""

    @model_validator(mode="after")
    def _classes_exist(self) -> Self:
        used = {rule.mask_class for rule in self.rules}
        used |= {name for rule in self.rules for name in rule.json_paths.values()}
        if missing := sorted(used - self.classes.keys()):
            raise ValueError(f"these classes are not defined: {', '.join(missing)}")
        return self


class ApprovalConfig(Section):
    """When a person must look at a plan first."""

    destructive: Literal["ask", "auto"] = "ask"
    """A plan that deletes rows or changes columns."""

    may_force: tuple[str, ...] = ()
    """Requesters whose `--force` counts; it is audited. Nobody by default."""


class RefreshSettings(Section):
    """What holds for every table."""

    default_batch_size: Annotated[int, Field(ge=1)] = 5000
    connection_timeout: Annotated[float, Field(gt=0)] = 30
    command_timeout: Annotated[float, Field(gt=0)] = 300
    """Seconds a statement may take; loads are bounded by silence, not by length."""

    max_retries: Annotated[int, Field(ge=0, le=20)] = 3
    dry_run: bool = False
    verbose_logging: bool = False
    environment: Literal["production", "test"] | None = None
    """`test` permits `row_limit`; the variable `REFRESHER_ENVIRONMENT` wins."""

    lock_timeout_ms: Annotated[int, Field(ge=10)] = 200
    """How long a swap waits for its lock, and so how long it may hold up others."""

    swap_attempts: Annotated[int, Field(ge=1)] = 50
    rows_per_second: Annotated[int, Field(ge=1)] | None = None
    """No faster than that is read from production; None means as fast as it goes."""

    not_during: tuple[str, ...] = ()
    """Hours in UTC, `HH:MM-HH:MM`, in which no refresh begins."""

    undo_keep_hours: Annotated[float, Field(ge=0)] = 72
    """How long the rows that were replaced are kept."""

    @model_validator(mode="after")
    def _hours_are_hours(self) -> Self:
        if wrong := [text for text in self.not_during if not _HOURS.match(text)]:
            raise ValueError(f"not of the form HH:MM-HH:MM: {', '.join(wrong)}")
        return self


class RefreshConfig(Section):
    """The whole file."""

    databases: Databases
    tables: tuple[TableConfig, ...]
    settings: RefreshSettings = RefreshSettings()
    masking: MaskingConfig | None = None
    """Without this section nothing is classified, so every plan is refused."""

    approval: ApprovalConfig = ApprovalConfig()

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        names = Counter(table.name for table in self.tables)
        if twice := sorted(name for name, count in names.items() if count > 1):
            raise ValueError(f"these tables stand twice: {', '.join(twice)}")
        if "all" in names:
            raise ValueError("`all` means every table; no table may be called so")
        return self

    @model_validator(mode="after")
    def _batches_exist(self) -> Self:
        if self.databases.target.kind is EngineKind.SQLSERVER:
            return self
        named = [f"{item.name}: `batch_size`" for item in self.tables if item.batch_size]
        if "default_batch_size" in self.settings.model_fields_set:
            named.append("`settings.default_batch_size`")
        if named:
            raise ValueError(
                f"{', '.join(named)}: PostgreSQL streams rows without batches, so there is nothing "
                "to set; leave it out"
            )
        return self

    def table(self, name: str) -> TableConfig | None:
        """Return a table by its key."""
        return next((table for table in self.tables if table.name == name), None)


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of the file, for editors."""
    schema = RefreshConfig.model_json_schema(by_alias=True)
    extends = {"type": "string", "description": "Another file, which this one changes."}
    return schema | {"properties": schema["properties"] | {"extends": extends}}
