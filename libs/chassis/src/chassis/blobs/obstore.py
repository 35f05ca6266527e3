"""The object store through obstore: a Rust client without dependencies of its own.

Its calls run outside the event loop and without the interpreter's lock. Its errors carry the
server's answer as text only, which is read here and nowhere else.
"""

import asyncio
import contextlib
import re
from collections.abc import Generator
from datetime import timedelta
from typing import TYPE_CHECKING

from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import S3Store

from chassis.blobs.failures import CONNECT_SECONDS, deadline_seconds, refused, unavailable
from chassis.blobs.port import BlobNotFoundError
from chassis.errors import PermanentError
from chassis.settings import BlobSettings
from contracts.errors import ErrorCategory

if TYPE_CHECKING:
    from obstore.store import ClientConfig, S3Config

SINGLE_PUT_BYTES = 64 * 1024 * 1024
"""Up to here an object goes up in one request: nothing half-uploaded is ever left behind."""

_STATUS = re.compile(r"status code: ([0-9]{3})")
_CODE = re.compile(r"<Code>([A-Za-z]+)</Code>")
_CONFLICT = 409


class ObstoreBlobs:
    """A bucket of an S3 server."""

    def __init__(self, settings: BlobSettings) -> None:
        self._prefix = settings.prefix
        self._store = S3Store(
            settings.bucket,
            config=_config(settings),
            client_options=_client_options(settings),
            # One layer retries, and it is not this one.
            retry_config={"max_retries": 0},
        )

    async def put(self, key: str, data: bytes) -> None:
        """Store `data`."""
        with _translated(f"put {key}"):
            async with asyncio.timeout(deadline_seconds(len(data))):
                await self._store.put_async(
                    self._prefix + key, data, use_multipart=len(data) > SINGLE_PUT_BYTES
                )

    async def put_if_absent(self, key: str, data: bytes) -> bool:
        """Store `data` unless the key exists; return whether it was stored."""
        try:
            with _translated(f"put {key}"):
                async with asyncio.timeout(deadline_seconds(len(data))):
                    await self._store.put_async(
                        self._prefix + key, data, mode="create", use_multipart=False
                    )
        except _ExistsError:
            return False
        return True

    async def get(self, key: str) -> bytes:
        """Return the object's bytes.

        Raises:
            BlobNotFoundError: there is none.
        """
        with _translated(f"get {key}"):
            async with asyncio.timeout(deadline_seconds()):
                result = await self._store.get_async(self._prefix + key)
            async with asyncio.timeout(deadline_seconds(result.meta["size"])):
                return (await result.bytes_async()).to_bytes()

    async def exists(self, key: str) -> bool:
        """Return whether the key exists."""
        try:
            with _translated(f"head {key}"):
                async with asyncio.timeout(deadline_seconds()):
                    await self._store.head_async(self._prefix + key)
        except BlobNotFoundError:
            return False
        return True

    async def list_keys(self, prefix: str) -> list[str]:
        """Return the keys below a prefix, sorted."""
        keys: list[str] = []
        with _translated(f"list {prefix}"):
            pages = self._store.list(self._folder_of(prefix))
            while True:
                async with asyncio.timeout(deadline_seconds()):
                    page = await anext(pages, None)
                if page is None:
                    break
                keys.extend(item["path"] for item in page)
        found = (key.removeprefix(self._prefix) for key in keys if key.startswith(self._prefix))
        return sorted(key for key in found if key.startswith(prefix))

    def _folder_of(self, prefix: str) -> str | None:
        """Return the folder to list: this client takes whole path segments only."""
        return (self._prefix + prefix).rpartition("/")[0] or None

    async def delete(self, key: str) -> None:
        """Remove the object; removing nothing is fine."""
        with contextlib.suppress(BlobNotFoundError), _translated(f"delete {key}"):
            async with asyncio.timeout(deadline_seconds()):
                await self._store.delete_async(self._prefix + key)

    async def close(self) -> None:
        """Nothing to give back: idle connections end by themselves."""


class _ExistsError(Exception):
    """The key exists already."""


def _config(settings: BlobSettings) -> "S3Config":
    config: S3Config = {"region": settings.region}
    if settings.endpoint_url:
        config["endpoint"] = settings.endpoint_url
        config["virtual_hosted_style_request"] = False
    if settings.access_key_id and settings.secret_access_key:
        config["access_key_id"] = settings.access_key_id.get_secret_value()
        config["secret_access_key"] = settings.secret_access_key.get_secret_value()
    return config


def _client_options(settings: BlobSettings) -> "ClientConfig":
    return {
        # Plain HTTP only where the configured address says so.
        "allow_http": (settings.endpoint_url or "").startswith("http://"),
        "connect_timeout": timedelta(seconds=CONNECT_SECONDS),
        # The deadline around each call counts; this ends what the loop no longer waits for.
        "timeout": timedelta(seconds=deadline_seconds(10 * SINGLE_PUT_BYTES)),
        "read_timeout": timedelta(seconds=deadline_seconds()),
    }


@contextlib.contextmanager
def _translated(operation: str) -> Generator[None]:
    try:
        yield
    except FileNotFoundError as error:
        code = _search(_CODE, error)
        if code == "NoSuchBucket":
            raise refused(operation, status=404, code=code) from error
        raise BlobNotFoundError(f"the object store has nothing to {operation}") from error
    except TimeoutError as error:
        raise unavailable(f"{operation} took too long") from error
    except AlreadyExistsError as error:
        if _search(_STATUS, error) == str(_CONFLICT):
            # Somebody else is writing the key right now and may still fail.
            raise refused(operation, status=_CONFLICT, code=_search(_CODE, error)) from error
        raise _ExistsError from error
    except BaseError as error:
        status = _search(_STATUS, error)
        if not status:
            raise unavailable(f"{operation} was cut off") from error
        raise refused(operation, status=int(status), code=_search(_CODE, error)) from error
    except ValueError as error:
        raise PermanentError(
            f"the object store has no such key: {operation}", category=ErrorCategory.STORAGE
        ) from error


def _search(pattern: re.Pattern[str], error: Exception) -> str:
    match = pattern.search(str(error))
    return match[1] if match else ""
