"""Record events to bronze versions, a batch at a time.

Every event holds the whole record, so every event is a version, unless bronze says the same
already. The entity of a record in bronze is the record itself, as its source knows it; which
records are one person or one department is the transformer's judgement.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import orjson

from chassis.blobs.port import BlobNotFoundError, BlobStore
from chassis.bus.delivery import Batch, Delivery
from chassis.db import Transaction
from chassis.errors import PermanentError
from chassis.failpoints import reach
from contracts.layers import BronzeOperation
from contracts.records import RecordChange, RecordChanged
from contracts.topics import BRONZE_STORED
from ingestor import metrics
from ingestor.domain.canonical import content_hash
from ingestor.domain.record_documents import record_document, record_entity_id
from ingestor.domain.versions import (
    ExternalKey,
    InMemory,
    NewVersion,
    WriteOutcome,
    Written,
    external_id_of,
)
from ingestor.errors import UnknownSourceError, UnparseableError
from ingestor.handlers.answers import first_of, stored
from ingestor.ports import Catalog, EnrichmentRequest, Enrichments, RecordError
from ingestor.settings import RecordSection

_CONCURRENT_READS = 16


@dataclass(frozen=True, slots=True)
class _Step:
    delivery: Delivery[RecordChanged]
    version: NewVersion


class IngestRecords:
    """The handler of `record.changed`."""

    def __init__(
        self,
        sections: Mapping[str, RecordSection],
        *,
        catalog: Catalog,
        enrichments: Enrichments,
        blobs: BlobStore,
    ) -> None:
        self._sections = sections
        self._catalog = catalog
        self._enrichments = enrichments
        self._blobs = blobs

    async def __call__(self, batch: Batch[RecordChanged]) -> None:
        """Apply a batch.

        Raises:
            TransientError: the database or the object store does not answer.
        """
        large = await self._fetch(batch)
        steps = self._steps(batch, large)
        written = await self._write(batch, steps)
        for step, result in zip(steps, written, strict=True):
            metrics.RECORDS.labels(step.delivery.data.source, _outcome(step, result)).inc()

    async def _fetch(self, batch: Batch[RecordChanged]) -> dict[str, bytes]:
        """Read the records that were too large to travel, each object once."""
        keys = {item.data.blob_key for item in batch.deliveries} - {None}
        found: dict[str, bytes] = {}
        limit = asyncio.Semaphore(_CONCURRENT_READS)

        async def read(key: str) -> None:
            async with limit:
                try:
                    found[key] = await self._blobs.get(key)
                except BlobNotFoundError:
                    return  # its events are rejected one by one, with their own reason

        try:
            async with asyncio.TaskGroup() as group:
                for key in keys:
                    if key is not None:
                        group.create_task(read(key))
        except BaseExceptionGroup as errors:
            raise first_of(errors) from errors
        return found

    def _steps(self, batch: Batch[RecordChanged], large: Mapping[str, bytes]) -> list[_Step]:
        steps = []
        for delivery in batch.deliveries:
            try:
                steps.append(_Step(delivery, self._version(delivery, large)))
            except PermanentError as error:
                batch.reject(delivery, error)
                metrics.RECORDS.labels("unknown", "rejected").inc()
        return steps

    def _version(self, delivery: Delivery[RecordChanged], large: Mapping[str, bytes]) -> NewVersion:
        data, event = delivery.data, delivery.event
        section = self._sections.get(data.source)
        if section is None:
            raise UnknownSourceError(f"no source {data.source!r} is configured for ingestion")
        external_id = external_id_of(data.external_id)
        tombstone = NewVersion(
            operation=BronzeOperation.TOMBSTONED,
            entity_type=data.entity_type,
            source_system=section.source_system,
            external_id=external_id,
            is_own_entity=True,
            sequence=event.sequence,
            event_id=event.id,
            correlation_id=event.correlationid or event.id,
        )
        if data.change is RecordChange.DELETED:
            return tombstone
        document = _document(data, large)
        return replace(
            tombstone,
            operation=BronzeOperation.STORED,
            entity_id=record_entity_id(section.source_system, external_id),
            document=InMemory(document),
            content_hash=content_hash(document),
            blob_key=data.blob_key,
            size_bytes=len(document),
        )

    async def _write(self, batch: Batch[RecordChanged], steps: Sequence[_Step]) -> list[Written]:
        async with batch.transaction() as transaction:
            written = await self._catalog.append(transaction, [step.version for step in steps])
            for step, result in zip(steps, written, strict=True):
                if result.outcome is not WriteOutcome.DUPLICATE:
                    transaction.publish(
                        BRONZE_STORED, stored(step.version, result), cause=step.delivery.event
                    )
            await self._ask_for_more(transaction, steps, written)
            await self._catalog.record_errors(transaction, _errors(batch))
            await reach("ingestor.records_written")
        return written

    async def _ask_for_more(
        self, transaction: Transaction, steps: Sequence[_Step], written: Sequence[Written]
    ) -> None:
        """Have new versions completed where their source says how."""
        wanted: dict[ExternalKey, EnrichmentRequest] = {}
        deleted: set[ExternalKey] = set()
        for step, result in zip(steps, written, strict=True):
            source, version = step.delivery.data.source, step.version
            if result.raw_id is None or self._sections[source].enrich is None:
                continue
            if version.operation is BronzeOperation.TOMBSTONED:
                wanted.pop(version.key, None)
                deleted.add(version.key)
                continue
            wanted[version.key] = EnrichmentRequest(
                source, *version.key, result.raw_id, version.correlation_id
            )
        if deleted:
            await self._enrichments.withdraw(transaction, sorted(deleted))
        if wanted:
            await self._enrichments.request(transaction, list(wanted.values()))


def _document(data: RecordChanged, large: Mapping[str, bytes]) -> bytes:
    """Return the record as canonical JSON.

    Raises:
        UnparseableError: it is missing, is no JSON object, or holds what cannot be kept.
    """
    if data.record is not None:
        return record_document(data.record)
    if data.blob_key is None:
        raise UnparseableError("the event holds neither a record nor a reference to one")
    if data.blob_key not in large:
        raise UnparseableError(f"the object `{data.blob_key}` is not in the object store")
    try:
        return record_document(orjson.loads(large[data.blob_key]))
    except orjson.JSONDecodeError as error:
        raise UnparseableError(f"`{data.blob_key}` is not JSON: {error}") from error


def _errors(batch: Batch[RecordChanged]) -> list[RecordError]:
    return [
        RecordError(
            source=delivery.data.source,
            external_id=external_id_of(delivery.data.external_id),
            event_id=delivery.event.id,
            attempts=batch.attempt,
            error=error,
        )
        for delivery, error in batch.rejected.values()
    ]


def _outcome(step: _Step, written: Written) -> str:
    if written.outcome is WriteOutcome.APPENDED:
        return step.version.operation.value
    return written.outcome.value
