"""Waiting helpers: what counts as true, and what is said at the deadline."""

import pytest

from tests.support.eventually import NeverHappenedError, eventually, wait_until


async def test_it_returns_the_first_true_value() -> None:
    values = iter([0, None, "", "here"])
    assert await eventually(lambda: next(values)) == "here"


async def test_it_awaits_an_asynchronous_predicate() -> None:
    values = iter([[], [1, 2]])

    async def rows() -> list[int]:
        return next(values)

    assert await eventually(rows) == [1, 2]


async def test_a_failing_assertion_means_not_yet() -> None:
    values = iter([1, 2, 3])

    def is_three() -> bool:
        assert next(values) == 3
        return True

    assert await eventually(is_three) is True


async def test_the_last_assertion_is_told_at_the_deadline() -> None:
    def never() -> bool:
        raise AssertionError("2 rows, not 3")

    with pytest.raises(NeverHappenedError, match=r"never was not true within 0 s: 2 rows, not 3"):
        await eventually(never, timeout=0)


async def test_other_errors_are_not_swallowed() -> None:
    def broken() -> bool:
        raise KeyError("x")

    with pytest.raises(KeyError):
        await eventually(broken)


def test_the_blocking_twin_waits_too() -> None:
    values = iter([False, True])
    assert wait_until(lambda: next(values)) is True
    with pytest.raises(NeverHappenedError):
        wait_until(lambda: False, timeout=0)
