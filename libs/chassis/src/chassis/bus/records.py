"""A Kafka record as the rest of the chassis sees it."""

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple


class Record(NamedTuple):
    """One record, with its place in the log; a tuple, because one is made per message."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]
    timestamp_ms: int
    """When the record was produced, in milliseconds since 1970 UTC."""

    @property
    def timestamp(self) -> datetime:
        """When the record was produced."""
        return datetime.fromtimestamp(self.timestamp_ms / 1000, UTC)

    def header(self, name: str) -> str | None:
        """Return a header's text, or None when it is absent or not UTF-8."""
        for key, value in self.headers:
            if key == name and value is not None:
                try:
                    return value.decode()
                except UnicodeDecodeError:
                    return None
        return None

    @property
    def fingerprint(self) -> str:
        """Tells this record from another at the same offset of a re-created topic."""
        digest = hashlib.sha256(str(self.timestamp_ms).encode())
        digest.update(self.key or b"")
        digest.update(self.value or b"")
        return digest.hexdigest()[:32]
