"""Pages side by side lock in order, commit in order, and go back together."""

import asyncio
from collections.abc import AsyncGenerator, Collection
from contextlib import aclosing

import pytest

from transformer.handlers import side_by_side as module
from transformer.handlers.side_by_side import Turn, side_by_side


async def pages(count: int) -> AsyncGenerator[int]:
    for number in range(count):
        yield number


class Work:
    """Pages that write down what they do; those in `slow` come to an end when they are told."""

    def __init__(self, *, slow: Collection[int] = (), broken: int | None = None) -> None:
        self.steps: list[str] = []
        self.go_on = asyncio.Event()
        self.done = asyncio.Event()
        self._slow = slow
        self._broken = broken

    async def __call__(self, page: int, turn: Turn) -> int:
        await turn.to_lock()
        self.steps.append(f"{page} locks")
        turn.locked()
        try:
            if page in self._slow:
                await self.go_on.wait()
            if page == self._broken:
                raise ValueError("broken")
            self.steps.append(f"{page} is done")
            self.done.set()
            await turn.to_commit(self._nudge)
            self.steps.append(f"{page} commits")
        except asyncio.CancelledError:
            self.steps.append(f"{page} goes back")
            raise
        return page

    async def _nudge(self) -> None:
        self.steps.append("nudge")
        self.go_on.set()


async def test_a_page_that_is_done_first_waits_for_the_one_before() -> None:
    work = Work(slow={0})
    seen = []

    async def consume() -> None:
        async for page in side_by_side(pages(3), work, at_once=2):
            work.steps.append(f"{page} is counted")
            seen.append(page)

    async with asyncio.TaskGroup() as group:
        group.create_task(consume())
        await work.done.wait()
        assert work.steps == ["0 locks", "1 locks", "1 is done"], "two of them, and no third"
        work.go_on.set()

    assert seen == [0, 1, 2]
    order = [step for step in work.steps if "commits" in step or "counted" in step]
    assert order == [
        "0 commits",
        "0 is counted",
        "1 commits",
        "1 is counted",
        "2 commits",
        "2 is counted",
    ]


async def test_one_at_a_time_begins_the_next_when_the_last_was_counted() -> None:
    work = Work()
    async for page in side_by_side(pages(2), work, at_once=1):
        work.steps.append(f"{page} is counted")
    assert work.steps == [
        f"{page} {step}"
        for page in (0, 1)
        for step in ("locks", "is done", "commits", "is counted")
    ]


async def test_a_page_does_not_lock_before_the_one_before_has_its_locks() -> None:
    first = Turn()
    second = Turn(first)
    waiting = asyncio.ensure_future(second.to_lock())  # noqa: TID251 - watched from outside
    await asyncio.sleep(0)
    assert not waiting.done()

    first.locked()
    await waiting


async def test_what_is_behind_a_page_that_fails_goes_back() -> None:
    work = Work(slow={0}, broken=0)
    found = side_by_side(pages(5), work, at_once=2)
    task = asyncio.ensure_future(anext(found))  # noqa: TID251 - as above
    await work.done.wait()
    work.go_on.set()

    with pytest.raises(ValueError, match="broken"):
        await task
    assert work.steps == ["0 locks", "1 locks", "1 is done", "1 goes back"]


async def test_a_page_that_fails_first_does_not_take_the_one_before_with_it() -> None:
    work = Work(slow={0}, broken=1)
    found = side_by_side(pages(5), work, at_once=2)
    async with aclosing(found):
        asyncio.get_running_loop().call_soon(work.go_on.set)
        assert await anext(found) == 0
        with pytest.raises(ValueError, match="broken"):
            await anext(found)
    assert "0 commits" in work.steps


async def test_what_is_in_progress_goes_back_when_the_caller_leaves() -> None:
    work = Work()
    async with aclosing(side_by_side(pages(5), work, at_once=2)) as found:
        async for _ in found:
            break
    assert work.steps[-1] == "1 goes back"
    assert "1 commits" not in work.steps


async def test_a_page_that_waits_for_its_turn_shows_that_it_is_alive(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "NUDGE_SECONDS", 0.0)
    work = Work(slow={0})
    assert [page async for page in side_by_side(pages(2), work, at_once=2)] == [0, 1]
    assert "nudge" in work.steps
