"""Pages of a run side by side: the server writes one while the next is merged.

They lock in order and commit in order. A page begins to lock once the page before it holds all its
locks, and such a page waits for nobody any more; so pages and others' transactions cannot wait for
each other in a circle, although a page that is finished waits for its turn with its locks held.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable
from typing import TypeVar

Page = TypeVar("Page")
Result = TypeVar("Result")

NUDGE_SECONDS = 5.0
"""How often a transaction that waits for its turn shows that it is alive: the server ends idle
ones."""


class Turn:
    """The place of a page among those in progress."""

    def __init__(self, before: "Turn | None" = None, *, at_once: int = 1) -> None:
        self.at_once = at_once
        """How many pages are in progress, this one included."""

        self.has_locks = asyncio.Event()
        self.has_ended = asyncio.Event()
        self._may_lock: asyncio.Event | None = None
        self._may_commit: asyncio.Event | None = None
        if before is not None:
            self._may_lock, self._may_commit = before.has_locks, before.has_ended

    async def to_lock(self) -> None:
        """Wait until the page before has its locks."""
        if self._may_lock is not None:
            await self._may_lock.wait()

    def locked(self) -> None:
        """Say that this page has all its locks."""
        self.has_locks.set()

    async def to_commit(self, nudge: Callable[[], Awaitable[object]]) -> None:
        """Wait until the page before is committed and its result was taken."""
        while self._may_commit is not None and not self._may_commit.is_set():
            try:
                async with asyncio.timeout(NUDGE_SECONDS):
                    await self._may_commit.wait()
            except TimeoutError:
                await nudge()

    def over(self) -> None:
        """Say that the page is committed."""
        self.has_locks.set()
        self.has_ended.set()


async def side_by_side(
    pages: AsyncIterable[Page],
    work: Callable[[Page, Turn], Awaitable[Result]],
    *,
    at_once: int,
) -> AsyncGenerator[Result]:
    """Yield the results of pages in order, the next ones in progress meanwhile.

    A page is over when the caller comes for the next result. If one fails, or the caller leaves,
    those behind it are cancelled, and so roll back. Close it (`contextlib.aclosing`).

    Args:
        pages: Are asked for when there is room for one more.
        work: Does one; calls `Turn.locked` when it holds its locks.
        at_once: How many may be in progress.
    """
    running: deque[tuple[Turn, asyncio.Future[Result]]] = deque()
    turn: Turn | None = None
    try:
        async for page in pages:
            turn = Turn(turn, at_once=at_once)
            # A generator cannot hold a task group; every task is awaited or cancelled here.
            running.append((turn, asyncio.ensure_future(work(page, turn))))  # noqa: TID251
            if len(running) == at_once:
                yield await running[0][1]
                running.popleft()[0].over()
        while running:
            yield await running[0][1]
            running.popleft()[0].over()
    finally:
        for _, task in running:
            task.cancel()
        if running:
            await asyncio.wait([task for _, task in running])
