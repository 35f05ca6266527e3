"""Bronze in a dictionary; passes the contract suite of the real catalog."""

from collections.abc import Mapping, Sequence

from chassis.db import Transaction
from contracts.layers import BronzeOperation
from ingestor.domain.versions import ExternalKey, NewVersion, WriteOutcome, Written
from ingestor.ports import RecordError


class MemoryCatalog:
    def __init__(self) -> None:
        self.versions: dict[ExternalKey, list[NewVersion]] = {}
        self.documents: dict[ExternalKey, list[bytes | None]] = {}
        self.applied: dict[ExternalKey, int] = {}
        self.errors: list[RecordError] = []

    async def sequences(self, keys: Sequence[ExternalKey]) -> Mapping[ExternalKey, int]:
        return {key: self.applied[key] for key in keys if key in self.applied}

    async def append(self, _: Transaction, versions: Sequence[NewVersion]) -> list[Written]:
        return [await self._append(version) for version in versions]

    async def record_errors(self, _: Transaction, errors: Sequence[RecordError]) -> None:
        self.errors.extend(errors)

    async def _append(self, version: NewVersion) -> Written:
        known = self.versions.get(version.key, [])
        outcome = self._judge(version, known)
        if outcome is WriteOutcome.APPENDED:
            known = [*known, version]
            self.versions[version.key] = known
            document = await version.document.load() if version.document else None
            self.documents.setdefault(version.key, []).append(document)
        if outcome in (WriteOutcome.APPENDED, WriteOutcome.UNCHANGED) and version.sequence:
            self.applied[version.key] = version.sequence
        owners = [item.entity_id for item in known if item.entity_id]
        return Written(outcome, owners[-1] if owners else version.entity_id, len(known))

    def _judge(self, version: NewVersion, known: Sequence[NewVersion]) -> WriteOutcome:
        latest = known[-1] if known else None
        if version.sequence is not None and version.sequence <= self.applied.get(version.key, -1):
            return WriteOutcome.DUPLICATE
        if version.operation is BronzeOperation.TOMBSTONED and latest is None:
            return WriteOutcome.ABSENT
        same = (
            latest is not None
            and latest.operation is version.operation
            and latest.content_hash == version.content_hash
        )
        return WriteOutcome.UNCHANGED if same else WriteOutcome.APPENDED
