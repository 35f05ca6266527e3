"""Silver: records, where their values come from, how they changed, and how good they are."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal, Protocol

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from console.domain.paging import Page

VALUE_CHARACTERS = 1000
"""Of a value on a page, and in the history; a longer one is cut."""

RAW_CHARACTERS = 32_000
"""Of a bronze record."""


def _none_if_empty(value: object) -> object:
    return value or None  # a form sends the empty choice as an empty text


@dataclass(frozen=True, slots=True, kw_only=True)
class EntityKind:
    """One kind of silver record."""

    entity_type: str
    table: str
    find_by: Sequence[str]
    """Columns by which people look for a record."""

    about: int
    """Roughly how many records there are, from statistics."""

    ruleset_version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordLine:
    """A record in a list."""

    entity_id: str
    status: str
    version: int
    score: float | None
    flags: Sequence[str]
    updated_at: datetime | None
    merged_into: str | None
    names: Sequence[str] = ()
    """Its natural keys: the values by which people look for it."""

    found_by: Literal["id", "key", "source"] | None = None
    """How a search means it: by its own id, a natural key, or the id at a source."""


class RecordFilter(BaseModel):
    """Which records; an empty text is no condition."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    q: str = Field("", max_length=500)
    """An id, a natural key, or the id at a source; the whole of it, case aside."""

    status: Annotated[
        Literal["live", "retired", "rejected"] | None, BeforeValidator(_none_if_empty)
    ] = None
    cursor: str = Field("", max_length=3000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Loser:
    """What another source said."""

    source: str
    source_system: str | None
    external_id: str
    bronze_version: int | None
    value: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldValue:
    """One value and where it comes from."""

    field: str
    value: Any
    rule: str
    source: str | None
    source_system: str | None
    external_id: str | None
    bronze_version: int | None
    as_of: datetime | None
    """When the source changed the winning record, or else when bronze stored it."""

    losers: Sequence[Loser]


@dataclass(frozen=True, slots=True, kw_only=True)
class LineageStep:
    """A bronze record behind a record, and its way here."""

    source: str
    source_system: str
    external_id: str
    bronze_version: int
    operation: str
    event_id: str | None
    correlation_id: str | None
    blob_key: str | None
    blob_sha256: str | None
    size_bytes: int | None
    run_id: str | None
    linked_by: str | None
    source_modified_at: datetime | None
    stored_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """A state that a record had."""

    version: int
    operation: str
    valid_from: datetime
    valid_to: datetime | None
    known_from: datetime
    changes: Sequence[tuple[str, str | None, str | None]]
    """Field, value before, value now; of the first state everything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordDetail:
    """Everything about a record but its history."""

    kind: EntityKind
    line: RecordLine
    rejected_because: str | None
    values: Sequence[FieldValue]
    lineage: Sequence[LineageStep]
    quality: Sequence[tuple[datetime, float]]
    """The score over time, oldest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BronzeVersion:
    """A version of a bronze record, as it was stored."""

    entity_type: str
    source_system: str
    external_id: str
    version: int
    versions: int
    """How many there are."""

    operation: str
    raw: str | None
    """Indented JSON, cut to `RAW_CHARACTERS`; None for a tombstone."""

    is_cut: bool
    content_hash: str | None
    blob_key: str | None
    blob_sha256: str | None
    size_bytes: int | None
    source_modified_at: datetime | None
    event_id: str | None
    correlation_id: str | None
    ingested_at: datetime


class BronzePlace(BaseModel):
    """Which version of which bronze record."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    source_system: str = Field(max_length=200)
    external_id: str = Field(max_length=5000)
    version: int = Field(ge=1, le=2**31 - 1)


class VersionFilter(BaseModel):
    """Which states."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str = Field(max_length=3000)
    cursor: str = Field("", max_length=200)


class Entities(Protocol):
    """What the transformer has written."""

    async def kinds(self) -> Sequence[EntityKind]:
        """Return every kind, by table."""
        ...

    async def kind(self, table: str) -> EntityKind | None:
        """Return a kind by its table."""
        ...

    async def list(self, kind: EntityKind, wanted: RecordFilter) -> Page[RecordLine]:
        """Return records by id, or those that a search means."""
        ...

    async def find(self, kind: EntityKind, entity_id: str) -> RecordDetail | None:
        """Return a record."""
        ...

    async def history(self, kind: EntityKind, wanted: VersionFilter) -> Page[Version]:
        """Return the states of a record, the newest first."""
        ...

    async def bronze(self, kind: EntityKind, place: BronzePlace) -> BronzeVersion | None:
        """Return a version of a bronze record."""
        ...
