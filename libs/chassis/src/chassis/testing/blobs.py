"""An object store in memory, for tests that are not about object stores."""

from collections.abc import Iterable

from chassis.blobs.port import BlobNotFoundError
from chassis.errors import PenstockError


class MemoryBlobs:
    """A bucket without a server; passes the contract suite of the real ones."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.calls: list[tuple[str, str]] = []
        """Every call as (operation, key)."""
        self._failures: list[PenstockError] = []

    def fail_next(self, failures: Iterable[PenstockError]) -> None:
        """Have the next calls raise these, in order."""
        self._failures.extend(failures)

    async def put(self, key: str, data: bytes) -> None:
        """Store `data`."""
        self._enter("put", key)
        self.objects[key] = data

    async def put_if_absent(self, key: str, data: bytes) -> bool:
        """Store `data` unless the key exists; return whether it was stored."""
        self._enter("put_if_absent", key)
        if key in self.objects:
            return False
        self.objects[key] = data
        return True

    async def get(self, key: str) -> bytes:
        """Return the object's bytes.

        Raises:
            BlobNotFoundError: there is none.
        """
        self._enter("get", key)
        try:
            return self.objects[key]
        except KeyError as error:
            raise BlobNotFoundError(f"there is no `{key}`") from error

    async def exists(self, key: str) -> bool:
        """Return whether the key exists."""
        self._enter("exists", key)
        return key in self.objects

    async def list_keys(self, prefix: str) -> list[str]:
        """Return the keys below a prefix, sorted."""
        self._enter("list_keys", prefix)
        return sorted(key for key in self.objects if key.startswith(prefix))

    async def delete(self, key: str) -> None:
        """Remove the object; removing nothing is fine."""
        self._enter("delete", key)
        self.objects.pop(key, None)

    async def close(self) -> None:
        """Forget nothing: a second client would still see the objects."""

    def _enter(self, operation: str, key: str) -> None:
        self.calls.append((operation, key))
        if self._failures:
            raise self._failures.pop(0)
