"""Lists in pages: from a place in the order onwards, never by counting rows to skip.

A page costs the same wherever it lies, and rows that arrive meanwhile shift nothing.
"""

import base64
import binascii
import json
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

T = TypeVar("T")

PAGE_SIZE = 50
MAX_PAGE_SIZE = 200


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """A part of a list."""

    items: Sequence[T]
    next: str | None = None
    """Where the list goes on; None at its end."""


def id_range(beginning: str) -> tuple[uuid.UUID, uuid.UUID] | tuple[None, None]:
    """Return the first and the last id that begin so; nothing where every id does."""
    digits = beginning.replace("-", "")[:32]
    if not digits:
        return None, None
    return uuid.UUID(digits.ljust(32, "0")), uuid.UUID(digits.ljust(32, "f"))


def page_of(found: Sequence[T], place: Callable[[T], tuple[object, ...]]) -> Page[T]:
    """Return the page that a query for `PAGE_SIZE` + 1 has found; `place` is an item's in order."""
    items = found[:PAGE_SIZE]
    return Page(items, encode_cursor(*place(items[-1])) if len(found) > PAGE_SIZE else None)


def encode_cursor(*place: object) -> str:
    """Return a place in an order as text for an address."""
    return base64.urlsafe_b64encode(json.dumps(place, default=str).encode()).decode().rstrip("=")


def decode_cursor(cursor: str | None, *, parts: int) -> tuple[str, ...] | None:
    """Return the place that `encode_cursor` wrote; None for the start, or what nobody wrote."""
    if not cursor:
        return None
    try:
        place = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (binascii.Error, ValueError):
        return None
    if not isinstance(place, list) or len(place) != parts:
        return None
    return tuple(str(item) for item in place)


def decode_moment(cursor: str) -> tuple[datetime, uuid.UUID] | None:
    """Return a place among what is ordered by time and id; None as for `decode_cursor`."""
    place = decode_cursor(cursor, parts=2)
    try:
        return None if place is None else (datetime.fromisoformat(place[0]), uuid.UUID(place[1]))
    except ValueError:
        return None
