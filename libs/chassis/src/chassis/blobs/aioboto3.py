"""The object store through aioboto3: Amazon's own client, for what only it can do.

Chosen by `S3_CLIENT=aioboto3`, for instance where credentials come from a named profile or a
credential process. The data path's default is faster (docs/decisions/0011).
"""

import asyncio
import contextlib
from collections.abc import Generator
from typing import TYPE_CHECKING

import aioboto3
from aiobotocore.config import AioConfig
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

from chassis.blobs.failures import CONNECT_SECONDS, deadline_seconds, refused, unavailable
from chassis.blobs.port import BlobNotFoundError
from chassis.settings import BlobSettings

if TYPE_CHECKING:
    from types_aiobotocore_s3 import S3Client

_NO_SUCH_KEY = 404
_EXISTS = 412
_FORBIDDEN = 403
_MAX_CONNECTIONS = 64


class Aioboto3Blobs:
    """A bucket of an S3 server."""

    def __init__(self, settings: BlobSettings) -> None:
        self._settings = settings
        self._bucket = settings.bucket
        self._prefix = settings.prefix
        self._opening = asyncio.Lock()
        self._stack = contextlib.AsyncExitStack()
        self._opened: S3Client | None = None

    async def _client(self) -> "S3Client":
        async with self._opening:
            if self._opened is None:
                self._opened = await self._stack.enter_async_context(_connect(self._settings))
        return self._opened

    async def put(self, key: str, data: bytes) -> None:
        """Store `data`."""
        with _translated(f"put {key}"):
            async with asyncio.timeout(deadline_seconds(len(data))):
                client = await self._client()
                await client.put_object(Bucket=self._bucket, Key=self._prefix + key, Body=data)

    async def put_if_absent(self, key: str, data: bytes) -> bool:
        """Store `data` unless the key exists; return whether it was stored."""
        try:
            with _translated(f"put {key}"):
                async with asyncio.timeout(deadline_seconds(len(data))):
                    client = await self._client()
                    await client.put_object(
                        Bucket=self._bucket, Key=self._prefix + key, Body=data, IfNoneMatch="*"
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
                client = await self._client()
                answer = await client.get_object(Bucket=self._bucket, Key=self._prefix + key)
            async with (
                answer["Body"] as body,
                asyncio.timeout(deadline_seconds(answer["ContentLength"])),
            ):
                return await body.read()

    async def exists(self, key: str) -> bool:
        """Return whether the key exists."""
        try:
            with _translated(f"head {key}"):
                async with asyncio.timeout(deadline_seconds()):
                    client = await self._client()
                    await client.head_object(Bucket=self._bucket, Key=self._prefix + key)
        except BlobNotFoundError:
            return False
        return True

    async def list_keys(self, prefix: str) -> list[str]:
        """Return the keys below a prefix, sorted."""
        keys: list[str] = []
        with _translated(f"list {prefix}"):
            client = await self._client()
            pages = aiter(
                client.get_paginator("list_objects_v2").paginate(
                    Bucket=self._bucket, Prefix=self._prefix + prefix
                )
            )
            while True:
                async with asyncio.timeout(deadline_seconds()):
                    page = await anext(pages, None)
                if page is None:
                    return sorted(key.removeprefix(self._prefix) for key in keys)
                keys.extend(item["Key"] for item in page.get("Contents", []))

    async def delete(self, key: str) -> None:
        """Remove the object; removing nothing is fine."""
        with contextlib.suppress(BlobNotFoundError), _translated(f"delete {key}"):
            async with asyncio.timeout(deadline_seconds()):
                client = await self._client()
                await client.delete_object(Bucket=self._bucket, Key=self._prefix + key)

    async def close(self) -> None:
        """Close every connection."""
        self._opened = None
        await self._stack.aclose()


class _ExistsError(Exception):
    """The key exists already."""


def _connect(settings: BlobSettings) -> "contextlib.AbstractAsyncContextManager[S3Client]":
    keys = (settings.access_key_id, settings.secret_access_key)
    access_key_id, secret_access_key = (key.get_secret_value() if key else None for key in keys)
    return aioboto3.Session().client(
        "s3",
        region_name=settings.region,
        endpoint_url=settings.endpoint_url,
        aws_access_key_id=access_key_id,
        aws_secret_access_key=secret_access_key,
        config=AioConfig(
            connect_timeout=CONNECT_SECONDS,
            read_timeout=deadline_seconds(),
            max_pool_connections=_MAX_CONNECTIONS,
            # One layer retries, and it is not this one.
            retries={"total_max_attempts": 1, "mode": "standard"},
            s3={"addressing_style": "path" if settings.endpoint_url else "auto"},
            # Servers other than Amazon's do not all know the newer checksums.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        ),
    )


@contextlib.contextmanager
def _translated(operation: str) -> Generator[None]:
    try:
        yield
    except ClientError as error:
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 500)
        code = error.response.get("Error", {}).get("Code", "")
        if status == _NO_SUCH_KEY and code != "NoSuchBucket":
            raise BlobNotFoundError(f"the object store has nothing to {operation}") from error
        if status == _EXISTS:
            raise _ExistsError from error
        raise refused(operation, status=status, code="" if code.isdigit() else code) from error
    except NoCredentialsError as error:
        raise refused(operation, status=_FORBIDDEN, code="NoCredentials") from error
    except TimeoutError as error:
        raise unavailable(f"{operation} took too long") from error
    except (BotoCoreError, OSError) as error:
        raise unavailable(f"{operation} was cut off") from error
