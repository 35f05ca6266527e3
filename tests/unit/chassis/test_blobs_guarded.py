import pytest

from chassis.blobs.guarded import GuardedBlobs
from chassis.blobs.port import BlobNotFoundError
from chassis.errors import PermanentError, TransientError, UnavailableError
from chassis.testing.blobs import MemoryBlobs


class Sleeps:
    def __init__(self) -> None:
        self.seconds: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)


@pytest.fixture
def memory() -> MemoryBlobs:
    return MemoryBlobs()


@pytest.fixture
def sleeps() -> Sleeps:
    return Sleeps()


@pytest.fixture
def blobs(memory: MemoryBlobs, sleeps: Sleeps) -> GuardedBlobs:
    return GuardedBlobs(memory, sleep=sleeps)


async def test_a_short_disturbance_is_forgiven(
    blobs: GuardedBlobs, memory: MemoryBlobs, sleeps: Sleeps
) -> None:
    memory.fail_next([UnavailableError(), UnavailableError()])
    await blobs.put("k", b"1")
    assert memory.objects == {"k": b"1"}
    assert len(sleeps.seconds) == 2
    assert 0.2 <= sleeps.seconds[0] <= 0.4
    assert 0.4 <= sleeps.seconds[1] <= 0.8


async def test_an_outage_is_given_up_after_three_attempts(
    blobs: GuardedBlobs, memory: MemoryBlobs
) -> None:
    memory.fail_next([UnavailableError()] * 3)
    with pytest.raises(UnavailableError):
        await blobs.put("k", b"1")
    assert len(memory.calls) == 3


async def test_the_time_that_the_server_asked_for_is_given(
    blobs: GuardedBlobs, memory: MemoryBlobs, sleeps: Sleeps
) -> None:
    memory.fail_next([UnavailableError(retry_after=7.0)])
    assert not await blobs.exists("k")
    assert 7.0 <= sleeps.seconds[0] <= 7.4


@pytest.mark.parametrize("error", [TransientError(retry_after=60), PermanentError()])
async def test_refused_credentials_and_permanent_errors_are_not_repeated(
    blobs: GuardedBlobs, memory: MemoryBlobs, error: PermanentError | TransientError
) -> None:
    memory.fail_next([error])
    with pytest.raises(type(error)):
        await blobs.put_if_absent("k", b"1")
    assert len(memory.calls) == 1


async def test_a_missing_key_is_not_repeated(blobs: GuardedBlobs, memory: MemoryBlobs) -> None:
    with pytest.raises(BlobNotFoundError):
        await blobs.get("k")
    assert memory.calls == [("get", "k")]
