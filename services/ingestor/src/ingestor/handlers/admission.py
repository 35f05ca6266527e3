"""Lets in what looks as its data set is known to look, and learns (docs/decisions/0029).

What looks as something that was let in before costs a look-up in a set. Everything else is judged
once per batch: new fields are noted, what breaks is held back as dead letters that carry the drift
they wait for.
"""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from chassis.bus.delivery import Delivery
from chassis.db import Database, Transaction
from chassis.drift import (
    Drift,
    KnownSchema,
    SchemaDriftError,
    hold,
    known_schemas,
    register,
    report,
)
from chassis.errors import PermanentError
from contracts.drifts import FieldChange, FieldEffect
from ingestor.domain.shapes import Shape, compare, merged, says_more, with_changes
from ingestor.errors import SchemaMovedError

SERVICE = "ingestor"

MAX_SIGNATURES = 20_000
"""Remembered of a data set; beyond that they are looked at anew."""

DataSet: TypeAlias = tuple[str, str]
"""Source and entity type."""

Affected: TypeAlias = Callable[[DataSet, tuple[str, ...]], Sequence[str]]
"""The silver fields that fields of a data set end in."""


@dataclass(frozen=True, slots=True)
class Declared:
    """What configuration and parser say of a data set; the rest is learnt."""

    shape: Mapping[str, str] = field(default_factory=dict)
    required: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What one message looks like."""

    delivery: Delivery[Any]
    data_set: DataSet
    signature: Hashable
    shape: Callable[[Mapping[str, str]], Shape]
    """Given the known one, because names of maps are not looked at."""

    sample: Callable[[Iterable[str]], Mapping[str, Any]]
    """What of it shows a change of these fields."""

    lacks: str | None = None
    """The element without which it cannot be read at all."""

    error: PermanentError | None = None
    """Why it cannot be read."""


@dataclass(slots=True)
class _Findings:
    """What was found in one data set."""

    known: KnownSchema
    columns: Shape
    drifts: list[Drift] = field(default_factory=list)
    signatures: set[Hashable] = field(default_factory=set)
    held: list[tuple[Delivery[Any], SchemaDriftError]] = field(default_factory=list)

    @property
    def is_news(self) -> bool:
        return bool(self.drifts) or self.columns != self.known.columns


@dataclass(frozen=True, slots=True)
class Judgement:
    """What became of a batch's looks."""

    findings: Mapping[DataSet, _Findings] = field(default_factory=dict)

    @property
    def held(self) -> list[tuple[Delivery[Any], SchemaDriftError]]:
        """What is not let in, and why."""
        return [item for found in self.findings.values() for item in found.held]


