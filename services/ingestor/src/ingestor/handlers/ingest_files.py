"""File events to bronze versions, a batch at a time.

First everything outside the database, then one transaction: what was fetched, what was deleted,
what failed, and the events about all of it stand or fall together.
"""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias, assert_never

from chassis.bus.delivery import Batch, Delivery
from chassis.errors import PermanentError
from chassis.failpoints import reach
from chassis.logs import get_logger
from chassis.shares.paths import validate_file_path
from chassis.tracing import span
from contracts.files import FileChanged
from contracts.layers import BronzeOperation
from contracts.topics import BRONZE_STORED
from ingestor import metrics
from ingestor.domain.changes import PathPlan, plan_paths
from ingestor.domain.parsers import ROOTS, shape_of_names
from ingestor.domain.versions import (
    ExternalKey,
    NewVersion,
    WriteOutcome,
    Written,
    external_id_of,
)
from ingestor.errors import UnknownSourceError, UnrecognisedError, VanishedFileError
from ingestor.handlers.admission import Admission, Judgement, Look
from ingestor.handlers.answers import first_of, stored
from ingestor.handlers.fetching import Fetched, Fetcher, FileEvent, Ready, Refused, Vanished
from ingestor.ports import Catalog, OpenScratch, RecordError, Scratch
from ingestor.settings import IngestSection

_SAMPLE_NAMES = 50

Plans: TypeAlias = dict[ExternalKey, PathPlan[FileEvent]]


class IngestFiles:
    """The handler of `file.changed`."""

    def __init__(
        self,
        sections: Mapping[str, IngestSection],
        *,
        catalog: Catalog,
        fetcher: Fetcher,
        open_scratch: OpenScratch,
        schemas: Admission | None = None,
    ) -> None:
        self._sections = sections
        self._catalog = catalog
        self._fetcher = fetcher
        self._open_scratch = open_scratch
        self._schemas = schemas
        """None: files of any layout that can be read are taken."""

    async def __call__(self, batch: Batch[FileChanged]) -> None:
        """Apply a batch.

        Raises:
            TransientError: a dependency does not answer, or a file does not rest.
        """
        events = self._admit(batch)
        applied = await self._catalog.sequences(list({key for key, _ in events}))
        plans = plan_paths(events, dict(applied))
        async with self._open_scratch() as scratch:
            fetched = await self._fetch(plans, scratch, attempt=batch.attempt)
            judgement = await self._judge(fetched)
            fetched = _held_back(fetched, judgement)
            for event, outcome in fetched:
                if isinstance(outcome, Refused):
                    batch.reject(event.delivery, outcome.error)
            await reach("ingestor.fetched")
            written = await self._write(
                batch,
                _steps(plans, fetched),
                _record_errors(batch, fetched),
                judgement=judgement,
            )
        if self._schemas is not None:
            self._schemas.remember(judgement)
        _count(plans, fetched=fetched, written=written)

    def _admit(self, batch: Batch[FileChanged]) -> list[tuple[ExternalKey, FileEvent]]:
        """Reject what can be seen to be wrong without looking anywhere."""
        events = []
        for delivery in batch.deliveries:
            try:
                event = self._event_of(delivery)
            except PermanentError as error:
                batch.reject(delivery, error)
                metrics.FILES.labels("unknown", "rejected").inc()
            else:
                key = (
                    event.section.entity_type,
                    event.data.source,
                    external_id_of(event.data.path),
                )
                events.append((key, event))
        return events

    def _event_of(self, delivery: Delivery[FileChanged]) -> FileEvent:
        source = delivery.data.source
        section = self._sections.get(source)
        if section is None:
            raise UnknownSourceError(f"no source {source!r} is configured for ingestion")
        validate_file_path(delivery.data.path)
        return FileEvent(delivery, section)

    async def _fetch(
        self, plans: Plans, scratch: Scratch, *, attempt: int
    ) -> list[tuple[FileEvent, Fetched]]:
        events = [plan.update for plan in plans.values() if plan.update is not None]
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [
                    group.create_task(self._fetcher.fetch(event, scratch, attempt=attempt))
                    for event in events
                ]
        except BaseExceptionGroup as errors:
            raise first_of(errors) from errors
        return [(event, task.result()) for event, task in zip(events, tasks, strict=True)]

    async def _judge(self, fetched: list[tuple[FileEvent, Fetched]]) -> Judgement:
        """Look at the files whose layout was not seen before, and at those of another kind."""
        if self._schemas is None:
            return Judgement()
        looks = [look for event, item in fetched if (look := _look(event, item)) is not None]
        return await self._schemas.judge(
            [
                look
                for look in looks
                if look.lacks or not self._schemas.is_known(look.data_set, look.signature)
            ]
        )

    async def _write(
        self,
        batch: Batch[FileChanged],
        steps: list[tuple[FileEvent, NewVersion]],
        errors: list[RecordError],
        *,
        judgement: Judgement,
    ) -> list[tuple[FileEvent, Written]]:
        if not steps and not errors:
            return []
        async with batch.transaction() as transaction:
            if self._schemas is not None:
                await self._schemas.enter(transaction, judgement)
            with span("store bronze", {"records": len(steps)}):
                written = await self._catalog.append(transaction, [version for _, version in steps])
            for (event, version), result in zip(steps, written, strict=True):
                if result.outcome is not WriteOutcome.DUPLICATE:
                    transaction.publish(
                        BRONZE_STORED, stored(version, result), cause=event.delivery.event
                    )
            await self._catalog.record_errors(transaction, errors)
            await reach("ingestor.written")
        return [(event, result) for (event, _), result in zip(steps, written, strict=True)]


