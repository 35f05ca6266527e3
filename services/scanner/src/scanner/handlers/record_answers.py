"""Announces again the records whose announcement nobody answered (C-02)."""

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence

from chassis.db import Transaction
from chassis.logs import get_logger
from scanner.handlers.record_announcer import RecordAnnouncer
from scanner.ports.records import RepeatedRecord


class RecordsAgain:
    """Announces deletions again; what exists is announced by the next poll."""

    def __init__(self, entity_type: Callable[[str], str | None]) -> None:
        self._entity_type = entity_type
        """Of a source; None for one that is no longer configured."""

    def publish(self, transaction: Transaction, page: Sequence[RepeatedRecord]) -> None:
        """Queue the events of a page; they leave if the transaction commits."""
        for item in page:
            entity_type = self._entity_type(item.source)
            if entity_type is None or item.run_id is None or item.event_id is None:
                continue
            RecordAnnouncer.publish_deletions(
                transaction,
                entity_type,
                source=item.source,
                scan_id=item.run_id,
                event_ids={item.external_id: item.event_id},
            )

    def report(self, page: Sequence[RepeatedRecord]) -> None:
        """Log and count a page; call it after the commit."""
        due = Counter(item.source for item in page if item.event_id is None)
        for source, count in due.items():
            get_logger().info("records_due_again", source=source, count=count)
        deleted: defaultdict[str, dict[str, str]] = defaultdict(dict)
        for item in page:
            if item.event_id is not None:
                deleted[item.source][item.external_id] = item.event_id
        for source, event_ids in deleted.items():
            RecordAnnouncer.report_deletions(source, event_ids)
