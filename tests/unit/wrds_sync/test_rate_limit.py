import asyncio

import pytest

from tests.support.clocks import HandClock
from wrds_sync.adapters.rate_limit import TokenBucket


@pytest.fixture
def time() -> HandClock:
    return HandClock()


async def taken_at(bucket: TokenBucket, time: HandClock, count: int) -> list[float]:
    moments = []
    for _ in range(count):
        await bucket.take()
        moments.append(time.seconds)
    return moments


@pytest.mark.covers("S5-10", "S5-76")
async def test_ten_queries_may_come_at_once_and_the_eleventh_waits_a_minute(
    time: HandClock,
) -> None:
    bucket = TokenBucket(10, time, sleep=time.sleep)

    assert await taken_at(bucket, time, 21) == [0.0] * 10 + [60.0] * 10 + [120.0]


@pytest.mark.covers("S5-76")
async def test_no_minute_sees_more_than_the_limit_wherever_it_begins(time: HandClock) -> None:
    bucket = TokenBucket(10, time, sleep=time.sleep)
    moments = []
    for wait in (0, 0, 0, 55, 0, 3, 0, 0, 2, 0, 0, 30, 0, 0, 0, 0, 0, 0, 40, 0, 0, 0, 0, 0, 0):
        time.seconds += wait
        moments += await taken_at(bucket, time, 1)

    for begin in moments:
        assert sum(begin <= moment < begin + 60 for moment in moments) <= 10


async def test_less_than_one_a_minute_is_possible(time: HandClock) -> None:
    bucket = TokenBucket(0.5, time, sleep=time.sleep)

    assert await taken_at(bucket, time, 3) == [0.0, 120.0, 240.0]


async def test_who_gives_up_waiting_has_taken_nothing(time: HandClock) -> None:
    forever = asyncio.Event()

    async def never(_: float) -> None:
        await forever.wait()

    bucket = TokenBucket(1, time, sleep=never)
    await bucket.take()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(bucket.take(), 0.01)
    time.seconds += 59
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(bucket.take(), 0.01)
    time.seconds += 1

    await asyncio.wait_for(bucket.take(), 1)


async def test_waiters_are_served_in_their_order(time: HandClock) -> None:
    bucket = TokenBucket(1, time, sleep=time.sleep)
    served: list[int] = []

    async def wait(number: int) -> None:
        await bucket.take()
        served.append(number)

    async with asyncio.TaskGroup() as waiters:
        for number in range(5):
            waiters.create_task(wait(number))

    assert served == [0, 1, 2, 3, 4]
