"""One text per value, so that equal content has an equal hash."""

import hashlib
from typing import Any

import orjson


def canonical_json(value: Any) -> bytes:
    """Render a JSON value: sorted keys, no spaces, UTF-8.

    Raises:
        TypeError: it holds what JSON cannot, such as half a character.
    """
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def content_hash(canonical: bytes) -> str:
    """Return the SHA-256 of canonical JSON, in lower-case hexadecimal."""
    return hashlib.sha256(canonical).hexdigest()
