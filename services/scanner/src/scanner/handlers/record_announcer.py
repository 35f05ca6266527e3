"""Turns records into events, and leaves the trail of it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from uuid import uuid4

from chassis.blobs.port import BlobStore, content_key
from chassis.db import Transaction
from chassis.logs import get_logger
from contracts.errors import ErrorCategory
from contracts.records import RecordChange, RecordChanged
from contracts.topics import RECORD_CHANGED
from scanner import metrics
from scanner.domain.hashing import canonical_json
from scanner.domain.record_changes import RecordVerdict, SeenRecord
from scanner.domain.records import ItemFailure
from scanner.ports import Mark
from scanner.ports.records import RecordAnnouncement

INLINE_BYTES = 64 * 1024
"""A larger record travels through the object store."""

MAX_RECORD_BYTES = 32 * 1024 * 1024

Change = tuple[SeenRecord, RecordVerdict]

ReadyRecord = tuple[RecordAnnouncement, RecordChanged]
"""An announcement with its event."""


class RecordAnnouncer:
    """Publishes `record.changed`."""

    def __init__(self, blobs: BlobStore | None) -> None:
        self._blobs = blobs

    async def prepare(
        self, entity_type: str, changes: Sequence[Change], *, mark: Mark, version: int
    ) -> tuple[list[ReadyRecord], list[ItemFailure]]:
        """Return announcements with their events, and the records that no event can carry.

        Large records are stored here, before the transaction that announces them.
        """
        ready: list[ReadyRecord] = []
        failures: list[ItemFailure] = []
        for seen, verdict in changes:
            body = canonical_json(seen.record)
            problem = self._problem(len(body))
            if problem is not None:
                failures.append(_too_large(seen.external_id, problem))
                continue
            announcement = RecordAnnouncement(
                seen.external_id, verdict, seen.content_hash, str(uuid4())
            )
            is_inline = len(body) <= INLINE_BYTES
            event = RecordChanged(
                change=RecordChange.UPSERTED,
                source=mark.source,
                entity_type=entity_type,
                external_id=seen.external_id,
                content_hash=seen.content_hash.hex(),
                hash_spec_version=version,
                record=dict(seen.record) if is_inline else None,
                blob_key=None if is_inline else await self._store(body),
                scan_id=mark.scan_id,
            )
            ready.append((announcement, event))
        return ready, failures

    def _problem(self, size: int) -> str | None:
        if size > MAX_RECORD_BYTES:
            return f"the record has {size} bytes, the limit is {MAX_RECORD_BYTES}"
        if size > INLINE_BYTES and self._blobs is None:
            return f"the record has {size} bytes; above {INLINE_BYTES} the object store is needed"
        return None

    async def _store(self, body: bytes) -> str | None:
        if self._blobs is None:
            return None
        key = content_key(body)
        await self._blobs.put_if_absent(key, body)
        return key

    @staticmethod
    def publish(transaction: Transaction, ready: Sequence[ReadyRecord]) -> None:
        """Queue the events; they leave if the transaction commits."""
        transaction.publish_all(
            RECORD_CHANGED,
            [event for _, event in ready],
            event_ids=[announcement.event_id for announcement, _ in ready],
        )

    @staticmethod
    def publish_deletions(
        transaction: Transaction,
        entity_type: str,
        *,
        source: str,
        scan_id: str,
        event_ids: Mapping[str, str],
    ) -> None:
        """Queue deletions, given the ids of their events by external id."""
        for external_id, event_id in event_ids.items():
            data = RecordChanged(
                change=RecordChange.DELETED,
                source=source,
                entity_type=entity_type,
                external_id=external_id,
                scan_id=scan_id,
            )
            transaction.publish(RECORD_CHANGED, data, event_id=event_id)

    @staticmethod
    def report(source: str, announcements: Sequence[RecordAnnouncement]) -> None:
        """Log and count what was announced; call it after the commit."""
        _report(
            source,
            [(item.external_id, item.verdict.value, item.event_id) for item in announcements],
        )

    @staticmethod
    def report_deletions(source: str, event_ids: Mapping[str, str]) -> None:
        """Log and count announced deletions; call it after the commit."""
        _report(source, [(key, "deleted", event_id) for key, event_id in event_ids.items()])


def _report(source: str, decisions: Sequence[tuple[str, str, str]]) -> None:
    """Tell a batch in one line: a first poll has a million records."""
    if not decisions:
        return
    log = get_logger()
    for external_id, decision, event_id in decisions:
        log.debug(
            "record_decision",
            source=source,
            external_id=external_id,
            decision=decision,
            event_id=event_id,
        )
    counts = Counter(decision for _, decision, _ in decisions)
    for decision, count in counts.items():
        metrics.RECORDS_CHANGED.labels(source, decision).inc(count)
    outcome = "new" if counts.keys() == {"new"} else "changed"
    log.info("records_announced", source=source, outcome=outcome, **counts)


def _too_large(external_id: str, problem: str) -> ItemFailure:
    return ItemFailure(external_id, ErrorCategory.MESSAGE_TOO_LARGE, "RecordTooLargeError", problem)
