import asyncio
import contextlib

import pytest

from chassis.http.proxy.address import Account, Proxy
from chassis.http.proxy.errors import LogonRefusal, ProxyFault
from chassis.http.proxy.gate import LogonGate, gate_for
from tests.support.clocks import HandClock

pytestmark = pytest.mark.covers("S1-11")


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def gate(clock: HandClock) -> LogonGate:
    return LogonGate(clock)


async def attempted(gate: LogonGate, error: Exception | None = None) -> bool:
    """Attempt to log on; return whether the gate was open."""
    is_open = False
    with contextlib.suppress(ProxyFault):
        async with gate.attempt():
            is_open = True
            await asyncio.sleep(0)
            if error is not None:
                raise error
    return is_open


async def test_after_a_refusal_the_account_rests_and_longer_each_time(
    gate: LogonGate, clock: HandClock
) -> None:
    for rest in (300, 600, 1200, 2400, 3600, 3600):
        assert await attempted(gate, LogonRefusal("no"))
        clock.seconds += rest - 1
        assert not await attempted(gate)
        clock.seconds += 1

    assert await attempted(gate)
    assert await attempted(gate, LogonRefusal("no"))
    clock.seconds += 300
    assert await attempted(gate)


async def test_an_outage_is_no_refusal(gate: LogonGate) -> None:
    assert await attempted(gate, ProxyFault("broken"))
    assert await attempted(gate)


async def side_by_side(gate: LogonGate, count: int) -> int:
    """Return how many of so many log-ons were under way at the same time."""
    under_way = most = 0

    async def one() -> None:
        nonlocal under_way, most
        async with gate.attempt():
            under_way += 1
            most = max(most, under_way)
            for _ in range(5):
                await asyncio.sleep(0)
            under_way -= 1

    async with asyncio.TaskGroup() as group:
        for _ in range(count):
            group.create_task(one())
    return most


async def test_log_ons_go_side_by_side_for_a_minute_after_a_success(
    gate: LogonGate, clock: HandClock
) -> None:
    assert await attempted(gate)
    assert await side_by_side(gate, 4) == 4

    clock.seconds += 61
    async with asyncio.TaskGroup() as group, gate.attempt():
        waiting = group.create_task(attempted(gate))
        await asyncio.sleep(0)
        assert not waiting.done()
    assert waiting.result()


async def test_who_waits_at_the_gate_hears_of_the_refusal_and_says_nothing(
    gate: LogonGate,
) -> None:
    async def refused() -> bool:
        return await attempted(gate, LogonRefusal("no"))

    assert sorted(await asyncio.gather(*(refused() for _ in range(5)))) == [False] * 4 + [True]


async def test_who_waits_while_the_proxy_breaks_off_says_nothing_either(gate: LogonGate) -> None:
    async def broken() -> bool:
        return await attempted(gate, ProxyFault("broken"))

    assert sorted(await asyncio.gather(*(broken() for _ in range(5)))) == [False] * 4 + [True]
    assert await attempted(gate)  # after its back-off


async def test_a_gate_belongs_to_one_password_of_one_user_at_one_proxy(clock: HandClock) -> None:
    proxy = Proxy("http://proxy:8080", Account("jdoe", "old"))

    assert gate_for(proxy, clock) is gate_for(
        Proxy("http://proxy:8080", Account("jdoe", "old")), clock
    )
    assert gate_for(proxy, clock) is not gate_for(
        Proxy("http://proxy:8080", Account("jdoe", "new")), clock
    )
