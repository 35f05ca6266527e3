"""Back-off: capped, jittered, never shorter than asked for, and not for ever."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.errors import PermanentError, TransientError, UnavailableError
from chassis.retry import backoff_seconds, retrying


@pytest.mark.parametrize(
    ("attempt", "shortest", "longest"),
    [(1, 0.2, 0.4), (2, 0.4, 0.8), (3, 0.8, 1.6), (7, 12.8, 25.6), (8, 15, 30), (99, 15, 30)],
)
def test_the_wait_doubles_up_to_the_cap_and_varies(
    attempt: int, shortest: float, longest: float
) -> None:
    waits = {backoff_seconds(attempt) for _ in range(200)}

    assert shortest <= min(waits)
    assert max(waits) <= longest
    assert len(waits) > 100


@given(st.integers(1, 10_000), st.floats(0, 1e6))
def test_the_wait_is_never_shorter_than_the_other_side_asked_for(
    attempt: int, retry_after: float
) -> None:
    assert backoff_seconds(attempt, retry_after=retry_after) >= retry_after


def test_clients_that_were_told_to_wait_do_not_all_return_at_once() -> None:
    waits = {backoff_seconds(3, retry_after=60) for _ in range(200)}

    assert len(waits) > 100
    assert max(waits) < 61


@pytest.mark.parametrize("attempt", range(1, 50))
def test_no_attempt_follows_at_once(attempt: int) -> None:
    assert backoff_seconds(attempt) >= 0.2


@dataclass
class Dependency:
    """Fails as told, and notes how long the caller waited."""

    failures: list[Exception]
    now: float = 0.0
    waited: list[float] = field(default_factory=list)
    calls: int = 0

    async def call(self) -> str:
        self.calls += 1
        if self.failures:
            raise self.failures.pop(0)
        return "answer"

    async def sleep(self, seconds: float) -> None:
        self.waited.append(seconds)
        self.now += seconds


async def ask(
    dependency: Dependency, monkeypatch: pytest.MonkeyPatch, *, total_seconds: float
) -> str:
    monkeypatch.setattr("time.monotonic", lambda: dependency.now)
    sleep: Callable[[float], Awaitable[None]] = dependency.sleep
    async for attempt in retrying(total_seconds=total_seconds).copy(sleep=sleep):
        with attempt:
            return await dependency.call()
    raise AssertionError("neither a result nor an error")


async def test_a_passing_outage_is_waited_out(monkeypatch: pytest.MonkeyPatch) -> None:
    dependency = Dependency([UnavailableError()] * 3)

    assert await ask(dependency, monkeypatch, total_seconds=60) == "answer"
    assert dependency.calls == 4
    assert all(0.2 <= seconds <= 5 for seconds in dependency.waited)


async def test_a_lasting_outage_ends_with_its_own_error(monkeypatch: pytest.MonkeyPatch) -> None:
    dependency = Dependency([UnavailableError("away")] * 1000)

    with pytest.raises(UnavailableError, match="away"):
        await ask(dependency, monkeypatch, total_seconds=20)

    assert sum(dependency.waited) <= 20
    assert dependency.calls >= 5


async def test_a_permanent_error_is_not_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    dependency = Dependency([PermanentError("never")])

    with pytest.raises(PermanentError, match="never"):
        await ask(dependency, monkeypatch, total_seconds=60)
    assert dependency.calls == 1


async def test_a_bug_is_not_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    dependency = Dependency([KeyError("bug")])

    with pytest.raises(KeyError):
        await ask(dependency, monkeypatch, total_seconds=60)
    assert dependency.calls == 1


async def test_a_refused_log_on_is_tried_once_per_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    refused = TransientError("wrong password", retry_after=60)
    dependency = Dependency([refused] * 100)

    with pytest.raises(TransientError, match="wrong password"):
        await ask(dependency, monkeypatch, total_seconds=150)

    assert dependency.calls == 3
    assert all(60 <= seconds < 65 for seconds in dependency.waited)
