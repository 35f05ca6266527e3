import asyncio

import pytest

from ingestor.handlers.budget import ByteBudget


class Users:
    """Tasks that hold a reservation until they are told to leave."""

    def __init__(self, budget: ByteBudget) -> None:
        self.inside: list[str] = []
        self._budget = budget
        self._leave: dict[str, asyncio.Event] = {}

    async def use(self, name: str, size: int) -> None:
        self._leave[name] = asyncio.Event()
        async with self._budget.reserve(size):
            self.inside.append(name)
            await self._leave[name].wait()
            self.inside.remove(name)

    async def leave(self, name: str) -> None:
        self._leave[name].set()
        await settle()


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_users_enter_while_there_is_room() -> None:
    users = Users(ByteBudget(10))
    async with asyncio.TaskGroup() as group:
        for name, size in (("a", 4), ("b", 6), ("c", 1)):
            group.create_task(users.use(name, size))
        await settle()
        assert users.inside == ["a", "b"]
        await users.leave("a")
        assert users.inside == ["b", "c"]
        await users.leave("b")
        await users.leave("c")


async def test_a_large_user_is_not_overtaken_for_ever() -> None:
    users = Users(ByteBudget(10))
    async with asyncio.TaskGroup() as group:
        for name, size in (("a", 5), ("large", 10), ("small", 1)):
            group.create_task(users.use(name, size))
        await settle()
        assert users.inside == ["a"]
        await users.leave("a")
        assert users.inside == ["large"]
        await users.leave("large")
        assert users.inside == ["small"]
        await users.leave("small")


async def test_what_is_larger_than_everything_waits_to_be_alone() -> None:
    users = Users(ByteBudget(10))
    async with asyncio.TaskGroup() as group:
        group.create_task(users.use("a", 1))
        group.create_task(users.use("huge", 1000))
        await settle()
        assert users.inside == ["a"]
        await users.leave("a")
        assert users.inside == ["huge"]
        await users.leave("huge")


async def test_a_failure_and_a_cancelled_wait_give_everything_back() -> None:
    budget = ByteBudget(10)
    with pytest.raises(RuntimeError):
        async with budget.reserve(10):
            raise RuntimeError
    async with budget.reserve(10):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01), budget.reserve(1):
                pass
    async with asyncio.timeout(1), budget.reserve(10):
        pass
