"""A bucket with conditional writes, streams and listings; errors in the two roots of the house."""

import asyncio
import contextlib
from collections.abc import Generator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from obstore.exceptions import (
    AlreadyExistsError,
    BaseError,
    PermissionDeniedError,
    PreconditionError,
    UnauthenticatedError,
)
from obstore.store import S3Store

from chassis.blobs.failures import CONNECT_SECONDS, deadline_seconds, unavailable
from chassis.errors import TransientError
from chassis.settings import BlobSettings
from contracts.errors import ErrorCategory

if TYPE_CHECKING:
    from obstore.store import S3Config

_OPERATOR_SECONDS = 60.0
_PART_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Versioned:
    """An object's content and what identifies this version of it."""

    data: bytes
    e_tag: str | None


class ConflictError(Exception):
    """Somebody else has replaced the object since we read it."""


class S3Client:
    """The calls that the mirror makes."""

    def __init__(self, settings: BlobSettings) -> None:
        self._prefix = settings.prefix
        self.bucket = settings.bucket
        config: S3Config = {"region": settings.region}
        if settings.endpoint_url:
            config["endpoint"] = settings.endpoint_url
            config["virtual_hosted_style_request"] = False
        if settings.access_key_id and settings.secret_access_key:
            config["access_key_id"] = settings.access_key_id.get_secret_value()
            config["secret_access_key"] = settings.secret_access_key.get_secret_value()
        self._store = S3Store(
            settings.bucket,
            config=config,
            client_options={
                "allow_http": (settings.endpoint_url or "").startswith("http://"),
                "connect_timeout": timedelta(seconds=CONNECT_SECONDS),
                "timeout": timedelta(hours=1),
                "read_timeout": timedelta(seconds=deadline_seconds()),
            },
            retry_config={"max_retries": 3},
        )

    def url(self, key: str) -> str:
        """Return the address of an object, for readers."""
        return f"s3://{self.bucket}/{self._prefix}{key}"

    async def get(self, key: str) -> Versioned | None:
        """Return an object; None if there is none."""
        with _translated(f"get {key}"):
            try:
                async with asyncio.timeout(deadline_seconds()):
                    result = await self._store.get_async(self._prefix + key)
                    data = (await result.bytes_async()).to_bytes()
            except FileNotFoundError:
                return None
            return Versioned(data, result.meta.get("e_tag"))

    async def put(self, key: str, data: bytes) -> None:
        """Store an object, whatever is there."""
        with _translated(f"put {key}"):
            async with asyncio.timeout(deadline_seconds(len(data))):
                await self._store.put_async(self._prefix + key, data, use_multipart=False)

    async def replace(self, key: str, data: bytes, *, e_tag: str | None) -> str | None:
        """Store an object if it is still the version that we know; return the new one's tag.

        Args:
            key: Which object.
            data: Its new content.
            e_tag: The version to replace; None means that there must be none.

        Raises:
            ConflictError: somebody else was first.
        """
        with _translated(f"put {key}"):
            async with asyncio.timeout(deadline_seconds(len(data))):
                try:
                    result = await self._store.put_async(
                        self._prefix + key,
                        data,
                        mode="create" if e_tag is None else {"e_tag": e_tag},
                        use_multipart=False,
                    )
                except (AlreadyExistsError, PreconditionError) as error:
                    raise ConflictError from error
        return result.get("e_tag")

    async def upload(self, key: str, path: Path, *, size_bytes: int) -> None:
        """Store a file; it appears when all of it is there."""
        with _translated(f"upload {key}"):
            async with asyncio.timeout(deadline_seconds(size_bytes)):
                await self._store.put_async(
                    self._prefix + key, path, use_multipart=size_bytes > _PART_BYTES
                )

    async def size(self, key: str) -> int | None:
        """Return an object's size; None if there is none."""
        with _translated(f"head {key}"):
            try:
                async with asyncio.timeout(deadline_seconds()):
                    return int((await self._store.head_async(self._prefix + key))["size"])
            except FileNotFoundError:
                return None

    async def download(self, key: str, target: Path) -> None:
        """Write an object to a file, in pieces.

        Raises:
            FileNotFoundError: there is none.
        """
        with _translated(f"download {key}"):
            async with asyncio.timeout(deadline_seconds()):
                result = await self._store.get_async(self._prefix + key)
            async with asyncio.timeout(deadline_seconds(result.meta["size"])):
                with target.open("wb") as file:
                    async for chunk in result.stream(min_chunk_size=_PART_BYTES):
                        await asyncio.to_thread(file.write, chunk)

    async def keys(self, prefix: str) -> list[str]:
        """Return the keys below a prefix, sorted."""
        found: list[str] = []
        with _translated(f"list {prefix}"):
            pages = self._store.list((self._prefix + prefix).rpartition("/")[0] or None)
            while True:
                async with asyncio.timeout(deadline_seconds()):
                    page = await anext(pages, None)
                if page is None:
                    break
                found.extend(item["path"].removeprefix(self._prefix) for item in page)
        return sorted(key for key in found if key.startswith(prefix))

    async def delete(self, key: str) -> None:
        """Remove an object; removing nothing is fine."""
        with _translated(f"delete {key}"), contextlib.suppress(FileNotFoundError):
            async with asyncio.timeout(deadline_seconds()):
                await self._store.delete_async(self._prefix + key)


@contextlib.contextmanager
def _translated(operation: str) -> Generator[None]:
    try:
        yield
    except TimeoutError as error:
        raise unavailable(f"{operation} took too long") from error
    except (PermissionDeniedError, UnauthenticatedError) as error:
        raise TransientError(
            f"the object store refuses to {operation}",
            retry_after=_OPERATOR_SECONDS,
            category=ErrorCategory.STORAGE,
        ) from error
    except FileNotFoundError:
        raise
    except BaseError as error:
        raise unavailable(f"{operation} was cut off") from error
