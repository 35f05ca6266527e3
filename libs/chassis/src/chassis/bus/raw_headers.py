"""Headers of a Kafka record as JSON that PostgreSQL stores, without losing a byte.

Names may repeat and contain NUL, values need not be text, and some have no value at all; so both
are kept in base64.
"""

import base64
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

RawHeaders: TypeAlias = Sequence[tuple[str, bytes | None]]

PackedHeaders: TypeAlias = dict[str, list[list[str | None]]]
"""An object, because the driver takes a list in a list of documents for an array's dimension."""

_FIELD = "base64"


def pack(headers: Iterable[tuple[str, bytes | None]]) -> PackedHeaders:
    """Return headers in a form that JSON carries."""
    return {_FIELD: [[_encoded(_bytes_of(name)), _encoded(value)] for name, value in headers]}


def unpack(packed: Mapping[str, Any]) -> list[tuple[str, bytes | None]]:
    """Return what `pack` was given."""
    return [(_name_of(name), _decoded(value)) for name, value in packed[_FIELD]]


def as_sent(stored: Mapping[str, Any]) -> RawHeaders:
    """Return what the outbox holds, texts by name or packed, as the client sends it."""
    # A header may be called as our field is; its value is a text then.
    if isinstance(stored.get(_FIELD), list):
        return unpack(stored)
    return [(name, text.encode()) for name, text in stored.items()]


def _bytes_of(name: str) -> bytes:
    return name.encode("utf-8", "surrogatepass")


def _name_of(name: str) -> str:
    return base64.b64decode(name).decode("utf-8", "surrogatepass")


def _encoded(value: bytes | None) -> str | None:
    return None if value is None else base64.b64encode(value).decode()


def _decoded(value: str | None) -> bytes | None:
    return None if value is None else base64.b64decode(value)
