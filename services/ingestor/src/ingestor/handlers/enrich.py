"""Completes records that a list tells in part: one further call each, a new version derived from
the listed one (C-15).

Calls take long and their number is limited, so they stand outside the delivery of events: a
version asks for its completion in its own transaction, and whoever is free takes the request.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from chassis.db import Database
from chassis.errors import PermanentError, TransientError
from chassis.failpoints import reach
from chassis.http.errors import ApiAccessError, ApiPlanError
from chassis.logs import get_logger
from chassis.retry import backoff_seconds
from contracts.layers import BronzeOperation
from contracts.topics import BRONZE_STORED
from ingestor import metrics
from ingestor.domain.canonical import content_hash
from ingestor.domain.record_documents import record_document, record_entity_id
from ingestor.domain.versions import InMemory, NewVersion, WriteOutcome
from ingestor.handlers.answers import first_of, stored
from ingestor.ports import (
    Catalog,
    EnrichmentRequest,
    Enrichments,
    FullForms,
    Postponed,
    RecordError,
)
from ingestor.settings import EnrichSection

BATCH = 50
LEASE_SECONDS = 600.0
"""A request that was taken and not settled, because of a crash, is tried again after so long."""

REFUSED_SECONDS = 900.0
"""Credentials or plan are at fault: no call will do before somebody acted."""

LONGEST_WAIT_SECONDS = 3600.0
_BASE_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class _Completed:
    request: EnrichmentRequest
    version: NewVersion


@dataclass(frozen=True, slots=True)
class _Failed:
    request: EnrichmentRequest
    error: PermanentError


_Outcome: TypeAlias = _Completed | _Failed | Postponed


class Enrich:
    """Takes requests of one source, a batch at a time."""

    def __init__(
        self,
        database: Database,
        *,
        catalog: Catalog,
        enrichments: Enrichments,
        full_forms: FullForms,
    ) -> None:
        self._database = database
        self._catalog = catalog
        self._enrichments = enrichments
        self._full_forms = full_forms

    async def step(self, source: str, section: EnrichSection) -> int:
        """Complete what is due; return how many requests were taken.

        Raises:
            TransientError: the database does not answer.
        """
        taken = await self._enrichments.take(source, limit=BATCH, lease_seconds=LEASE_SECONDS)
        if not taken:
            return 0
        outcomes = await self._complete(taken, section)
        await reach("ingestor.enriched")
        await self._write(outcomes)
        return len(taken)

    async def _complete(
        self, requests: Sequence[EnrichmentRequest], section: EnrichSection
    ) -> list[_Outcome]:
        limit = asyncio.Semaphore(section.concurrency)
        refused: list[PermanentError] = []

        async def one(request: EnrichmentRequest) -> _Outcome:
            async with limit:
                if refused:
                    return Postponed(request, REFUSED_SECONDS, refused[0].message)
                return await self._one(request, refused)

        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(one(request)) for request in requests]
        except BaseExceptionGroup as errors:
            raise first_of(errors) from errors
        return [task.result() for task in tasks]

    async def _one(self, request: EnrichmentRequest, refused: list[PermanentError]) -> _Outcome:
        try:
            full = await self._full_forms.fetch(request.source, request.external_id)
            return _Completed(request, _version(request, full))
        except (ApiAccessError, ApiPlanError) as error:
            # The same for every record: the rest is not even asked (S3-12, C-21).
            refused.append(error)
            get_logger().error("enrichment_refused", source=request.source, error=error)
            return Postponed(request, REFUSED_SECONDS, error.message)
        except PermanentError as error:
            return _Failed(request, error)
        except TransientError as error:
            wait = backoff_seconds(
                request.attempts,
                base=_BASE_SECONDS,
                cap=LONGEST_WAIT_SECONDS,
                retry_after=error.retry_after,
            )
            return Postponed(request, wait, error.message)

    async def _write(self, outcomes: Sequence[_Outcome]) -> None:
        completed = [item for item in outcomes if isinstance(item, _Completed)]
        failed = [item for item in outcomes if isinstance(item, _Failed)]
        postponed = [item for item in outcomes if isinstance(item, Postponed)]
        async with self._database.transaction() as transaction:
            wanted = await self._enrichments.still_wanted(
                transaction, [item.request for item in completed]
            )
            current = [item for item in completed if item.request.key in wanted]
            written = await self._catalog.append(transaction, [item.version for item in current])
            for item, result in zip(current, written, strict=True):
                if result.outcome is WriteOutcome.APPENDED:
                    transaction.publish(
                        BRONZE_STORED,
                        stored(item.version, result),
                        correlation_id=item.version.correlation_id,
                    )
            await self._catalog.record_errors(transaction, [_error(item) for item in failed])
            await self._enrichments.settle(
                transaction,
                [*(item.request for item in completed), *(item.request for item in failed)],
            )
            if postponed:
                await self._enrichments.postpone(transaction, postponed)
        _count("completed", [item.request for item in current])
        _count("superseded", [i.request for i in completed if i.request.key not in wanted])
        _count("failed", [item.request for item in failed])
        _count("postponed", [item.request for item in postponed])


def _version(request: EnrichmentRequest, full: Mapping[str, Any]) -> NewVersion:
    """Return the completed record: what the list told, and over it what the full form says.

    Raises:
        UnparseableError: the full form holds what cannot be kept.
    """
    document = record_document({**request.document, **full})
    return NewVersion(
        operation=BronzeOperation.STORED,
        entity_type=request.entity_type,
        source_system=request.source_system,
        external_id=request.external_id,
        entity_id=record_entity_id(request.source_system, request.external_id),
        is_own_entity=True,
        document=InMemory(document),
        content_hash=content_hash(document),
        size_bytes=len(document),
        correlation_id=request.correlation_id,
        derived_from=request.raw_id,
    )


def _error(failed: _Failed) -> RecordError:
    return RecordError(
        source=failed.request.source,
        external_id=failed.request.external_id,
        event_id=f"enrichment/{failed.request.raw_id}",
        attempts=failed.request.attempts,
        error=failed.error,
    )


def _count(outcome: str, requests: Sequence[EnrichmentRequest]) -> None:
    for request in requests:
        metrics.ENRICHMENTS.labels(request.source, outcome).inc()