def _look(event: FileEvent, item: Fetched) -> Look | None:
    error = None
    if isinstance(item, Ready):
        names = item.names
    elif isinstance(item, Refused) and isinstance(item.error, UnrecognisedError):
        error = item.error
        names = frozenset(error.facts.get("names", ()))
    else:
        return None

    def sample(_: Iterable[str]) -> Mapping[str, Any]:
        return {"path": event.data.path, "names": sorted(names)[:_SAMPLE_NAMES]}

    return Look(
        delivery=event.delivery,
        data_set=(event.data.source, event.section.entity_type),
        signature=names,
        shape=lambda _: shape_of_names(names),
        sample=sample,
        lacks=ROOTS[event.section.parser] if error else None,
        error=error,
    )


def _held_back(
    fetched: list[tuple[FileEvent, Fetched]], judgement: Judgement
) -> list[tuple[FileEvent, Fetched]]:
    """Refuse what its source's known layout does not take."""
    errors = {id(delivery): error for delivery, error in judgement.held}
    return [
        (event, Refused(error) if (error := errors.get(id(event.delivery))) else item)
        for event, item in fetched
    ]


def _steps(
    plans: Plans, fetched: list[tuple[FileEvent, Fetched]]
) -> list[tuple[FileEvent, NewVersion]]:
    """Return what to write: the deletions first, since what was fetched came after them."""
    deletions = [
        (event, _tombstone(event, key))
        for key, plan in plans.items()
        if (event := plan.deletion) is not None
    ]
    versions = [(event, item.version) for event, item in fetched if isinstance(item, Ready)]
    return deletions + versions


def _record_errors(
    batch: Batch[FileChanged], fetched: list[tuple[FileEvent, Fetched]]
) -> list[RecordError]:
    """Return what to list as failed: dead letters, and files that nobody will see any more."""
    failed = list(batch.rejected.values())
    gone = [event.delivery for event, item in fetched if isinstance(item, Vanished)]
    failed += [(delivery, VanishedFileError()) for delivery in gone]
    return [
        RecordError(
            source=delivery.data.source,
            external_id=external_id_of(delivery.data.path),
            event_id=delivery.event.id,
            attempts=batch.attempt,
            error=error,
        )
        for delivery, error in failed
    ]


def _tombstone(event: FileEvent, key: ExternalKey) -> NewVersion:
    entity_type, source_system, external_id = key
    return NewVersion(
        operation=BronzeOperation.TOMBSTONED,
        entity_type=entity_type,
        source_system=source_system,
        external_id=external_id,
        sequence=event.sequence,
        event_id=event.delivery.event.id,
        correlation_id=event.delivery.event.correlationid or event.delivery.event.id,
    )


def _count(
    plans: Plans,
    *,
    fetched: list[tuple[FileEvent, Fetched]],
    written: list[tuple[FileEvent, Written]],
) -> None:
    for (_, source, _), plan in plans.items():
        metrics.FILES.labels(source, "superseded").inc(plan.superseded)
        metrics.FILES.labels(source, "duplicate").inc(plan.duplicates)
    for event, result in written:
        outcome = result.outcome.value
        if result.outcome is WriteOutcome.APPENDED:
            outcome = "tombstoned" if event.data.current is None else "stored"
        metrics.FILES.labels(event.data.source, outcome).inc()
    for event, item in fetched:
        match item:
            case Ready():
                pass
            case Vanished():
                metrics.FILES.labels(event.data.source, "vanished").inc()
                get_logger().info("file_vanished", source=event.data.source, path=event.data.path)
            case Refused():
                metrics.FILES.labels(event.data.source, "rejected").inc()
            case _:
                assert_never(item)
