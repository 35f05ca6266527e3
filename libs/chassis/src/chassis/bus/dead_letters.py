"""What becomes of a message that cannot be applied: the original bytes, with headers that say
why.
"""

from datetime import datetime

from chassis.bus.records import Record
from chassis.errors import PenstockError
from chassis.logs import redact
from contracts import dead_letters as header
from contracts.errors import ErrorCategory

_MESSAGE_LIMIT = 1024


def category_of(error: BaseException) -> ErrorCategory:
    """Return the category under which an error is counted; a bug has the top-level one."""
    return error.category if isinstance(error, PenstockError) else ErrorCategory.MAIN_EXECUTION


def dead_letter_headers(
    record: Record, error: BaseException, *, consumer: str, attempts: int, failed_at: datetime
) -> dict[str, str]:
    """Return the original's readable headers plus the reason."""
    original = {
        name: text for name, _ in record.headers if (text := record.header(name)) is not None
    }
    return original | {
        header.TOPIC: record.topic,
        header.PARTITION: str(record.partition),
        header.OFFSET: str(record.offset),
        header.CONSUMER: consumer,
        header.CATEGORY: category_of(error).value,
        header.ERROR_CLASS: type(error).__name__,
        header.MESSAGE: redact(str(error) or type(error).__name__)[:_MESSAGE_LIMIT],
        header.CHAIN: _chain(error)[:_MESSAGE_LIMIT],
        header.ATTEMPTS: str(attempts),
        header.FAILED_AT: failed_at.isoformat(),
        header.EVENT_ID: original.get("ce_id", ""),
    }


def _chain(error: BaseException) -> str:
    names: list[str] = []
    current: BaseException | None = error
    while current is not None and type(current).__name__ not in names[-1:]:
        names.append(type(current).__name__)
        current = current.__cause__ or current.__context__
    return " <- ".join(names)
