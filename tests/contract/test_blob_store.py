"""One suite for every object store: the double, and both clients against a real S3 server.

What a broken server does is in `test_blob_faults.py`.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from dataclasses import replace

import pytest

from chassis.blobs.aioboto3 import Aioboto3Blobs
from chassis.blobs.guarded import GuardedBlobs
from chassis.blobs.obstore import ObstoreBlobs
from chassis.blobs.port import BlobNotFoundError, BlobStore, content_key
from chassis.errors import PermanentError, TransientError
from chassis.settings import BlobSettings
from chassis.testing.blobs import MemoryBlobs
from tests.support.addresses import S3Address

CLIENTS: dict[str, Callable[[BlobSettings], BlobStore]] = {
    "aioboto3": Aioboto3Blobs,
    "obstore": ObstoreBlobs,
    "guarded": lambda settings: GuardedBlobs(ObstoreBlobs(settings)),
}


def settings_of(address: S3Address, prefix: str = "") -> BlobSettings:
    return BlobSettings.model_validate({**address.env, "S3_PREFIX": prefix})


@pytest.fixture(params=["memory", *CLIENTS])
async def blobs(request: pytest.FixtureRequest, blob_prefix: str) -> AsyncGenerator[BlobStore]:
    if request.param == "memory":
        store: BlobStore = MemoryBlobs()
    else:
        address: S3Address = request.getfixturevalue("s3")
        store = CLIENTS[request.param](settings_of(address, blob_prefix))
    yield store
    await store.close()


@pytest.fixture(params=list(CLIENTS))
def client(request: pytest.FixtureRequest) -> Callable[[BlobSettings], BlobStore]:
    return CLIENTS[request.param]


@pytest.mark.covers("E-08")
async def test_what_was_put_is_what_is_got(blobs: BlobStore) -> None:
    data = bytes(range(256)) * 300
    await blobs.put(content_key(data), data)
    assert await blobs.get(content_key(data)) == data
    assert type(await blobs.get(content_key(data))) is bytes


async def test_an_empty_object_is_an_object(blobs: BlobStore) -> None:
    await blobs.put("raw/empty", b"")
    assert await blobs.get("raw/empty") == b""
    assert await blobs.exists("raw/empty")
    assert not await blobs.put_if_absent("raw/empty", b"x")


async def test_sixteen_mebibytes_come_back_whole(blobs: BlobStore) -> None:
    data = b"0123456789abcdef" * (1 << 20)
    await blobs.put("raw/large", data)
    assert await blobs.get("raw/large") == data


async def test_put_replaces(blobs: BlobStore) -> None:
    await blobs.put("k", b"one")
    await blobs.put("k", b"two")
    assert await blobs.get("k") == b"two"


async def test_put_if_absent_stores_once_and_says_so(blobs: BlobStore) -> None:
    assert await blobs.put_if_absent("k", b"one")
    assert not await blobs.put_if_absent("k", b"two")
    assert await blobs.get("k") == b"one"


async def test_of_many_that_put_at_once_exactly_one_stores(blobs: BlobStore) -> None:
    offers = [bytes([number]) * 50_000 for number in range(8)]
    stored = await asyncio.gather(*(blobs.put_if_absent("k", data) for data in offers))
    assert sum(stored) == 1
    assert await blobs.get("k") == offers[stored.index(True)]


async def test_a_missing_key_is_not_found(blobs: BlobStore) -> None:
    assert not await blobs.exists("raw/none")
    with pytest.raises(BlobNotFoundError):
        await blobs.get("raw/none")


async def test_a_deleted_key_is_gone_and_deleting_it_again_is_fine(blobs: BlobStore) -> None:
    await blobs.put("k", b"1")
    await blobs.delete("k")
    assert not await blobs.exists("k")
    await blobs.delete("k")


async def test_keys_are_listed_below_a_prefix_in_order(blobs: BlobStore) -> None:
    for key in ("raw/b", "raw/a", "raw/sub/c", "rawest", "other/a"):
        await blobs.put(key, b"1")
    assert await blobs.list_keys("raw/") == ["raw/a", "raw/b", "raw/sub/c"]
    assert await blobs.list_keys("raw") == ["raw/a", "raw/b", "raw/sub/c", "rawest"]
    assert await blobs.list_keys("raw/s") == ["raw/sub/c"]
    assert await blobs.list_keys("") == ["other/a", "raw/a", "raw/b", "raw/sub/c", "rawest"]
    assert await blobs.list_keys("nothing/") == []


async def test_more_keys_than_a_page_are_all_listed(blobs: BlobStore) -> None:
    keys = [f"page/{number:04d}" for number in range(1050)]
    for start in range(0, len(keys), 50):
        await asyncio.gather(*(blobs.put(key, b"") for key in keys[start : start + 50]))
    assert await blobs.list_keys("page/") == keys


async def test_odd_characters_in_a_key_are_kept(blobs: BlobStore) -> None:
    key = "raw/Zürich é 100% #1 ?.xml"
    await blobs.put(key, b"1")
    assert await blobs.get(key) == b"1"
    assert await blobs.list_keys("raw/Z") == [key]


async def test_calls_run_side_by_side(blobs: BlobStore) -> None:
    await asyncio.gather(*(blobs.put(f"k/{number}", bytes([number])) for number in range(32)))
    found = await asyncio.gather(*(blobs.get(f"k/{number}") for number in range(32)))
    assert found == [bytes([number]) for number in range(32)]


async def test_a_prefix_keeps_two_users_of_a_bucket_apart(
    s3: S3Address, blob_prefix: str, client: Callable[[BlobSettings], BlobStore]
) -> None:
    one = client(settings_of(s3, f"{blob_prefix}one/"))
    two = client(settings_of(s3, f"{blob_prefix}two/"))
    await one.put("k", b"1")
    assert not await two.exists("k")
    assert await one.list_keys("") == ["k"]
    assert await two.list_keys("") == []
    await one.close()
    await two.close()


async def test_wrong_credentials_wait_for_an_operator(
    s3: S3Address, client: Callable[[BlobSettings], BlobStore]
) -> None:
    settings = settings_of(replace(s3, secret_access_key="wrong"))
    store = client(settings)
    with pytest.raises(TransientError) as caught:
        await store.put("k", b"1")
    assert caught.value.retry_after == 60.0
    assert "wrong" not in str(caught.value)
    await store.close()


async def test_a_missing_bucket_waits_for_an_operator_and_is_no_missing_key(
    s3: S3Address, client: Callable[[BlobSettings], BlobStore]
) -> None:
    store = client(settings_of(s3).model_copy(update={"bucket": "no-such-bucket"}))
    for call in (store.put("k", b"1"), store.put_if_absent("k", b"1"), store.get("k")):
        with pytest.raises(TransientError) as caught:
            await call
        assert caught.value.retry_after == 60.0
    await store.close()


async def test_a_key_that_climbs_is_refused(s3: S3Address) -> None:
    store = ObstoreBlobs(settings_of(s3))
    with pytest.raises(PermanentError):
        await store.put("raw/../../x", b"1")
