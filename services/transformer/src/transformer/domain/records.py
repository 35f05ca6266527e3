"""What goes into the merge and what comes out of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, NamedTuple, TypeAlias


class Status(StrEnum):
    """Whether an entity stands in silver."""

    LIVE = "live"
    RETIRED = "retired"
    """No live bronze record, or none yet."""

    REJECTED = "rejected"
    """Its record breaks a validation."""


class Head(NamedTuple):
    """The latest bronze version of one external id; statements select its fields, in order."""

    entity_id: str
    source_system: str
    external_id: str
    version: int
    is_deleted: bool
    stored_at: datetime
    """When bronze stored it: the only time that silver's own times derive from."""

    document: str | None
    """The record as JSON text; None for a tombstone."""


@dataclass(frozen=True, slots=True)
class FirstSeen:
    """A head, and how old the record is."""

    head: Head
    """Of a deleted record with the document of its last version that had one."""

    order: int
    """Bronze's id of the first version: the lower, the older."""


@dataclass(frozen=True, slots=True)
class Origins:
    """Where the values of an entity come from; `transformer.domain.provenance` explains it."""

    records: str
    """JSON: the contributing records, strongest first; with values if several."""

    winners: tuple[int | None, ...]
    """For what is won together, in the order of the rules: the place of the winning record."""


@dataclass(frozen=True, slots=True)
class Basis:
    """The bronze state that an outcome was computed from."""

    bronze_at: datetime | None
    """When the newest of the versions was stored; None where bronze knows nothing."""

    bronze_versions: int
    """The sum of the heads' versions: grows with every version that bronze stores."""


@dataclass(frozen=True, slots=True)
class Merged:
    """The silver record of an entity."""

    entity_id: str
    basis: Basis
    values: tuple[Any, ...]
    """In the order of `Entity.columns`."""

    version_ids: tuple[str, ...]
    """External ids of the contributing bronze records, strongest first."""

    score: Decimal
    flags: tuple[str, ...]
    ruleset_version: int
    rules_hash: str
    children: Mapping[str, list[tuple[Any, ...]]]
    """Rows by child table, each in the order of `ChildRules.columns`."""

    origins: Origins
    content_hash: str
    """Of everything a reader sees: values, version ids, score, flags, children."""

    state_hash: str
    """Of the content, the basis, the origins and the rules: if equal, nothing is written."""

    @property
    def quality(self) -> tuple[Decimal, tuple[str, ...], int]:
        """How good the record is, and by which rules."""
        return self.score, self.flags, self.ruleset_version


@dataclass(frozen=True, slots=True)
class Absent:
    """The entity has no live bronze record; it does not stand in silver."""

    entity_id: str
    basis: Basis
    state_hash: str


@dataclass(frozen=True, slots=True)
class Rejected:
    """The record breaks validations; it does not stand in silver and is listed as a failure."""

    entity_id: str
    basis: Basis
    reasons: tuple[str, ...]
    state_hash: str


Outcome: TypeAlias = Merged | Absent | Rejected
