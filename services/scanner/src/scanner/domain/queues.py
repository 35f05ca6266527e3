"""The two queue files that a legacy Stage 3 reads (S1-21, S1-22).

They are merged, not replaced: a scanner that runs every minute must not overwrite what a nightly
reader has not seen. A reader that removes a file after use starts the next one afresh.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scanner.domain.changes import Announce, Change
from scanner.domain.files import Fingerprint

PROCESS_QUEUE = "stage_02_process_queue.json"
REMOVAL_QUEUE = "stage_02_removal_queue.json"


@dataclass(frozen=True, slots=True)
class QueueRecord:
    """The original's whole record; `file_path` is its primary key (S1-15)."""

    file_path: str
    date_last_modified: str

    def as_dict(self) -> dict[str, str]:
        """Return the record as it stands in the file."""
        return {"file_path": self.file_path, "date_last_modified": self.date_last_modified}


@dataclass(frozen=True, slots=True)
class Queues:
    """What is to be processed and what is outdated, both keyed by path."""

    process: Mapping[str, QueueRecord]
    removal: Mapping[str, QueueRecord]


def read_records(document: Any) -> dict[str, QueueRecord]:
    """Take the records of an existing queue file.

    Raises:
        ValueError: it is no list of records.
    """
    if not isinstance(document, list):
        raise ValueError("not a list")  # noqa: TRY004 - malformed content, not a caller's mistake
    records: dict[str, QueueRecord] = {}
    for item in document:
        if not isinstance(item, dict):
            raise ValueError("holds something that is no record")  # noqa: TRY004 - as above
        path, modified = item.get("file_path"), item.get("date_last_modified")
        if not isinstance(path, str) or not isinstance(modified, str):
            raise ValueError("holds a record without `file_path` and `date_last_modified`")  # noqa: TRY004 - as above
        records[path] = QueueRecord(path, modified)
    return records


def merge(before: Queues, changes: Iterable[Announce], *, prefix: str) -> Queues:
    """Add changes to the queues, in order; `prefix` leads from the share to the source's root."""
    process, removal = dict(before.process), dict(before.removal)
    for change in changes:
        path = f"{prefix}/{change.path}" if prefix else change.path
        if change.previous is not None:
            # The oldest entry that nobody has removed yet is the one that downstream still has.
            removal.setdefault(path, _record(path, change.previous))
        if change.change is Change.DELETED:
            process.pop(path, None)
        elif change.current is not None:
            process[path] = _record(path, change.current)
    return Queues(process, removal)


def as_document(records: Mapping[str, QueueRecord]) -> Sequence[dict[str, str]]:
    """Return records in the file's form, ordered by path."""
    return [records[path].as_dict() for path in sorted(records)]


def _record(path: str, fingerprint: Fingerprint) -> QueueRecord:
    return QueueRecord(path, fingerprint.modified_at.isoformat(timespec="microseconds"))
