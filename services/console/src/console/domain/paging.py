"""Lists in pages: from a place in the order onwards, never by counting rows to skip.

A page costs the same wherever it lies, and rows that arrive meanwhile shift nothing.
"""

import base64
import binascii
import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
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


def encode_cursor(*place: str | int) -> str:
    """Return a place in an order as text for an address."""
    return base64.urlsafe_b64encode(json.dumps(place).encode()).decode().rstrip("=")


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
