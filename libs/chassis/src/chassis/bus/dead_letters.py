"""What becomes of a message that cannot be applied: the original bytes, with headers that say
why.
"""

import uuid
from collections.abc import Iterator
from datetime import datetime

from chassis.bus.records import Record
from chassis.errors import PenstockError
from chassis.logs import redact
from contracts import dead_letters as header
from contracts.errors import ErrorCategory

_MESSAGE_LIMIT = 1024
_ORIGINAL_HEADERS_LIMIT = 32 * 1024
"""Together with the reason they must fit into what a dead-letter topic takes above a message."""


def category_of(error: BaseException) -> ErrorCategory:
    """Return the category under which an error is counted; a bug has the top-level one."""
    return error.category if isinstance(error, PenstockError) else ErrorCategory.MAIN_EXECUTION


def dead_letter_headers(
    record: Record, error: BaseException, *, consumer: str, attempts: int, failed_at: datetime
) -> dict[str, str]:
    """Return the original's readable headers plus the reason."""
    original = _original_headers(record)
    dropped = len({name for name, _ in record.headers if not _is_ours(name)}) - len(original)
    reason = {
        header.TOPIC: record.topic,
        header.PARTITION: str(record.partition),
        header.OFFSET: str(record.offset),
        header.CONSUMER: consumer,
        header.CATEGORY: category_of(error).value,
        header.ERROR_CLASS: type(error).__name__,
        header.MESSAGE: _bounded(redact(str(error) or type(error).__name__)),
        header.CHAIN: _bounded(" <- ".join(_chain(error))),
        header.ATTEMPTS: str(attempts),
        header.FAILED_AT: failed_at.isoformat(),
        header.EVENT_ID: original.get("ce_id", ""),
    }
    if drift_id := _drift_of(error):
        reason[header.DRIFT_ID] = drift_id
    return original | reason | ({header.HEADERS_DROPPED: str(dropped)} if dropped else {})


def is_for_another(record: Record, consumer: str) -> bool:
    """Return whether a record is replayed for a consumer that is not this one.

    A replay writes that header last, so that looking for it costs a message next to nothing.
    """
    name, value = record.headers[-1]
    return name == header.REPLAY_FOR and value != consumer.encode()


def _drift_of(error: BaseException) -> str | None:
    """Return the schema drift because of which a message is held back, if it is."""
    drift_id = error.facts.get("drift_id") if isinstance(error, PenstockError) else None
    return None if drift_id is None else str(uuid.UUID(str(drift_id)))


def _is_ours(name: str) -> bool:
    return name.startswith("x-dlq-")


def _original_headers(record: Record) -> dict[str, str]:
    """Return what can be kept: a dead letter must never be refused for what its sender wrote."""
    kept: dict[str, str] = {}
    left = _ORIGINAL_HEADERS_LIMIT
    for name, _ in record.headers:
        text = record.header(name)
        if text is None or name in kept or _is_ours(name):
            continue
        size = len(name.encode()) + len(text.encode())
        if size <= left:
            left -= size
            kept[_storable(name)] = _storable(text)
    return kept


def _storable(text: str) -> str:
    """Escape what UTF-8 or PostgreSQL cannot hold: halves of characters and NUL."""
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")


def _bounded(text: str) -> str:
    return _storable(text).encode()[:_MESSAGE_LIMIT].decode(errors="ignore")


def _chain(error: BaseException) -> Iterator[str]:
    current: BaseException | None = error
    seen: set[int] = set()
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield type(current).__name__
        hidden = current.__suppress_context__
        current = current.__cause__ or (None if hidden else current.__context__)
