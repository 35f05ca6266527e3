"""Both S3 clients against servers that answer badly, late, or not at all."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable

import pytest

from chassis.blobs import aioboto3, obstore
from chassis.blobs.aioboto3 import Aioboto3Blobs
from chassis.blobs.obstore import ObstoreBlobs
from chassis.blobs.open import open_blobs
from chassis.blobs.port import BlobNotFoundError, BlobStore
from chassis.errors import PermanentError, TransientError, UnavailableError
from chassis.settings import BlobSettings

ERROR = "<?xml version='1.0'?><Error><Code>{code}</Code><Message>no</Message></Error>"


class BadServer:
    """Answers every request alike, and counts them."""

    def __init__(self, status: int | None, code: str = "") -> None:
        self.requests = 0
        self._status = status
        self._body = ERROR.format(code=code).encode() if code else b""
        self._hang = asyncio.Event()

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            await reader.readuntil(b"\r\n\r\n")
            self.requests += 1
            if self._status == 0:
                await self._hang.wait()
            elif self._status is not None:
                head = f"HTTP/1.1 {self._status} Because\r\nContent-Length: {len(self._body)}"
                writer.write(f"{head}\r\nConnection: close\r\n\r\n".encode() + self._body)
                await writer.drain()
        writer.close()

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncGenerator[BlobSettings]:
        server = await asyncio.start_server(self.answer, "127.0.0.1", 0)
        async with server:
            yield settings_for(server.sockets[0].getsockname()[1])
            self._hang.set()


def settings_for(port: int, client: str = "obstore") -> BlobSettings:
    return BlobSettings.model_validate(
        {
            "S3_ENDPOINT_URL": f"http://127.0.0.1:{port}",
            "AWS_ACCESS_KEY_ID": "id",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "S3_CLIENT": client,
        }
    )


@pytest.fixture(params=[Aioboto3Blobs, ObstoreBlobs])
def client(request: pytest.FixtureRequest) -> Callable[[BlobSettings], BlobStore]:
    chosen: Callable[[BlobSettings], BlobStore] = request.param
    return chosen


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (500, "InternalError"),
        (503, "SlowDown"),
        (507, ""),
        (429, ""),
        (409, "ConditionalRequestConflict"),
        (400, "RequestTimeout"),
    ],
)
async def test_an_outage_a_full_disk_and_throttling_pass_by_themselves(
    client: Callable[[BlobSettings], BlobStore], status: int | None, code: str
) -> None:
    server = BadServer(status, code)
    async with server.listening() as settings:
        store = client(settings)
        with pytest.raises(UnavailableError):
            await store.put_if_absent("k", b"1")
        await store.close()
    assert server.requests == 1, "the client library repeated the request by itself"


async def test_a_connection_that_is_cut_is_an_outage(
    client: Callable[[BlobSettings], BlobStore],
) -> None:
    async with BadServer(None).listening() as settings:
        store = client(settings)
        with pytest.raises(UnavailableError):
            await store.put("k", b"1")
        await store.close()


@pytest.mark.parametrize("status", [401, 403])
async def test_refused_credentials_wait_longer(
    client: Callable[[BlobSettings], BlobStore], status: int
) -> None:
    server = BadServer(status, "AccessDenied")
    async with server.listening() as settings:
        store = client(settings)
        with pytest.raises(TransientError) as caught:
            await store.get("k")
        await store.close()
    assert caught.value.retry_after == 60.0
    assert not isinstance(caught.value, UnavailableError)
    assert server.requests == 1


async def test_a_request_that_can_never_succeed_is_permanent(
    client: Callable[[BlobSettings], BlobStore],
) -> None:
    async with BadServer(400, "InvalidArgument").listening() as settings:
        store = client(settings)
        with pytest.raises(PermanentError, match="400 InvalidArgument"):
            await store.put("k", b"1")
        await store.close()


async def test_a_missing_key_is_told_from_a_missing_bucket(
    client: Callable[[BlobSettings], BlobStore],
) -> None:
    async with BadServer(404, "NoSuchKey").listening() as settings:
        store = client(settings)
        with pytest.raises(BlobNotFoundError):
            await store.get("k")
        await store.close()


async def test_a_server_that_says_nothing_costs_the_deadline_and_no_more(
    client: Callable[[BlobSettings], BlobStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with BadServer(0).listening() as settings:
        store = client(settings)
        for module in (aioboto3, obstore):
            monkeypatch.setattr(module, "deadline_seconds", lambda _size=0: 0.3)
        # Six calls, each its deadline, on a busy machine.
        async with asyncio.timeout(10):
            for call in (
                store.put("k", b"1"),
                store.put_if_absent("k", b"1"),
                store.get("k"),
                store.exists("k"),
                store.list_keys("k"),
                store.delete("k"),
            ):
                with pytest.raises(UnavailableError):
                    await call
        await store.close()


async def test_a_server_that_is_not_there_is_an_outage(
    client: Callable[[BlobSettings], BlobStore],
) -> None:
    async with BadServer(500).listening() as settings:
        pass
    store = client(settings)
    with pytest.raises(UnavailableError):
        await store.exists("k")
    await store.close()


@pytest.mark.parametrize("name", ["obstore", "aioboto3"])
async def test_the_opened_store_repeats_a_few_times_and_then_gives_up(name: str) -> None:
    server = BadServer(503, "SlowDown")
    async with server.listening() as settings:
        store = open_blobs(settings.model_copy(update={"client": name}))
        with pytest.raises(UnavailableError):
            await store.put("k", b"1")
        await store.close()
    assert server.requests == 3
