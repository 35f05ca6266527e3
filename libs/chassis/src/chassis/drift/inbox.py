"""The inbox of schema changes, `meta.drifts`: written by the service that sees a change, in the
transaction that holds back what it cannot take.
"""

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from chassis import metrics
from chassis.db import Connection, Transaction
from chassis.errors import PermanentError
from chassis.logs import get_logger
from contracts.drifts import DriftStatus, FieldChange, kind_of
from contracts.errors import ErrorCategory
from contracts.schemas import DriftKind, SchemaDrifted
from contracts.topics import SCHEMA_DRIFTED

MAX_ANNOUNCED = 300
"""Fields in one event; the entry in the inbox has all."""

_NAMESPACE = uuid.UUID("6f1b1f4e-2d0c-5c39-9a66-0b6f0a3f7a29")


class SchemaDriftError(PermanentError):
    """The schema of the data set has changed, and nobody has accepted that yet."""

    default_category = ErrorCategory.CONTENT_VALIDATION


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """A change of a data set's schema, as its detector saw it."""

    service: str
    dataset: str
    version: int
    """The known version that it differs from."""

    old: Mapping[str, str]
    new: Mapping[str, str]
    changes: tuple[FieldChange, ...]
    sample: Mapping[str, Any] | None = None
    """What shows the change; never a row of production."""

    affected: Sequence[str] = ()
    run_id: str | None = None

    @property
    def kind(self) -> DriftKind:
        """How much it hurts."""
        return kind_of(self.changes)

    @property
    def drift_id(self) -> str:
        """The same for everybody who sees the same change of the same known version.

        Where something breaks, new fields beside it make no other change.
        """
        breaking = [change for change in self.changes if change.is_breaking]
        what = [change.as_json() for change in sorted(breaking or self.changes)]
        name = json.dumps([self.service, self.dataset, self.version, what])
        return str(uuid.uuid5(_NAMESPACE, name))

    def describe(self) -> str:
        """Return the changes in a line; those that break come first."""
        ordered = sorted(self.changes, key=lambda change: (not change.is_breaking, change))
        shown = "; ".join(str(change) for change in ordered[:5])
        more = len(ordered) - 5
        return f"{shown}; and {more} more" if more > 0 else shown


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where a change stands in the inbox."""

    status: DriftStatus
    is_new: bool = False
    decided_by: str | None = None
    reason: str | None = None

    def __str__(self) -> str:
        """Return the status, with who decided and why."""
        by = f" by {self.decided_by}" if self.decided_by else ""
        return f"{self.status.value}{by}" + (f": {self.reason}" if self.reason else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredDrift:
    """A change that somebody decides about."""

    drift_id: str
    service: str
    dataset: str
    kind: DriftKind
    old: Mapping[str, str]
    new: Mapping[str, str]
    run_id: str | None
    standing: Standing


async def report(transaction: Transaction, drift: Drift) -> Standing:
    """Enter a change into the inbox and announce it; the second time only say where it stands."""
    status = DriftStatus.NOTED if drift.kind is DriftKind.ADDITIVE else DriftStatus.WAITING
    inserted = await transaction.connection.fetchval(
        _INSERT,
        drift.drift_id,
        drift.service,
        drift.dataset,
        drift.kind.value,
        dict(drift.old),
        dict(drift.new),
        [change.as_json() for change in drift.changes],
        None if drift.sample is None else dict(drift.sample),
        list(drift.affected),
        status.value,
        drift.run_id,
    )
    if not inserted:
        found = await standing(transaction.connection, drift.drift_id)
        return found or Standing(status=status)
    _announce(transaction, drift)
    return Standing(status=status, is_new=True)


def _announce(transaction: Transaction, drift: Drift) -> None:
    changed = {change.field for change in drift.changes[:MAX_ANNOUNCED]}
    transaction.publish(
        SCHEMA_DRIFTED,
        SchemaDrifted(
            dataset=drift.dataset,
            kind=drift.kind,
            registered=_bounded(drift.old, changed),
            observed=_bounded(drift.new, changed),
            run_id=drift.run_id,
            service=drift.service,
            drift_id=drift.drift_id,
        ),
    )
    metrics.DRIFTS.labels(drift.service, drift.kind.value).inc()
    get_logger().warning(
        "schema_drifted",
        outcome="warning",
        dataset=drift.dataset,
        kind=drift.kind.value,
        drift_id=drift.drift_id,
        difference=drift.describe(),
    )


def _bounded(columns: Mapping[str, str], changed: set[str]) -> dict[str, str]:
    if len(columns) <= MAX_ANNOUNCED:
        return dict(columns)
    return {name: kind for name, kind in columns.items() if name in changed}


async def standing(connection: Connection, drift_id: str) -> Standing | None:
    """Return where a change stands; None for one that nobody has reported."""
    row = await connection.fetchrow(_STANDING, drift_id)
    if row is None:
        return None
    return Standing(
        status=DriftStatus(row["status"]), decided_by=row["decided_by"], reason=row["reason"]
    )


async def find(transaction: Transaction, drift_id: str) -> StoredDrift | None:
    """Return a change, locked until the transaction ends."""
    row = await transaction.connection.fetchrow(_FIND, drift_id)
    if row is None:
        return None
    return StoredDrift(
        drift_id=drift_id,
        service=row["service"],
        dataset=row["dataset"],
        kind=DriftKind(row["kind"]),
        old=row["old"],
        new=row["new"],
        run_id=None if row["run_id"] is None else str(row["run_id"]),
        standing=Standing(
            status=DriftStatus(row["status"]),
            decided_by=row["decided_by"],
            reason=row["reason"],
        ),
    )


async def close(
    transaction: Transaction,
    drift_id: str,
    status: DriftStatus,
    *,
    decided_by: str,
    reason: str | None,
) -> None:
    """Write down a decision."""
    await transaction.connection.execute(_CLOSE, drift_id, status.value, decided_by, reason)


_INSERT = """
insert into meta.drifts
    (id, service, dataset, kind, old, new, changes, sample, affected, status, run_id)
values ($1::uuid, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11::uuid)
on conflict (id) do nothing
returning true
"""

_STANDING = "select status, decided_by, reason from meta.drifts where id = $1::uuid"

_FIND = """
select service, dataset, kind, old, new, run_id, status, decided_by, reason
from meta.drifts where id = $1::uuid
for update
"""

_CLOSE = """
update meta.drifts
set status = $2, decided_by = $3, reason = $4, decided_at = clock_timestamp()
where id = $1::uuid
"""
