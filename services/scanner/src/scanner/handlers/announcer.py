"""Turns announcements into events: one form for scans, deletions and repetitions."""

from collections.abc import Callable, Iterable
from uuid import uuid4

from chassis.db import Transaction
from chassis.logs import get_logger
from contracts.files import FileChange, FileChanged, FileFingerprint, Institution
from contracts.topics import FILE_CHANGED
from scanner import metrics
from scanner.domain.changes import Announce
from scanner.domain.files import Fingerprint
from scanner.domain.institutions import InstitutionDirectory
from scanner.domain.observations import Announcement

Institutions = Callable[[str], InstitutionDirectory]


class Announcer:
    """Publishes `file.changed`, and leaves the trail of it (S1-34)."""

    def __init__(self, institutions: Institutions) -> None:
        self._institutions = institutions
        """Gives the monitored institutions of a source."""

    @staticmethod
    def prepare(changes: Iterable[Announce]) -> list[Announcement]:
        """Give each change the id of its event, by which its answer will be recognised."""
        return [Announcement(change, str(uuid4())) for change in changes]

    def publish(
        self,
        transaction: Transaction,
        source: str,
        *,
        announcements: Iterable[Announcement],
        scan_id: str,
    ) -> None:
        """Queue the events; they leave if the transaction commits."""
        directory = self._institutions(source)
        for item in announcements:
            data = _event(source, item.change, scan_id=scan_id, directory=directory)
            transaction.publish(FILE_CHANGED, data, event_id=item.event_id)

    def report(self, source: str, announcements: Iterable[Announcement]) -> None:
        """Log and count what was announced; call it after the commit."""
        directory = self._institutions(source)
        log = get_logger()
        for item in announcements:
            change = item.change
            is_monitored = not len(directory) or directory.find(change.path) is not None
            metrics.FILES_CHANGED.labels(source, change.change.value).inc()
            if not is_monitored:
                metrics.FILES_UNMONITORED.labels(source).inc()
            log.info(
                "file_decision",
                source=source,
                path=change.path,
                decision=change.change.value,
                outcome="new" if change.previous is None else "changed",
                is_monitored=is_monitored,
                event_id=item.event_id,
            )


def _event(
    source: str, change: Announce, *, scan_id: str, directory: InstitutionDirectory
) -> FileChanged:
    found = directory.find(change.path)
    return FileChanged(
        change=FileChange(change.change.value),
        source=source,
        path=change.path,
        current=_fingerprint(change.current),
        previous=_fingerprint(change.previous),
        scan_id=scan_id,
        institution=Institution(ticker=found.ticker, name=found.name, type=found.type)
        if found
        else None,
    )


def _fingerprint(value: Fingerprint | None) -> FileFingerprint | None:
    if value is None:
        return None
    return FileFingerprint(modified_at=value.modified_at, size_bytes=value.size_bytes)
