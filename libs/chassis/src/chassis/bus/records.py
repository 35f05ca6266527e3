"""A Kafka record as the rest of the chassis sees it."""

import hashlib
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Record:
    """One record, with its place in the log."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]
    timestamp: datetime

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
        digest = hashlib.sha256(self.timestamp.isoformat().encode())
        digest.update(self.key or b"")
        digest.update(self.value or b"")
        return digest.hexdigest()[:32]
