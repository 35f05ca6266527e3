"""Record events to bronze versions, a batch at a time.

Every event holds the whole record, so every event is a version, unless bronze says the same
already. The entity of a record in bronze is the record itself, as its source knows it; which
records are one person or one department is the transformer's judgement.
"""

import asyncio
import functools
import json
import re
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson

from chassis.blobs.port import BlobNotFoundError, BlobStore
from chassis.bus.delivery import Batch, Delivery
from chassis.db import Transaction
from chassis.errors import PermanentError
from chassis.failpoints import reach
from chassis.tracing import span
from contracts.layers import BronzeOperation
from contracts.records import RecordChange, RecordChanged
from contracts.topics import BRONZE_STORED
from ingestor import metrics
from ingestor.domain.canonical import content_hash
from ingestor.domain.record_documents import record_document, record_entity_id
from ingestor.domain.shapes import shape_of, signature
from ingestor.domain.versions import (
    ExternalKey,
    InMemory,
    NewVersion,
    WriteOutcome,
    Written,
    external_id_of,
)
from ingestor.errors import UnknownSourceError, UnparseableError
from ingestor.handlers.admission import Admission, Judgement, Look
from ingestor.handlers.answers import first_of, stored
from ingestor.ports import Catalog, EnrichmentRequest, Enrichments, RecordError
from ingestor.settings import RecordSection

_CONCURRENT_READS = 16


_SAMPLE_CHARACTERS = 200
_SAMPLE_FIELDS = 20


@dataclass(frozen=True, slots=True)
class _Step:
    delivery: Delivery[RecordChanged]
    version: NewVersion
    record: dict[str, Any] | None
    """None for a deletion."""


class IngestRecords:
    """The handler of `record.changed`."""

    def __init__(
        self,
        sections: Mapping[str, RecordSection],
        *,
        catalog: Catalog,
        enrichments: Enrichments,
        blobs: BlobStore,
        schemas: Admission | None = None,
    ) -> None:
        self._sections = sections
        self._catalog = catalog
        self._enrichments = enrichments
        self._blobs = blobs
        self._schemas = schemas
        """None: records of any shape are taken."""

    async def __call__(self, batch: Batch[RecordChanged]) -> None:
        """Apply a batch.

        Raises:
            TransientError: the database or the object store does not answer.
        """
        large = await self._fetch(batch)
        steps = self._steps(batch, large)
        judgement = await self._judge(steps)
        steps = _let_in(batch, steps, judgement)
        written = await self._write(batch, steps, judgement)
        if self._schemas is not None:
            self._schemas.remember(judgement)
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
                steps.append(self._step(delivery, large))
            except PermanentError as error:
                batch.reject(delivery, error)
                metrics.RECORDS.labels("unknown", "rejected").inc()
        return steps

    async def _judge(self, steps: Sequence[_Step]) -> Judgement:
        """Look at the records whose shape was not seen before."""
        if self._schemas is None:
            return Judgement()
        looks = []
        for step in steps:
            if step.record is not None:
                data = step.delivery.data
                data_set, shape = (data.source, data.entity_type), signature(step.record)
                if not self._schemas.is_known(data_set, shape):
                    looks.append(_look(step.delivery, data_set, shape, record=step.record))
        return await self._schemas.judge(looks)

    def _step(self, delivery: Delivery[RecordChanged], large: Mapping[str, bytes]) -> _Step:
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
            return _Step(delivery, tombstone, None)
        record = _record(data, large)
        document = record_document(record)
        version = replace(
            tombstone,
            operation=BronzeOperation.STORED,
            entity_id=record_entity_id(section.source_system, external_id),
            document=InMemory(document),
            content_hash=content_hash(document),
            blob_key=data.blob_key,
            size_bytes=len(document),
        )
        return _Step(delivery, version, record)

    async def _write(
        self, batch: Batch[RecordChanged], steps: Sequence[_Step], judgement: Judgement
    ) -> list[Written]:
        async with batch.transaction() as transaction:
            if self._schemas is not None:
                await self._schemas.enter(transaction, judgement)
            with span("store bronze", {"records": len(steps)}):
                written = await self._catalog.append(transaction, [step.version for step in steps])
            news = [
                (step, result)
                for step, result in zip(steps, written, strict=True)
                if result.outcome is not WriteOutcome.DUPLICATE
            ]
            transaction.publish_all(
                BRONZE_STORED,
                [stored(step.version, result) for step, result in news],
                causes=[step.delivery.event for step, _ in news],
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


def _let_in(batch: Batch[RecordChanged], steps: list[_Step], judgement: Judgement) -> list[_Step]:
    """Reject what its data set's schema does not take, and return the rest."""
    held = judgement.held
    for delivery, error in held:
        batch.reject(delivery, error)
        metrics.RECORDS.labels(delivery.data.source, "rejected").inc()
    if not held:
        return steps
    out = {id(delivery) for delivery, _ in held}
    return [step for step in steps if id(step.delivery) not in out]


def _look(
    delivery: Delivery[RecordChanged],
    data_set: tuple[str, str],
    seen: Hashable,
    *,
    record: Mapping[str, Any],
) -> Look:
    def sample(fields: Iterable[str]) -> Mapping[str, Any]:
        names = sorted({re.split(r"[.\[]", field)[0] for field in fields} & record.keys())
        values = {name: _shown(record[name]) for name in names[:_SAMPLE_FIELDS]}
        return {"external_id": delivery.data.external_id, "values": values}

    return Look(
        delivery=delivery,
        data_set=data_set,
        signature=seen,
        shape=functools.partial(shape_of, record),
        sample=sample,
    )


def _shown(value: Any) -> str:
    # Escaped, so that neither a NUL nor half a character is left that PostgreSQL would refuse.
    return json.dumps(value, default=str)[:_SAMPLE_CHARACTERS]


def _record(data: RecordChanged, large: Mapping[str, bytes]) -> dict[str, Any]:
    """Return the record, wherever it is.

    Raises:
        UnparseableError: it is missing, or is no JSON object.
    """
    if data.record is not None:
        return data.record
    if data.blob_key is None:
        raise UnparseableError("the event holds neither a record nor a reference to one")
    if data.blob_key not in large:
        raise UnparseableError(f"the object `{data.blob_key}` is not in the object store")
    try:
        record = orjson.loads(large[data.blob_key])
    except orjson.JSONDecodeError as error:
        raise UnparseableError(f"`{data.blob_key}` is not JSON: {error}") from error
    if not isinstance(record, dict):
        raise UnparseableError("a record is a JSON object")
    return record


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
