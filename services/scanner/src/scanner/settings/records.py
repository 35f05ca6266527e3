"""The sections `records` and `scan` of a record source in `config/sources.yaml`."""

from datetime import timedelta
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from contracts.types import Name
from scanner.domain.cursors import CursorKind, Overlap
from scanner.domain.guard import DeletionRules
from scanner.domain.hashing import HashSpec
from scanner.settings.file_list import FileListRecords
from scanner.settings.http import HttpRecords
from scanner.settings.ldap import LdapRecords
from scanner.settings.scan import DeletionConfig
from scanner.settings.sql import SqlRecords

_CONFIRM_SHARE = 0.9
"""Two scheduled polls are one interval apart, give or take how long each took to start."""

RecordsConfig = Annotated[
    HttpRecords | LdapRecords | SqlRecords | FileListRecords,
    Field(discriminator="kind"),
]
"""The section `records`: where the records are, and how they are read."""

FieldPath = Annotated[str, StringConstraints(min_length=1, max_length=200)]
"""A field of a record; `a.b` is the field `b` of the object, or of each object, in `a`."""


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class HashDetection(_Section):
    """Every poll reads everything; a record changed if its hash did (S2-10)."""

    by: Literal["hash"] = "hash"


class TimestampDetection(_Section):
    """Polls ask for what changed since the last success; a full one comes round (S2-15)."""

    by: Literal["timestamp"]
    cursor: CursorKind = CursorKind.TIMESTAMP
    overlap_seconds: Annotated[float, Field(ge=0)] = 300.0
    """Asked for again below the high-water mark: what was committed late (C-11)."""

    overlap_count: Annotated[int, Field(ge=0)] = 1000
    """The same for a cursor of whole numbers."""

    full_interval_seconds: Annotated[float, Field(ge=1)] = 86400.0
    """Only a full poll sees that a record is gone."""


class UniverseBand(_Section):
    """How far the set of records may move between two polls (C-19)."""

    max_change_share: Annotated[float, Field(gt=0, le=1)] = 0.1
    """Added and gone records, of those known before; beyond it nothing is announced."""

    min_records: Annotated[int, Field(ge=1)] = 1


class RecordScanConfig(_Section):
    """What the records of one source are, and how their changes are found."""

    entity_type: Name
    id: Annotated[tuple[FieldPath, ...], Field(min_length=1)]
    """The fields that identify a record; several are joined with `/`."""

    significant: tuple[FieldPath, ...] = ()
    """The fields whose change is a change (S2-11); by default all but the volatile ones."""

    volatile: tuple[FieldPath, ...] = ()
    """Fields that change by themselves: access times, session ids (S2-12)."""

    unordered: tuple[FieldPath, ...] = ()
    """Lists whose order means nothing."""

    detection: Annotated[HashDetection | TimestampDetection, Field(discriminator="by")] = (
        HashDetection()
    )
    band: UniverseBand | None = None
    interval_seconds: Annotated[float, Field(ge=1)] = 3600.0
    deletions: DeletionConfig = DeletionConfig()
    max_records: Annotated[int, Field(ge=0)] | None = None
    """Stop after so many, and conclude no deletion; 0 reads all, None does what `MAX_RECORDS` says.
    """

    batch_size: Annotated[int, Field(ge=1, le=10000)] | None = None
    """Records per comparison; None does what `BATCH_SIZE` says."""

    timeout_seconds: Annotated[float, Field(gt=0)] = 120.0
    """Longest wait for one page."""

    @model_validator(mode="after")
    def _fields_make_sense(self) -> Self:
        if self.significant and self.volatile:
            raise ValueError("`significant` names the fields that count: leave out `volatile`")
        return self

    @property
    def interval(self) -> timedelta:
        """Between two scheduled polls."""
        return timedelta(seconds=self.interval_seconds)

    @property
    def full_interval(self) -> timedelta | None:
        """Between two full polls; None where every poll is one."""
        if isinstance(self.detection, HashDetection):
            return None
        return timedelta(seconds=self.detection.full_interval_seconds)

    @property
    def overlap(self) -> Overlap | None:
        """What is read again below the cursor; None where there is none."""
        if isinstance(self.detection, HashDetection):
            return None
        return Overlap(
            self.detection.cursor,
            span=timedelta(seconds=self.detection.overlap_seconds),
            count=self.detection.overlap_count,
        )

    def hash_spec(self) -> HashSpec:
        """Return what is hashed of a record."""
        return HashSpec(
            significant=self.significant, volatile=self.volatile, unordered=self.unordered
        )

    def deletion_rules(self, *, is_guarded: bool) -> DeletionRules:
        """Return the proof that deletions need."""
        seconds = self.deletions.confirm_after_seconds
        if seconds is None:
            between = self.full_interval or self.interval
            is_one = self.deletions.confirmations == 1
            seconds = 0 if is_one else between.total_seconds() * _CONFIRM_SHARE
        return self.deletions.rules(seconds, is_guarded=is_guarded)


class RecordSections(_Section):
    """What the scanner reads of a record source."""

    records: RecordsConfig
    scan: RecordScanConfig
