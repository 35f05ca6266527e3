"""One text per value, so that equal content has an equal hash."""

import hashlib
import json
from typing import Any


def canonical_json(value: Any) -> bytes:
    """Render a JSON value: sorted keys, no spaces, UTF-8."""
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    ).encode()


def content_hash(canonical: bytes) -> str:
    """Return the SHA-256 of canonical JSON, in lower-case hexadecimal."""
    return hashlib.sha256(canonical).hexdigest()
