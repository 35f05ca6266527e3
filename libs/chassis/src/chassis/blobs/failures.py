"""What an object store's answer means for the caller, for every client library alike.

S3 speaks in HTTP statuses and error codes. A full disk (507, or 500 on many servers) and a
throttled request look like an outage and are one; wrong credentials and a missing bucket wait for
an operator, and must never turn messages into dead letters.
"""

from typing import Any

from chassis.errors import PenstockError, PermanentError, TransientError, UnavailableError
from contracts.errors import ErrorCategory

OPERATOR_RETRY_AFTER = 60.0
"""Seconds between attempts while only a person can help."""

CONNECT_SECONDS = 5.0
_BASE_SECONDS = 30.0
_SLOWEST_BYTES_PER_SECOND = 1024 * 1024

_PASSING_CODES = frozenset({"RequestTimeout", "ExpiredToken", "RequestTimeTooSkewed"})
_PASSING_STATUSES = frozenset({408, 409, 425, 429})
_OPERATOR_STATUSES = frozenset({401, 403, 404})
_SERVER_ERROR = 500


def deadline_seconds(size_bytes: int = 0) -> float:
    """Return how long a call may take; a large body gets the time of a slow line."""
    return _BASE_SECONDS + size_bytes / _SLOWEST_BYTES_PER_SECOND


def unavailable(reason: str) -> UnavailableError:
    """Return the error for a store that did not answer."""
    return UnavailableError(
        f"the object store does not answer: {reason}",
        category=ErrorCategory.STORAGE,
        dependency="s3",
    )


def refused(operation: str, *, status: int, code: str = "") -> PenstockError:
    """Return the error for an answer other than success.

    Args:
        operation: What was asked for; part of the message.
        status: The HTTP status. A 404 here is the bucket's: a missing key is the caller's case.
        code: The S3 error code, where the answer had one.
    """
    text = f"the object store answered {operation} with {status} {code}".rstrip()
    facts: dict[str, Any] = {"dependency": "s3", "status": status, "code": code}
    category = ErrorCategory.STORAGE
    if status >= _SERVER_ERROR or status in _PASSING_STATUSES or code in _PASSING_CODES:
        return UnavailableError(text, category=category, **facts)
    if status in _OPERATOR_STATUSES:
        return TransientError(text, category=category, retry_after=OPERATOR_RETRY_AFTER, **facts)
    return PermanentError(text, category=category, **facts)