class Admission:
    """The known shapes of all data sets, in memory as far as they were needed."""

    def __init__(
        self, database: Database, declared: Mapping[str, Declared], *, affected: Affected
    ) -> None:
        self._database = database
        self._declared = declared
        self._affected = affected
        self._known: dict[DataSet, KnownSchema] = {}
        self._signatures: defaultdict[DataSet, set[Hashable]] = defaultdict(set)

    def is_known(self, data_set: DataSet, signature: Hashable) -> bool:
        """Return whether a message of that look was let in before."""
        return signature in self._signatures[data_set]

    async def judge(self, looks: Sequence[Look]) -> Judgement:
        """Compare looks that are not known with what their data sets are known to look like.

        Raises:
            TransientError: the database does not answer.
        """
        if not looks:
            return Judgement()
        groups: defaultdict[DataSet, list[Look]] = defaultdict(list)
        for look in looks:
            groups[look.data_set].append(look)
        findings = {
            data_set: self._compare(data_set, known, groups[data_set])
            for data_set in groups
            if (known := self._known.get(data_set)) is not None
        }
        # Memory may be behind the others': what seems new is compared with what is stored.
        doubtful = [
            data_set
            for data_set in groups
            if data_set not in findings or findings[data_set].is_news
        ]
        if doubtful:
            stored = await self._stored(doubtful)
            for data_set in doubtful:
                known = stored[data_set]
                findings[data_set] = self._compare(data_set, known, groups[data_set])
        return Judgement(findings)

    async def enter(self, transaction: Transaction, judgement: Judgement) -> None:
        """Write what was learnt, and report what is new.

        Raises:
            SchemaMovedError: another replica was faster, or somebody has decided.
        """
        for data_set, found in sorted(judgement.findings.items()):
            if not found.is_news:
                continue
            name = dataset_name(data_set)
            await hold(transaction, SERVICE, name)
            present = await known_schemas(transaction.connection, SERVICE, [name])
            if present.get(name, _NOTHING).version != found.known.version:
                self._known.pop(data_set, None)
                raise SchemaMovedError(dataset=name)
            for drift in found.drifts:
                await report(transaction, drift)
            if found.columns != found.known.columns:
                await register(
                    transaction,
                    service=SERVICE,
                    dataset=name,
                    columns=found.columns,
                    origin="extended" if found.known.version else "learnt",
                )

    def remember(self, judgement: Judgement) -> None:
        """Take a judgement into memory; to be called once its transaction has committed."""
        for data_set, found in judgement.findings.items():
            has_grown = found.columns != found.known.columns
            version = found.known.version + has_grown
            self._known[data_set] = KnownSchema(version=version, columns=found.columns)
            signatures = self._signatures[data_set]
            if len(signatures) > MAX_SIGNATURES:
                signatures.clear()
            signatures |= found.signatures

    async def _stored(self, data_sets: Sequence[DataSet]) -> dict[DataSet, KnownSchema]:
        names = {dataset_name(data_set): data_set for data_set in data_sets}
        async with self._database.connection() as connection:
            found = await known_schemas(connection, SERVICE, names)
        return {data_set: found.get(name, _NOTHING) for name, data_set in names.items()}

    def _compare(self, data_set: DataSet, known: KnownSchema, looks: Sequence[Look]) -> _Findings:
        declared = self._declared.get(data_set[0], _UNDECLARED)
        before = merged(known.columns, declared.shape)
        found = _Findings(known=known, columns=before if known.version else {})
        drifts: dict[Hashable, Drift | None] = {}
        added: list[FieldChange] = []
        sample: Look | None = None
        for look in looks:
            if look.signature not in drifts:
                shape = look.shape(before)
                changes = self._changes(before, shape, look, known=known, declared=declared)
                drift = self._breaking(look, known, before, shape=shape, changes=changes)
                drifts[look.signature] = drift
                if drift is None and look.lacks is None:
                    if not found.columns or says_more(found.columns, shape):
                        found.columns = merged(before, found.columns, shape)
                    found.signatures.add(look.signature)
                    added += changes
                    sample = sample or (look if changes else None)
            drift = drifts[look.signature]
            if drift is not None:
                found.held.append((look.delivery, _held(drift, look.error)))
        reported = {drift.drift_id: drift for drift in drifts.values() if drift is not None}
        if sample is not None and known.version:
            noted = self._additive(sample, known, before, found.columns, changes=added)
            reported[noted.drift_id] = noted
        found.drifts = list(reported.values())
        return found

    @staticmethod
    def _changes(
        before: Shape,
        shape: Shape,
        look: Look,
        *,
        known: KnownSchema,
        declared: Declared,
    ) -> list[FieldChange]:
        if look.lacks is not None:
            # Of a document of another kind, only its absence means something.
            found = compare(before, shape, (look.lacks,)) if known.version else ()
            return [change for change in found if change.field == look.lacks]
        found = compare(before, shape, declared.required)
        if known.version:
            return list(found)
        return [change for change in found if change.effect is not FieldEffect.ADDED]

    def _breaking(
        self,
        look: Look,
        known: KnownSchema,
        before: Shape,
        *,
        shape: Shape,
        changes: Sequence[FieldChange],
    ) -> Drift | None:
        if not any(change.is_breaking for change in changes):
            return None
        return self._drift(
            look,
            known,
            before,
            new=with_changes(before, {} if look.lacks else shape, changes),
            changes=changes,
        )

    def _additive(
        self,
        look: Look,
        known: KnownSchema,
        before: Shape,
        after: Shape,
        *,
        changes: Iterable[FieldChange],
    ) -> Drift:
        latest = {change.field: change for change in changes}
        return self._drift(look, known, before, new=after, changes=tuple(latest.values()))

    def _drift(
        self,
        look: Look,
        known: KnownSchema,
        before: Shape,
        *,
        new: Shape,
        changes: Sequence[FieldChange],
    ) -> Drift:
        fields = tuple(change.field for change in changes)
        return Drift(
            service=SERVICE,
            dataset=dataset_name(look.data_set),
            version=known.version,
            old=before,
            new=new,
            changes=tuple(changes),
            sample=look.sample(fields),
            affected=self._affected(look.data_set, fields),
        )


def _held(drift: Drift, error: PermanentError | None) -> SchemaDriftError:
    why = f"; {error.message}" if error else ""
    return SchemaDriftError(
        f"{drift.dataset}: {drift.describe()}; held back by schema drift {drift.drift_id}{why}",
        category=error.category if error else None,
        dataset=drift.dataset,
        drift_id=drift.drift_id,
    )


def dataset_name(data_set: DataSet) -> str:
    """Return what a data set is called in the inbox."""
    name = ".".join(data_set)
    if len(name) <= _MAX_NAME:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:16]
    return f"{name[: _MAX_NAME - 17]}-{digest}"


_MAX_NAME = 100
_NOTHING = KnownSchema(columns={})
_UNDECLARED = Declared()
