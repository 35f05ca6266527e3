"""Sorts what came back from an API: data, or an error that says what to do."""

import email.utils
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Literal

import orjson

from chassis.errors import PenstockError, PermanentError
from chassis.http.errors import (
    RATE_LIMIT_FLOOR_SECONDS,
    ApiAccessError,
    ApiBodyError,
    ApiNotFoundError,
    ApiPlanError,
    ApiRequestError,
    HttpUnavailableError,
    RateLimitedError,
)

Accept = Literal["json", "csv"]

_RETRIED = frozenset({408, 425, 500, 502, 503, 504, 520, 521, 522, 523, 524})
_FINAL: dict[int, tuple[type[PermanentError], str]] = {
    401: (ApiAccessError, " (credentials or rights)"),
    402: (ApiPlanError, " (not in the plan)"),
    403: (ApiAccessError, " (credentials or rights)"),
    404: (ApiNotFoundError, ""),
    407: (ApiAccessError, " (credentials of the proxy)"),
    410: (ApiNotFoundError, ""),
}


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer that is data."""

    data: Any
    """The parsed JSON, or the text of a CSV."""

    headers: Mapping[str, str]
    """Names in lower case."""


def refused(
    status: int, headers: Mapping[str, str], *, what: str, now: datetime
) -> PenstockError | None:
    """Return the error that a status stands for; None for a success."""
    if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        return None
    message = f"{what}: the API answered {status}"
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        wait = max(RATE_LIMIT_FLOOR_SECONDS, _retry_after(headers, now))
        return RateLimitedError(message, retry_after=wait, status=status)
    if status in _RETRIED:
        wait = _retry_after(headers, now)
        return HttpUnavailableError(message, retry_after=wait or None, status=status)
    kind, hint = _FINAL.get(status, (ApiRequestError, ""))
    return kind(f"{message}{hint}", status=status)


def parsed(body: bytes, *, accept: Accept, what: str, error_fields: Sequence[str]) -> Any:
    """Return the data of a successful answer.

    Raises:
        HttpUnavailableError: the body ends early or is damaged; another try may bring it whole.
        ApiBodyError: it is an error in the clothes of a success, or a page for people.
    """
    start = body.lstrip(b"\xef\xbb\xbf \t\r\n")[:1]
    if start == b"<":
        raise ApiBodyError(f"{what}: a page for people instead of data")
    if accept == "csv" and start != b"{":
        return _text(body, what)
    try:
        data = orjson.loads(body.removeprefix(b"\xef\xbb\xbf"))
    except orjson.JSONDecodeError as error:
        raise HttpUnavailableError(f"{what}: the body is not whole JSON") from error
    told = [name for name in error_fields if isinstance(data, dict) and data.get(name)]
    if told or accept == "csv":
        # The text of an error may quote the key that was sent.
        raise ApiBodyError(f"{what}: success with an error in its body", fields=told)
    return data


def _text(body: bytes, what: str) -> str:
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ApiBodyError(f"{what}: the body is not UTF-8 text") from error


def _retry_after(headers: Mapping[str, str], now: datetime) -> float:
    """Return the seconds of `Retry-After`, which may be a number or a date; 0 without one."""
    value = headers.get("retry-after", "").strip()
    if value.isdigit():
        return float(value)
    try:
        moment = email.utils.parsedate_to_datetime(value)
    except ValueError:
        return 0.0
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (moment - now).total_seconds())
