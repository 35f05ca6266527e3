"""What the hub asks of an object store; adapters in this package answer to one contract suite."""

import hashlib
from typing import Protocol

from chassis.errors import PermanentError
from contracts.errors import ErrorCategory


class BlobNotFoundError(PermanentError):
    """The object store has no such key."""

    default_category = ErrorCategory.STORAGE


class BlobStore(Protocol):
    """A bucket.

    Every call may raise `UnavailableError`; a call has a deadline of its own.
    """

    async def put(self, key: str, data: bytes) -> None:
        """Store `data`; a reader sees the old object, the new one, or none, never a part."""
        ...

    async def put_if_absent(self, key: str, data: bytes) -> bool:
        """Store `data` unless the key exists; return whether it was stored."""
        ...

    async def get(self, key: str) -> bytes:
        """Return the object's bytes.

        Raises:
            BlobNotFoundError: there is none.
        """
        ...

    async def exists(self, key: str) -> bool:
        """Return whether the key exists."""
        ...

    async def list_keys(self, prefix: str) -> list[str]:
        """Return the keys below a prefix, sorted."""
        ...

    async def delete(self, key: str) -> None:
        """Remove the object; removing nothing is fine."""
        ...

    async def close(self) -> None:
        """Give back connections."""
        ...


def content_key(data: bytes) -> str:
    """Return the key of raw bytes: `raw/<sha256>`.

    Equal bytes share one object.
    """
    return f"raw/{hashlib.sha256(data).hexdigest()}"
